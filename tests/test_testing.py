"""The simulator for other people's tests, without pytest: on loopback, and in process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from seedance_async import ProFastTextToVideo, Session
from seedance_async.credentials import TOKEN_VARIABLES
from seedance_async.simulator import FaultPlan, Simulator
from seedance_async.simulator.virtualtime import run
from seedance_async.testing import (
    RealTimeWarning,
    SimulatedSession,
    SimulatorServer,
    running_simulator,
)

FOX = ProFastTextToVideo(text="A red fox")


@contextlib.contextmanager
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def post(server: SimulatorServer, body: bytes) -> socket.socket:
    """Send an order as a client does that will not live to read the answer."""
    place = urlsplit(server.base_url)
    client = socket.create_connection((str(place.hostname), place.port or 0), timeout=10)
    client.sendall(
        f"POST /v1/models/{FOX.model_id} HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    return client


def order(number: int) -> bytes:
    return json.dumps({"text": f"A red fox, take {number}"}).encode()


# --- on loopback ---------------------------------------------------------------------------


def test_a_running_simulator_serves_any_loop_and_ends_with_its_block() -> None:
    """Its books can be read to the last, its port and its thread are free."""

    async def ask() -> None:
        async with Session(server.token, base_url=server.base_url) as session:
            await session.catalog_model(FOX.model_id)

    with no_thread_left(), running_simulator() as server:
        asyncio.run(ask())
        asyncio.run(ask())
    assert server.books.requests("catalog") == 2
    place = urlsplit(server.base_url)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((str(place.hostname), place.port or 0))


def test_a_block_that_raises_leaves_no_thread() -> None:
    with no_thread_left(), pytest.raises(ZeroDivisionError):
        with running_simulator():
            raise ZeroDivisionError


def test_a_start_that_fails_raises_and_leaves_no_thread() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with no_thread_left(), pytest.raises(OSError, match="address already in use"):
            with running_simulator(port=taken.getsockname()[1]):
                pytest.fail("it cannot listen there")


def test_the_end_does_not_wait_for_answers_that_are_late() -> None:
    """Real time, of which a fraction is needed; the answer would take ten minutes."""
    slow = Simulator(faults=FaultPlan({"slow": 1.0}, slow_seconds=600))
    begin = time.monotonic()
    with running_simulator(slow) as server:
        client = post(server, order(1))
        assert len(server.books.accepted) == 1
    client.close()
    assert time.monotonic() - begin < 60


def test_two_simulators_keep_to_themselves() -> None:
    with running_simulator() as one, running_simulator() as other:
        post(one, order(1)).close()
        assert (len(one.books.accepted), len(other.books.accepted)) == (1, 0)


def test_the_books_know_what_a_client_sent_who_has_gone() -> None:
    """Each order is in the books at once, although nobody waited for an answer."""
    with running_simulator() as server:
        for number in range(1, 101):
            post(server, order(number)).close()
            assert len(server.books.accepted) == number


def test_the_end_takes_what_was_sent_before_it() -> None:
    """Nothing is lost between the last order and the end of the block, ten times in a row."""
    for _ in range(10):
        with running_simulator() as server:
            for number in range(20):
                post(server, order(number)).close()
        assert len(server.books.accepted) == 20


def test_the_environment_for_children_names_one_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the developer's tokens and addresses is in it; the rest is as it was."""
    for variable in (*TOKEN_VARIABLES, "RUNCOMFY_MODEL_API_BASE", "RUNCOMFY_CONFIG_DIR"):
        monkeypatch.setenv(variable, "https://the-developers-own.example")
    with running_simulator(Simulator(token="sk-of-the-test")) as server:
        told = server.environ
    assert "https://the-developers-own.example" not in told.values()
    own = {name for name in told if name.startswith(("RUNCOMFY", "YOUR"))}
    assert {name: told[name] for name in own} == {
        "RUNCOMFY_MODEL_API_BASE": server.base_url,
        "RUNCOMFY_TOKEN": "sk-of-the-test",
    }
    assert {name: told[name] for name in told.keys() - own} == {
        name: value for name, value in os.environ.items() if name in told.keys() - own
    }
    assert "PATH" in told


# --- in process ------------------------------------------------------------------------------


def test_a_simulated_session_is_a_session_with_books() -> None:
    simulated = SimulatedSession()

    async def main() -> float:
        async with simulated as session:
            assert session is simulated
            await session.generate(FOX)
        return asyncio.get_running_loop().time()

    assert run(main) > 10, "seconds of virtual time"
    assert simulated.books.billed == 250_000
    assert simulated.books is simulated.simulator.books
    assert simulated.faults_log == ()
    assert not simulated.abandon(), "it is closed"


def test_a_simulated_session_reads_the_simulators_clock() -> None:
    """The service's time stamps and the session's own agree, in whatever year the test runs."""
    simulated = SimulatedSession()

    async def main() -> float | None:
        async with simulated as session:
            return (await session.generate(FOX)).timings.lateness

    lateness = run(main)
    assert lateness is not None
    assert 0 <= lateness < 10


def test_a_second_session_on_the_same_simulator_finds_the_first_ones_jobs() -> None:
    """So an application's restart is tested."""
    simulated = SimulatedSession()

    async def main() -> str:
        job = await (await simulated.open()).submit(FOX)
        simulated.abandon()
        transport = simulated.transport
        async with Session(transport=transport, clock=transport.clock) as again:
            return (await again.attach(job.request_id)).request_id

    assert run(main) == simulated.books.accepted[0].request_id


def test_a_real_clock_warns_unless_jobs_are_fast() -> None:
    """Real time, but no job is waited for."""

    async def main(speed: float) -> None:
        async with SimulatedSession(Simulator(speed=speed)):
            pass

    with pytest.warns(RealTimeWarning, match=r"speed=1\).*VirtualTimeLoop.*seedance\(speed=1000"):
        asyncio.run(main(speed=1.0))
    asyncio.run(main(speed=1000.0))
    run(lambda: main(speed=1.0))


# --- what it costs ---------------------------------------------------------------------------


def test_importing_it_brings_neither_pytest_nor_a_web_server() -> None:
    code = "import sys, seedance_async.testing; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    loaded = set(output.stdout.split())
    assert "seedance_async.testing.server" in loaded
    assert not loaded & {"pytest", "_pytest", "aiohttp.web", "seedance_async.testing.plugin"}


def test_without_its_extra_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['jsonschema'] = None; import seedance_async.testing"
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'seedance-async[simulator]'" in failed.stderr.splitlines()[-1]
