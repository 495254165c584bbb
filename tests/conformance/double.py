"""The double as the checks meet it: busy, and with a clock that no test has to wait for."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import attrs

from seedance_async.simulator import Reply, Simulator
from seedance_async.simulator.delays import Delay, Fixed
from seedance_async.simulator.web import serve

from .settings import CHEAPEST

STEP = 2.0
"""Seconds that pass at the service with each request: a job takes seven requests."""

Change = Callable[[str, str, Reply], Reply]
"""Makes another answer of the one that was due, given the method and the target."""


def unchanged(method: str, target: str, reply: Reply) -> Reply:
    """Leave every answer as it is."""
    return reply


@attrs.define(kw_only=True, eq=False)
class Double(Simulator):
    """A simulator whose clock moves with the requests, and where two others wait in front.

    So a job is seen in the queue, at two places, and at work, on any machine, in no time.

    Attributes:
        change: what becomes of every answer.
    """

    capacity: int = 1
    durations: Delay | None = attrs.field(factory=lambda: Fixed(7 * STEP))
    change: Change = unchanged
    _ticks: int = attrs.field(init=False, default=0)
    _first: float | None = attrs.field(init=False, default=None)

    def receive(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        now: float,
        **options: Any,
    ) -> Reply:
        """Take one request at the time that the requests before it have made it."""
        self._first = now if self._first is None else self._first
        self._ticks += 1
        now = self._first + self._ticks * STEP
        if method == "POST" and target.startswith("/v1/models/") and not self.waiting:
            self._crowd(now)
        reply = super().receive(method, target, headers, body, now, **options)
        return self.change(method, target, reply)

    def _crowd(self, now: float) -> None:
        """Let two strangers submit first, so that whoever comes next has to queue."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        for name in (f"a stranger at {now}", f"another stranger at {now}"):
            body = json.dumps({"text": name, "duration": 2}).encode()
            super().receive("POST", f"/v1/models/{CHEAPEST}", headers, body, now)


@contextlib.asynccontextmanager
async def open_double(double: Double) -> AsyncIterator[str]:
    """Serve a double on a port of its own and tell the base URL."""
    async with serve(double) as server:
        yield server.base_url
