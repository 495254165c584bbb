"""The driver without a network."""

import asyncio
import json

import pytest

from seedance_async.simulator import ConnectionDropped, FaultPlan, InProcess, Simulator, run

from .asking import FAST, FOX, HEADERS, LATER, read

BODY = json.dumps(FOX).encode()


def test_a_url_or_a_target_reaches_the_simulator() -> None:
    """The origin is ignored, query and escapes stay as they are."""

    async def main() -> None:
        wire = InProcess(Simulator())
        url = f"https://model-api.runcomfy.net/v1/models/{FAST}"
        request_id = read(await wire.exchange("POST", url, HEADERS, BODY))["request_id"]
        await asyncio.sleep(LATER)
        target = f"/v1/requests/{request_id}/result?include_cost=true"
        for address in (target, "http://x" + target):
            document = read(await wire.exchange("GET", address, HEADERS))
            assert document["cost"] == 0.25
        video = await wire.exchange("GET", document["output"]["video"])
        assert video.headers["Content-Type"] == "video/mp4"
        assert (await wire.exchange("GET", "http://x", HEADERS)).status == 404

    run(main)


@pytest.mark.parametrize("name", ["drop-before-accept", "drop-after-accept", "truncated-json"])
def test_a_connection_that_closes_is_an_exception(name: str) -> None:
    """Nothing of an answer that is not whole comes through."""

    async def main() -> None:
        wire = InProcess(Simulator(faults=FaultPlan({name: 1.0})))
        with pytest.raises(ConnectionDropped) as caught:
            await wire.exchange("POST", f"/v1/models/{FAST}", HEADERS, BODY)
        assert caught.value.sent

    run(main)


def test_a_slow_answer_takes_its_time_and_a_cancelled_one_was_received() -> None:
    """The delay is the loop's; who leaves meanwhile has submitted all the same."""

    async def main() -> None:
        plan = FaultPlan({"slow": 1.0}, slow_seconds=40.0)
        wire = InProcess(Simulator(faults=plan))
        await wire.exchange("POST", f"/v1/models/{FAST}", HEADERS, BODY)
        assert asyncio.get_running_loop().time() == 40.0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await wire.exchange("POST", f"/v1/models/{FAST}", HEADERS, BODY)
        assert len(wire.simulator.books.accepted) == 2

    run(main)


def test_a_spoilt_video_comes_whole_with_its_cut_after_its_time() -> None:
    """Whoever streams decides what to do with `cut`; a slow body takes its seconds."""

    async def main() -> None:
        plan = FaultPlan({"truncated-video": 1.0, "slow-video": 1.0}, slow_bandwidth=100.0)
        wire = InProcess(Simulator(faults=plan))
        reply = await wire.exchange("POST", f"/v1/models/{FAST}", HEADERS, BODY)
        await asyncio.sleep(LATER)
        target = f"/v1/requests/{read(reply)['request_id']}/result"
        url = read(await wire.exchange("GET", target, HEADERS))["output"]["video"]
        begin = asyncio.get_running_loop().time()
        video = await wire.exchange("GET", url)
        assert video.cut == len(video.body) // 2
        took = asyncio.get_running_loop().time() - begin
        assert took == pytest.approx(len(video.body) / 100)

    run(main)
