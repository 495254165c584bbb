"""The driver on a real socket. Time is real here, for sockets are; jobs are sped up instead."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine

import aiohttp
import pytest
from yarl import URL

from seedance_async.simulator import Fault, FaultPlan, Simulator
from seedance_async.simulator.media import video
from seedance_async.simulator.web import Server, serve

from .asking import FAST, FOX, HEADERS, LITE
from .test_strictness import png


def live(main: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 30))


@contextlib.asynccontextmanager
async def open_server(
    simulator: Simulator, **options: float
) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    async with (
        serve(simulator, **options) as server,  # type: ignore[arg-type]
        aiohttp.ClientSession(server.base_url) as client,
    ):
        yield server, client


async def finished_video(client: aiohttp.ClientSession) -> URL:
    """Submit and wait; the URL exactly as the result gives it."""
    async with client.post(f"/v1/models/{FAST}", json=FOX, headers=HEADERS) as answer:
        request_id = (await answer.json())["request_id"]
    while True:
        target = f"/v1/requests/{request_id}/result"
        async with client.get(target, headers=HEADERS) as answer:
            document = await answer.json()
        if document["status"] == "completed":
            return URL(document["output"]["video"], encoded=True)
        await asyncio.sleep(0.01)


def test_a_job_from_submit_to_file() -> None:
    """The whole way over a socket: URLs are the server's, stamps the real clock's."""

    async def main() -> None:
        simulator = Simulator(speed=1000)
        async with open_server(simulator) as (server, client):
            url = await finished_video(client)
            assert str(url).startswith(server.base_url + "/videos/")
            async with client.get(url) as answer:
                assert await answer.read() == video("480p", "16:9").content
            async with client.head(url) as answer:
                assert answer.content_length == len(video("480p", "16:9").content)
            async with client.get(url, headers={"Range": "bytes=4-7"}) as answer:
                assert (answer.status, await answer.read()) == (206, b"ftyp")
            accepted = simulator.books.accepted[0].accepted_at
            assert abs(simulator.epoch + accepted - time.time()) < 10
            assert not simulator.books.token_leaks

    live(main)


def test_dropped_connections_have_no_answer() -> None:
    """What the plan drops, the client sees as a disconnect."""

    async def main() -> None:
        plan = FaultPlan({"drop-after-accept": 1.0})
        async with open_server(Simulator(faults=plan)) as (server, client):
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.post(f"/v1/models/{FAST}", json=FOX, headers=HEADERS)
            assert len(server.simulator.books.accepted) == 1

    live(main)


def test_cut_answers_promise_more_than_they_bring() -> None:
    """A truncated answer breaks off within the promised length; the second is only unreadable."""

    async def main() -> None:
        plan = FaultPlan({"truncated-json": 1.0})
        async with open_server(Simulator(faults=plan)) as (_, client):
            async with client.post(f"/v1/models/{FAST}", json=FOX, headers=HEADERS) as answer:
                assert answer.status == 200
                with pytest.raises(aiohttp.ClientPayloadError):
                    await answer.read()
            async with client.post(f"/v1/models/{FAST}", json=FOX, headers=HEADERS) as answer:
                with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
                    json.loads(await answer.read())

    live(main)


def test_slow_and_truncated_videos() -> None:
    """Half the file arrives, at about the plan's bandwidth."""

    async def main() -> None:
        plan = FaultPlan({"truncated-video": 1.0, "slow-video": 1.0}, slow_bandwidth=10_000.0)
        async with open_server(Simulator(speed=1000, faults=plan)) as (_, client):
            url = await finished_video(client)
            content = bytearray()

            async def download() -> None:
                async with client.get(url) as answer:
                    async for piece in answer.content.iter_any():
                        content.extend(piece)

            begin = time.monotonic()
            with pytest.raises(aiohttp.ClientPayloadError):
                await download()
            whole = video("480p", "16:9").content
            assert content == whole[: len(whole) // 2]
            assert time.monotonic() - begin > 0.8 * len(content) / 10_000

    live(main)


def test_slow_answers_and_a_quick_close() -> None:
    """An answer is late by the plan; closing the server does not wait for such answers."""

    async def main() -> None:
        simulator = Simulator(faults=FaultPlan({"slow": 1.0}, slow_seconds=0.05))
        async with open_server(simulator) as (_, client):
            begin = time.monotonic()
            await client.get("/v1/models", headers=HEADERS)
            assert time.monotonic() - begin >= 0.05
        simulator = Simulator(faults=FaultPlan({"slow": 1.0}, slow_seconds=3600.0))
        begin = time.monotonic()
        async with open_server(simulator) as (_, client):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.get("/v1/models", headers=HEADERS)
        assert time.monotonic() - begin < 5

    live(main)


@pytest.mark.parametrize(
    ("size", "word"),
    [((400, 400), None), ((200, 400), "300 pixels"), (None, "HTTP 404")],
)
def test_images_on_loopback_are_fetched_and_measured(
    size: tuple[int, int] | None, word: str | None
) -> None:
    """The server looks at what it can reach, and only there."""

    async def pictures(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = png(*size) if size else b""
        status = b"200 OK" if size else b"404 Not Found"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        host = await asyncio.start_server(pictures, "127.0.0.1", 0)
        async with host, open_server(Simulator()) as (_, client):
            port = host.sockets[0].getsockname()[1]
            frame = {"prompt": "a", "first_frame_image_url": f"http://127.0.0.1:{port}/a.png"}
            async with client.post(f"/v1/models/{LITE}", json=frame, headers=HEADERS) as answer:
                text = await answer.text()
                assert answer.status == (422 if word else 200)
                assert (word or "request_id") in text

    live(main)


def test_an_image_that_nobody_serves_is_refused() -> None:
    """A refused connection is a 422 that says so."""

    async def main() -> None:
        async with open_server(Simulator()) as (_, client):
            frame = {"prompt": "a", "first_frame_image_url": "http://127.0.0.1:1/a.png"}
            async with client.post(f"/v1/models/{LITE}", json=frame, headers=HEADERS) as answer:
                assert "could not be fetched" in await answer.text()

    live(main)


def test_idle_connections_are_closed_after_their_time() -> None:
    """`keepalive_seconds` makes the server that hangs up between two requests."""

    async def main() -> None:
        async with serve(Simulator(), keepalive_seconds=0.05) as server:
            port = int(server.base_url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"404" in await reader.readline()
            await reader.read()  # to the end: the server closes
            writer.close()
            await writer.wait_closed()

    live(main)


def test_half_a_request_is_no_request(caplog: pytest.LogCaptureFixture) -> None:
    """Who breaks off within the body has submitted nothing, and no traceback tells of it."""

    async def main() -> None:
        simulator = Simulator()
        async with serve(simulator) as server:
            port = int(server.base_url.rpartition(":")[2])
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST /v1/models/{FAST} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
            writer.write(head.encode() + b'{"text":')
            await writer.drain()
            await asyncio.sleep(0.02)  # the server is to wait for the rest
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.02)
        assert not simulator.books.requests("submit")
        assert not caplog.records

    live(main)


def test_only_loopback_is_listened_on() -> None:
    """The double is never offered to a network."""

    async def main() -> None:
        for host in ("0.0.0.0", "example.com", "192.168.0.1"):
            with pytest.raises(ValueError, match="loopback only"):
                async with serve(Simulator(), host=host):
                    pass

    live(main)


def test_a_server_that_is_cancelled_leaves_nothing_open() -> None:
    """Its port is closed when the task has ended."""

    async def main() -> None:
        listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def until_cancelled() -> None:
            async with serve(Simulator()) as server:
                listening.set_result(server.base_url)
                await asyncio.Event().wait()

        task = asyncio.create_task(until_cancelled())
        url = await listening
        async with aiohttp.ClientSession() as client:
            async with client.get(f"{url}/v1/models", headers=HEADERS) as answer:
                assert answer.status == 200
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(aiohttp.ClientConnectorError):
                await client.get(f"{url}/v1/models", headers=HEADERS)

    live(main)


def test_a_silence_lets_nobody_connect_and_breaks_what_is_open() -> None:
    """Real time, for the listening socket is real: silent for a while, then heard again."""
    plan = FaultPlan([Fault("unreachable", since=0.3, until=0.6)])

    async def heard(client: aiohttp.ClientSession, url: str) -> bool:
        try:
            async with client.get(url) as response:
                return response.status == 200
        except aiohttp.ClientConnectorError:
            return False
        except aiohttp.ClientError:  # the connection that was open was cut
            return await heard(client, url)

    async def main() -> None:
        async with serve(Simulator(faults=plan)) as server, aiohttp.ClientSession() as client:
            url = f"{server.base_url}/simulator/books"
            for expected in (True, False, True):
                while await heard(client, url) is not expected:
                    await asyncio.sleep(0.01)

    live(main)
