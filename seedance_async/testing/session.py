"""A session on a simulator in the same process."""

from __future__ import annotations

import asyncio
import random
import warnings
from typing import Final

from seedance_async.pacing import RetryPolicy
from seedance_async.session import Session
from seedance_async.simulator import Books, InjectedFault, Simulator, VirtualTimeLoop

from .transport import SimulatedTransport

__all__ = ["RealTimeWarning", "SimulatedSession"]

_LATENCY: Final = 0.05
"""Seconds that a request is under way, so that a test can cancel in the middle of a POST."""

_BEARABLE_SPEED: Final = 50.0
"""From this speed on, no job takes more than some seconds of real time."""


class RealTimeWarning(UserWarning):
    """A simulated session on a loop whose clock is real, at a speed that makes tests wait."""


class SimulatedSession(Session):
    """A session on a simulator in the same process, with default settings, not open yet.

    A session with other settings, or the next one after a restart, is a plain `Session`:
    `Session(transport=simulated.transport, clock=simulated.transport.clock, max_in_flight=2)`.

    Args:
        simulator: The double of the service; None makes one.
        latency: Seconds that each request takes on its way to the service.
    """

    def __init__(self, simulator: Simulator | None = None, *, latency: float = _LATENCY) -> None:
        self.transport: Final = SimulatedTransport(simulator or Simulator(), latency=latency)
        retry = RetryPolicy(random=random.Random(self.simulator.seed).random)
        super().__init__(transport=self.transport, clock=self.transport.clock, retry=retry)

    @property
    def simulator(self) -> Simulator:
        """The double of the service."""
        return self.transport.simulator

    @property
    def books(self) -> Books:
        """What the service accepted, billed, cancelled and was asked; final when this is closed."""
        return self.simulator.books

    @property
    def faults_log(self) -> tuple[InjectedFault, ...]:
        """Every fault that happened, oldest first."""
        return self.simulator.faults_log

    async def open(self) -> SimulatedSession:
        """Open the session and return it; see `Session.open`."""
        virtual = isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
        if not virtual and self.simulator.speed < _BEARABLE_SPEED:
            warnings.warn(
                f"this event loop's clock is real, so simulated jobs take as long as real ones "
                f"(speed={self.simulator.speed:g}): run the test on a VirtualTimeLoop, "
                f"or say @pytest.mark.seedance(speed=1000)",
                RealTimeWarning,
                stacklevel=3,
            )
        await super().open()
        return self

    async def __aenter__(self) -> SimulatedSession:
        return await self.open()

    def abandon(self) -> bool:
        """Give up what cannot be closed any more, its loop is gone; tell whether it was open."""
        was_open = self._lifetime.state is not None
        self._lifetime.state = None
        return was_open
