"""A simulator on loopback, in a thread of its own, for whatever speaks HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import attrs
from anyio.from_thread import BlockingPortal, start_blocking_portal

from seedance_async.credentials import BASE_URL_VARIABLE, TOKEN_VARIABLES
from seedance_async.simulator import Books, InjectedFault, Simulator

__all__ = ["SPEED", "SimulatorServer", "account_variables", "running_simulator"]

SPEED: Final = 1000.0
"""How much faster than real jobs: tens of milliseconds each, for these wait in real time."""

_TURNS: Final = 100
"""Turns of the server's loop in which what was sent arrives; one that is idle takes no time."""


@attrs.define(eq=False)
class SimulatorServer:
    """A simulator that listens until its block or its test is over.

    Attributes:
        simulator: The double of the service, which works in another thread: set its `account` or
            `token`, but send it nothing.
        base_url: Where it listens, without a slash at the end.
    """

    simulator: Simulator
    base_url: str
    _portal: BlockingPortal | None = attrs.field(repr=False, alias="portal")

    @property
    def token(self) -> str:
        """A token that it accepts."""
        return self.simulator.token or "any-token"

    @property
    def environ(self) -> dict[str, str]:
        """An environment for child processes: this one's, with this account and no other."""
        own = account_variables(os.environ)
        rest = {name: value for name, value in os.environ.items() if name not in own}
        return {**rest, BASE_URL_VARIABLE: self.base_url, TOKEN_VARIABLES[0]: self.token}

    @property
    def books(self) -> Books:
        """What it accepted, billed, cancelled and was asked, with all that was sent until now.

        That holds for what clients have sent who were killed since, too.
        """
        if self._portal is not None:
            self._portal.call(_arrive)
        return self.simulator.books

    @property
    def faults_log(self) -> tuple[InjectedFault, ...]:
        """Every fault that happened, oldest first."""
        return self.simulator.faults_log

    def _closed(self) -> None:
        self._portal = None


@contextmanager
def running_simulator(
    simulator: Simulator | None = None, *, port: int = 0
) -> Iterator[SimulatorServer]:
    """Serve a simulator on loopback inside the block, from a thread that ends with the block.

    Args:
        simulator: One that nothing else drives; None makes one at a speed of 1000.
        port: 0: any that is free.

    Raises:
        OSError: The port is taken.
    """
    from seedance_async.simulator.web import serve  # brings a web server, which takes its time

    simulator = simulator or Simulator(speed=SPEED)
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(serve(simulator, port=port)) as listening,
    ):
        server = SimulatorServer(simulator, listening.base_url, portal)
        try:
            yield server
        finally:
            portal.call(_arrive)
            server._closed()  # noqa: SLF001 - its books are read without the thread from here on


def account_variables(environ: os._Environ[str]) -> frozenset[str]:
    """Name the variables that say which account is used, at which address."""
    return frozenset(
        name for name in environ if name.startswith("RUNCOMFY_") or name in TOKEN_VARIABLES
    )


async def _arrive() -> None:
    """Let the loop read what is in this machine's sockets; each turn takes it a step further."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
