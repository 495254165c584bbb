"""What pytest sees: two fixtures, a mark, a runner for `async def` tests, and a word on failures.

PYTEST_DONT_REWRITE: nothing here asserts, and it may have been imported before.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Generator, Iterator
from typing import Any, Final, NoReturn

import attrs
import pytest

from seedance_async.credentials import BASE_URL_VARIABLE, TOKEN_VARIABLES
from seedance_async.simulator import FaultPlan, Simulator, VirtualTimeLoop

from .report import tell
from .server import SPEED, SimulatorServer, account_variables, running_simulator
from .session import SimulatedSession

__all__ = ["seedance_session", "seedance_simulator"]

_MARK: Final = (
    "seedance(capacity=8, seed=0, faults=FaultPlan(...), ...): arguments of the Simulator "
    "behind the fixtures seedance_simulator and seedance_session"
)
_SET_BY_DRIVERS: Final = {"public_url", "epoch", "life"}
_KNOWN: Final = tuple(
    name for name in inspect.signature(Simulator).parameters if name not in _SET_BY_DRIVERS
)


@attrs.frozen
class _Used:
    """What a test has of ours: the simulator, and what it was made with."""

    double: SimulatorServer | SimulatedSession
    arguments: dict[str, Any]


_USED: Final = pytest.StashKey[list[_Used]]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", _MARK)


@pytest.fixture
def seedance_simulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SimulatorServer]:
    """Serve a simulator on loopback, a port of its own, to any number of processes.

    Sockets wait in real time, so the speed is 1000. The environment names it as the account:
    what looks there, in this process or in children, finds it and nobody who takes money.
    """
    arguments = _arguments(request.node, speed=SPEED)
    with running_simulator(Simulator(**arguments)) as server:
        _enter(request.node, server, arguments)
        _pretend(monkeypatch, server.base_url, server.token)
        yield server


@pytest.fixture
def seedance_session(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SimulatedSession]:
    """Make a session on a simulator in this process; open it with `async with`, or in an app.

    An `async def` test that no other plugin runs has virtual time. The environment names a dead
    address as the account: a session that the test forgot to replace fails, and pays nobody.
    """
    arguments = _arguments(request.node)
    session = SimulatedSession(Simulator(**arguments))
    _enter(request.node, session, arguments)
    if "seedance_simulator" not in request.fixturenames:
        _pretend(monkeypatch, session.transport.base_url, "simulator-token")
    yield session
    if session.abandon():
        pytest.fail(
            "seedance_session was left open, so its books are not final: use "
            "`async with seedance_session as session:`, or `await session.aclose()`",
            pytrace=False,
        )


@pytest.hookimpl
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test that asks for one of our fixtures, unless another plugin did.

    Those of anyio and pytest-asyncio come first. Time is virtual, except where sockets are in use.
    """
    asked = {"seedance_simulator", "seedance_session"}.intersection(pyfuncitem.fixturenames)
    test = pyfuncitem.obj
    if not asked or not inspect.iscoroutinefunction(test):
        return None
    # As pytest's own runner does it: a patch's arguments and defaults are no fixtures.
    names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    loop_factory = None if "seedance_simulator" in asked else VirtualTimeLoop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(test(**arguments))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what its simulators did."""
    report = yield
    if report.failed:
        for used in item.stash.get(_USED, []):
            text = tell(used.double.simulator, used.double.books, used.arguments)
            report.sections.append(("seedance", text))
    return report


def _arguments(node: pytest.Item, **defaults: Any) -> dict[str, Any]:
    """Collect the marks' arguments for the Simulator, of each the nearest one."""
    found: dict[str, Any] = {}
    for mark in node.iter_markers("seedance"):
        if mark.args:
            _refuse(f"takes names only, as in capacity=1, not {mark.args[0]!r}")
        if unknown := [name for name in mark.kwargs if name not in _KNOWN]:
            _refuse(f"does not know {', '.join(unknown)}; known are {', '.join(_KNOWN)}")
        found = {**mark.kwargs, **found}
    if not isinstance(plan := found.get("faults", FaultPlan()), FaultPlan):
        _refuse(f"wants a FaultPlan as faults, as in FaultPlan({{'429': 0.1}}), not {plan!r}")
    return {"seed": 0, **defaults, **found}


def _refuse(why: str) -> NoReturn:
    pytest.fail(f"@pytest.mark.seedance {why}", pytrace=False)


def _enter(node: pytest.Item, double: SimulatorServer | SimulatedSession, arguments: Any) -> None:
    node.stash.setdefault(_USED, []).append(_Used(double, arguments))


def _pretend(monkeypatch: pytest.MonkeyPatch, base_url: str, token: str) -> None:
    """Let this process's environment name one account, and no other."""
    for name in account_variables(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv(BASE_URL_VARIABLE, base_url)
    monkeypatch.setenv(TOKEN_VARIABLES[0], token)
