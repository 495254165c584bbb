"""A session's network without a network: requests go straight to a simulator in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from seedance_async.bodies import MAX_BODY_BYTES, Answer
from seedance_async.errors import TransportError
from seedance_async.simulator import ConnectionDropped, InProcess, Reply, Simulator

__all__ = ["SimulatedTransport"]


class SimulatedTransport:
    """A `Transport` that asks a simulator in the same process.

    Args:
        simulator: The double of the service.
        latency: Seconds that each request takes on its way to the service.
    """

    def __init__(self, simulator: Simulator, *, latency: float = 0.0) -> None:
        self.simulator = simulator
        self._latency = latency
        self._exchange = InProcess(simulator).exchange
        simulator.public_url = self.base_url

    @property
    def base_url(self) -> str:
        """An address that nothing listens at."""
        return "http://127.0.0.1:9"

    def clock(self) -> float:
        """Tell the wall-clock time of the simulator, in seconds since the epoch."""
        return self.simulator.epoch + asyncio.get_running_loop().time()

    async def send(
        self, method: str, path: str, body: bytes | None = None, *, timeout: float
    ) -> Answer:
        """Ask the simulator once; see `Transport.send`."""
        headers = {"Authorization": f"Bearer {self.simulator.token or 'any-token'}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        sent = False
        try:
            async with asyncio.timeout(timeout):
                if self._latency:
                    await asyncio.sleep(self._latency)
                sent = True
                reply = await self._exchange(method, path, headers, body or b"")
        except ConnectionDropped as dropped:
            raise TransportError(
                f"no answer to {method} {path}: {dropped}", sent=dropped.sent
            ) from None
        except TimeoutError:
            raise TransportError(
                f"no answer to {method} {path} within {timeout:g} s", sent=sent or body is None
            ) from None
        return Answer(
            reply.status,
            _lower(reply.headers),
            reply.body[:MAX_BODY_BYTES],
            len(reply.body) <= MAX_BODY_BYTES,
        )

    @asynccontextmanager
    async def stream(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[_SimulatedStream]:
        """Open a video; see `Transport.stream`."""
        try:
            reply = await self._exchange("GET", url, headers)
        except ConnectionDropped as dropped:
            raise TransportError(f"no answer from {url}: {dropped}", sent=dropped.sent) from None
        yield _SimulatedStream(reply)

    async def aclose(self) -> None:
        """Nothing is open."""


class _SimulatedStream:
    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.status = reply.status
        self.headers: Mapping[str, str] = _lower(reply.headers)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body, up to where the simulator cuts it."""
        reply = self._reply
        yield reply.body if reply.cut is None else reply.body[: reply.cut]
        if reply.cut is not None:
            raise TransportError("the download broke off", sent=True)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
