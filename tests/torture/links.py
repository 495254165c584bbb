"""One connection through the proxy: two sockets, a lane in each direction, and its end."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol

import attrs

from tests.torture.exchanges import Cut, Exchange, Messages, Piece, Place, Way, kind_of

__all__ = ["End", "Flow", "Link", "Road"]

_AT_ONCE: Final = 1 << 16
_FEW: Final = 50
"""Bytes that trickle at a time."""


class Flow(StrEnum):
    """How bytes go in one direction."""

    PASS = "pass"
    STALL = "stall"
    """They wait, and go on when this ends, even if whoever sent them has left."""
    TRICKLE = "trickle"
    """A few at a time."""
    DELAY = "delay"
    """Late."""


@attrs.define(eq=False)
class Road:
    """What holds for one direction of all connections."""

    flow: Flow = Flow.PASS
    seconds: float = 0.0
    """How late bytes are, or the pause between a few and the next few."""


@attrs.define(eq=False)
class _Side:
    """One end of a link: its transport while it is open, and whom it tells."""

    received: Callable[[bytes], None]
    lost: Callable[[], None]
    transport: asyncio.Transport | None = None

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class End(asyncio.Protocol):
    """Gives a side what its socket says."""

    def __init__(self, side: _Side) -> None:
        self._side = side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._side.transport = transport

    def data_received(self, data: bytes) -> None:
        self._side.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._side.transport = None
        self._side.lost()


class Owner(Protocol):
    """What a link needs of its proxy; the attributes are those of `Proxy`."""

    up: Road
    down: Road
    idle_limit: float | None
    struck: int

    def note(self, exchange: Exchange) -> Cut | None:
        """Write down a request, and return the cut that is meant for it."""
        ...

    def ended(self, link: Link) -> None:
        """Take note that both ends of a link are closed."""
        ...


class Link:
    """A client's connection, and the one to the service that goes with it."""

    def __init__(self, proxy: Owner, accepted: socket.socket) -> None:
        self._proxy = proxy
        self._socket = accepted
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self.client = _Side(self._from_client, self._client_lost)
        self.service = _Side(self._from_service, self._service_lost)
        self._up = _Lane(proxy.up, self.service.write)
        self._down = _Lane(proxy.down, self.client.write)
        self._requests, self._answers = Messages(), Messages()
        self._exchange: Exchange | None = None
        self._cut: Cut | None = None
        self._dead = False
        self._awaiting = False

    def go(self) -> None:
        """Send what may be sent now."""
        self._up.go()
        self._down.go()

    def strike(self, way: Way) -> None:
        """End the client's connection; the service still answers what has reached it."""
        if self.client.transport is None or self._dead:
            return
        self._proxy.struck += 1
        self._dead = True
        if way is Way.CLOSE:
            self.client.close()
        elif way is Way.RESET:
            linger = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.client.transport.abort()

    def abort(self) -> None:
        """End both connections, whatever is under way."""
        for side in (self.client, self.service):
            if side.transport is not None:
                side.transport.abort()

    # --- to the service --------------------------------------------------------------------

    def _from_client(self, data: bytes) -> None:
        limit, silence = self._proxy.idle_limit, self._loop.time() - self._heard_at
        self._heard_at = self._loop.time()
        if limit is not None and silence > limit:
            self.strike(Way.STALL)
        for piece in self._requests.feed(data):
            if piece.in_head:
                self._exchange = Exchange(kind_of(piece.data), piece.data.lower())
                self._cut = self._proxy.note(self._exchange)
            place = Place.REQUEST_HEAD if piece.in_head else Place.REQUEST_BODY
            if not self._dead:
                self._send(self._up, piece, place, self._requested)

    def _requested(self) -> None:
        assert self._exchange is not None
        self._exchange.requested = self._awaiting = True
        if self._cut is not None and self._cut.place is Place.BEFORE_ANSWER:
            self.strike(self._cut.way)

    # --- to the client ---------------------------------------------------------------------

    def _from_service(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        for piece in self._answers.feed(data):
            place = Place.ANSWER_HEAD if piece.in_head else Place.ANSWER_BODY
            self._send(self._down, piece, place, self._answered)

    def _answered(self) -> None:
        self._awaiting = False
        if self.client.transport is None:
            self.service.close()  # nobody waits for more
        elif self._exchange is not None and not self._dead:
            self._exchange.answered = True

    # --- both ------------------------------------------------------------------------------

    def _send(
        self, lane: _Lane, piece: Piece, place: Place, at_the_end: Callable[[], None]
    ) -> None:
        point = None
        if self._cut is not None and self._cut.place is place and not self._dead:
            point = piece.point(self._cut.after)
        if point is not None:
            lane.send(piece.data[:point], self._strike_as_planned)
        else:
            lane.send(b"" if self._dead else piece.data, at_the_end if piece.ends else None)

    def _strike_as_planned(self) -> None:
        assert self._cut is not None
        self.strike(self._cut.way)

    def _client_lost(self) -> None:
        if last := self._unread():
            self._from_client(last)
        # What the client sent before it left may still be on its way, and arrives.
        self._up.send(b"", self._nothing_more)
        self._end_if_over()

    def _unread(self) -> bytes:
        """Return what came on a connection that was cut before it could be read."""
        try:
            return b"" if not self._dead else self._socket.recv(_AT_ONCE)
        except OSError:
            return b""

    def _nothing_more(self) -> None:
        if not self._awaiting:
            self.service.close()

    def _service_lost(self) -> None:
        if not self._dead:
            self._down.send(b"", self.client.close)
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self.client.transport is None and self.service.transport is None:
            self._up.clear()
            self._down.clear()
            self._proxy.ended(self)


class _Lane:
    """One direction of a link: bytes in order, each with what is to be done when they are gone."""

    def __init__(self, road: Road, write: Callable[[bytes], None]) -> None:
        self._road = road
        self._write = write
        self._queue: deque[tuple[float, bytes, Callable[[], None] | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def send(self, data: bytes, then: Callable[[], None] | None) -> None:
        late = self._road.seconds if self._road.flow is Flow.DELAY else 0.0
        self._queue.append((asyncio.get_running_loop().time() + late, data, then))
        self.go()

    def go(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        while self._queue and self._road.flow is not Flow.STALL:
            due, data, then = self._queue.popleft()
            if due > loop.time():
                self._queue.appendleft((due, data, then))
                self._timer = loop.call_at(due, self.go)
                return
            if self._road.flow is Flow.TRICKLE and len(data) > _FEW:
                due = loop.time() + self._road.seconds
                self._queue.appendleft((due, data[_FEW:], then))
                data, then = data[:_FEW], None
            self._write(data)
            if then is not None:
                then()

    def clear(self) -> None:
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
