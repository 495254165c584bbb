"""The simulator for other people's tests, as pytest sees it: fixtures, mark, runner, report."""

from __future__ import annotations

import asyncio
import os

import pytest

from seedance_async import ProFastTextToVideo, Session
from seedance_async.simulator import FaultPlan, VirtualTimeLoop
from seedance_async.testing import SimulatedSession, SimulatorServer

FOX = ProFastTextToVideo(text="A red fox")

STRICT = ["-W", "error", "--strict-markers", "-p", "no:cacheprovider"]

CONFTEST = """
from seedance_async.testing import SimulatedSession  # imported before pytest loads the plugin

pytest_plugins = ["seedance_async.testing"]
"""

HEAD = """
import asyncio
import pytest
from seedance_async import ProFastTextToVideo, Session
from seedance_async.simulator import Account, Fault, FaultPlan, VirtualTimeLoop

FOX = ProFastTextToVideo(text="A red fox")

def is_virtual():
    return isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
"""


@pytest.fixture
def others(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a project of somebody else's, whose conftest.py has our line."""
    pytester.makeconftest(CONFTEST)
    return pytester


def run(project: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    project.makepyfile(HEAD + tests)
    return project.runpytest_inprocess(*STRICT, *options)


def test_a_conftest_may_import_from_it_first(others: pytest.Pytester) -> None:
    """With warnings as errors. A process of its own, for here everything is imported already."""
    others.makepyfile(HEAD + "async def test_it(seedance_session): assert is_virtual()")
    others.runpytest_subprocess(*STRICT).assert_outcomes(passed=1)


# --- who runs an async test ----------------------------------------------------------------


async def test_an_async_test_with_a_session_runs_on_virtual_time(
    seedance_session: SimulatedSession,
) -> None:
    assert isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
    async with seedance_session:
        await asyncio.sleep(3600)


async def test_an_async_test_with_a_socket_runs_on_real_time(
    seedance_simulator: SimulatorServer, seedance_session: SimulatedSession
) -> None:
    assert not isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
    assert seedance_simulator.simulator is not seedance_session.simulator


@pytest.mark.parametrize("number", [1, 2])
class TestOfAClass:
    async def test_methods_and_parameters_are_passed(
        self, number: int, seedance_session: SimulatedSession
    ) -> None:
        assert number in (1, 2)
        assert isinstance(self, TestOfAClass)


def test_an_async_fixtures_test_is_left_to_whoever_runs_it_without_ours(
    others: pytest.Pytester,
) -> None:
    """What asks for no fixture of ours fails as it always did."""
    run(others, "async def test_it(): pass\n", "-p", "no:anyio").assert_outcomes(failed=1)


def test_an_async_test_may_skip_and_fail(others: pytest.Pytester) -> None:
    tests = """
async def test_skips(seedance_session):
    pytest.skip("not today")

async def test_fails(seedance_session):
    assert not is_virtual()
"""
    run(others, tests).assert_outcomes(skipped=1, failed=1)


def test_anyios_mark_comes_first_and_can_have_virtual_time(others: pytest.Pytester) -> None:
    """With the `anyio_backend` that the README shows, async fixtures are on it too."""
    tests = """
@pytest.fixture
def anyio_backend():
    return "asyncio", {"loop_factory": VirtualTimeLoop}

@pytest.fixture
async def fox(seedance_session):
    async with seedance_session as session:
        yield await session.submit(FOX)

@pytest.mark.anyio
async def test_it(fox, anyio_backend, seedance_session):
    assert is_virtual()
    await fox
    assert len(seedance_session.books.accepted) == 1
"""
    run(others, tests).assert_outcomes(passed=1)


def test_anyios_mark_alone_means_its_own_loop(others: pytest.Pytester) -> None:
    tests = """
@pytest.mark.anyio
@pytest.mark.seedance(speed=1000)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it(seedance_session):
    async with seedance_session:
        assert not is_virtual()
"""
    run(others, tests).assert_outcomes(passed=1)


# --- the mark ------------------------------------------------------------------------------


@pytest.mark.seedance(capacity=2, seed=3, max_queue=5)
class TestOfAMark:
    @pytest.mark.seedance(seed=4, max_queue=7)
    def test_the_nearest_mark_wins_for_each_argument(
        self, seedance_session: SimulatedSession, seedance_simulator: SimulatorServer
    ) -> None:
        for simulator in (seedance_session.simulator, seedance_simulator.simulator):
            assert (simulator.seed, simulator.max_queue, simulator.capacity) == (4, 7, 2)

    def test_a_class_marks_all_its_tests(self, seedance_session: SimulatedSession) -> None:
        assert seedance_session.simulator.seed == 3


def test_without_a_mark_sockets_are_fast_and_sessions_take_their_time(
    seedance_session: SimulatedSession, seedance_simulator: SimulatorServer
) -> None:
    assert seedance_session.simulator.speed == 1
    assert seedance_simulator.simulator.speed == 1000
    assert seedance_session.simulator.seed == seedance_simulator.simulator.seed == 0


@pytest.mark.seedance(token="sk-of-the-test", speed=7, faults=FaultPlan({"429": 0.5}))
def test_a_mark_reaches_the_server(seedance_simulator: SimulatorServer) -> None:
    assert seedance_simulator.simulator.speed == 7
    assert seedance_simulator.token == os.environ["RUNCOMFY_TOKEN"] == "sk-of-the-test"
    assert seedance_simulator.simulator.faults == FaultPlan({"429": 0.5})


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("capcity=1", "*does not know capcity; known are *capacity*"),
        ("public_url='x'", "*does not know public_url*"),
        ("1", "*takes names only, as in capacity=1, not 1*"),
        ("faults={'429': 1}", "*wants a FaultPlan as faults*"),
    ],
)
@pytest.mark.parametrize("fixture", ["seedance_simulator", "seedance_session"])
def test_a_wrong_mark_is_told(others: pytest.Pytester, mark: str, words: str, fixture: str) -> None:
    result = run(others, f"@pytest.mark.seedance({mark})\ndef test_it({fixture}): pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([words])


# --- what cannot go wrong ------------------------------------------------------------------


def test_no_test_reaches_the_paid_service(
    others: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that a test forgot to replace finds the simulator, or nothing: never the money."""
    for variable in ("RUNCOMFY_TOKEN", "RUNCOMFY_API_KEY"):
        monkeypatch.setenv(variable, "sk-the-developers-own")
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", "https://paid.example")
    tests = """
import os
ours = lambda: {name: value for name, value in os.environ.items() if "RUNCOMFY" in name}

def test_with_a_server(seedance_simulator):
    assert ours() == {
        "RUNCOMFY_TOKEN": "simulator-token",
        "RUNCOMFY_MODEL_API_BASE": seedance_simulator.base_url,
    }

def test_with_a_session(seedance_session):
    assert ours() == {
        "RUNCOMFY_TOKEN": "simulator-token",
        "RUNCOMFY_MODEL_API_BASE": "http://127.0.0.1:9",
    }

def test_with_both(seedance_simulator, seedance_session):
    assert os.environ["RUNCOMFY_MODEL_API_BASE"] == seedance_simulator.base_url

def test_with_both_the_other_way(seedance_session, seedance_simulator):
    assert os.environ["RUNCOMFY_MODEL_API_BASE"] == seedance_simulator.base_url

def test_without():
    assert os.environ["RUNCOMFY_MODEL_API_BASE"] == "https://paid.example"
"""
    run(others, tests).assert_outcomes(passed=5)


def test_a_session_left_open_is_told_and_does_not_hang(others: pytest.Pytester) -> None:
    tests = """
async def test_it(seedance_session):
    session = await seedance_session.open()
    await session.submit(FOX)
"""
    result = run(others, tests)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*seedance_session was left open*async with*"])


@pytest.mark.seedance(speed=1000)
async def test_the_environment_is_enough_for_an_application(
    seedance_simulator: SimulatorServer,
) -> None:
    """`Session()` finds it. Real sockets, so real time."""
    async with Session(exit_timeout=0) as session:
        job = await session.submit(FOX)
    assert [entry.request_id for entry in seedance_simulator.books.accepted] == [job.request_id]


# --- what a failure shows ------------------------------------------------------------------


def test_a_failure_shows_seed_faults_and_books(others: pytest.Pytester) -> None:
    tests = """
@pytest.mark.seedance(seed=5, account=Account.ACTIVE)
@pytest.mark.seedance(faults=FaultPlan([Fault("drop-after-accept", until=60)]))
async def test_in_process(seedance_session):
    async with seedance_session as session:
        await session.generate(FOX)

@pytest.mark.seedance(capacity=1)
async def test_over_sockets(seedance_simulator):
    async with Session(exit_timeout=0) as session:
        await session.submit(FOX)
    pytest.fail("so it is")

def test_passes(seedance_session):
    pass
"""
    result = run(others, tests, "-rP")
    result.assert_outcomes(passed=1, failed=2)
    plan = "faults=FaultPlan(faults=[[]Fault(name='drop-after-accept', until=60)])"  # [[]: a [
    result.stdout.fnmatch_lines(
        [
            "*- seedance -*",
            f"repeat with @pytest.mark.seedance(seed=5, account=Account.ACTIVE, {plan})",
            "faults that happened*: 1",
            '  {"at": *, "name": "drop-after-accept", "endpoint": "submit", *}',
            "books: accepted 1, cancelled 0, billed 0.25 USD, paid twice 0; requests: submit 1",
            '  *-*-*-*, polled 0 times: {*"text":"A red fox"}',
            "*- seedance -*",
            "repeat with @pytest.mark.seedance(seed=0, speed=1000.0, capacity=1)",
            "faults that happened*: none",
            "books: accepted 1,*",
        ]
    )
    assert result.stdout.str().count("- seedance -") == 2


def test_a_long_story_is_cut(others: pytest.Pytester) -> None:
    tests = """
async def test_it(seedance_session):
    async with seedance_session as session:
        async with session.map([FOX] * 50) as results:
            async for done in results:
                pass
    pytest.fail("so it is")
"""
    result = run(others, tests)
    result.stdout.fnmatch_lines(["books: accepted 50,*", "  and 10 more"])
    assert result.stdout.str().count(", polled ") == 40
