"""A TCP proxy that knows HTTP well enough to cut it exactly where a test wants.

It lives in the client's own event loop, on sockets of its own: between its last look at a socket
and its cut no client can act, so it knows of each POST whether its answer was passed on whole.
That number, `posts_cut`, is what doubts are judged by.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Final

from tests.torture.exchanges import Cut, Exchange, Kind, Place, Way
from tests.torture.links import End, Flow, Link, Road

__all__ = ["Cut", "Exchange", "Flow", "Kind", "Place", "Proxy", "Way", "storm"]

_HOST: Final = "127.0.0.1"


class Proxy:
    """Stands between clients and a service on loopback, inside an `async with` block.

    Attributes:
        up: The direction to the service; see `set_flow`.
        down: The direction to the clients.
        idle_limit: Seconds of silence after which a connection is forgotten, as a NAT does: what
            is sent on it then is swallowed.
        exchanges: All that reached it, in order.
        struck: Connections that it ended, made black holes or forgot.
    """

    def __init__(self, service_port: int) -> None:
        self.service_port = service_port
        self.up = Road()
        self.down = Road()
        self.idle_limit: float | None = None
        self.exchanges: list[Exchange] = []
        self.struck = 0
        self._cuts: list[Cut] = []
        self._links: set[Link] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        # It never listens: it keeps the port while nobody is let in.
        self._keeper = _bind(0)
        self._port: int = self._keeper.getsockname()[1]

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://{_HOST}:{self._port}"

    @property
    def posts_cut(self) -> int:
        """How many submissions came whose answer did not go back whole."""
        return sum(e.kind is Kind.SUBMIT and not e.answered for e in self.exchanges)

    def count(self, kind: Kind) -> int:
        """Return how many requests of a kind came."""
        return sum(exchange.kind is kind for exchange in self.exchanges)

    # --- what a test may do ----------------------------------------------------------------

    def plan(self, cut: Cut) -> None:
        """Cut the next request of a kind; of several cuts of a kind each meets one request."""
        self._cuts.append(cut)

    def set_flow(self, road: Road, flow: Flow, seconds: float = 0.0) -> None:
        """Let bytes of one direction go otherwise from now on; `seconds` for delay and trickle."""
        road.flow, road.seconds = flow, seconds
        for link in tuple(self._links):
            link.go()

    def partition(self) -> None:
        """Let nothing through in either direction."""
        self.set_flow(self.up, Flow.STALL)
        self.set_flow(self.down, Flow.STALL)

    def strike_all(self, way: Way) -> None:
        """End all connections that are open now."""
        for link in tuple(self._links):
            link.strike(way)

    def refuse(self) -> None:
        """Let nobody in any more; who has come in before that is served."""
        if self._listener is not None:
            self._accept()
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def listen(self) -> None:
        """Let clients in."""
        if self._listener is None:
            self._listener = _bind(self._port)
            self._listener.listen(1000)
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def heal(self) -> None:
        """Let all through from now on, also what has been waiting; drop the planned cuts."""
        self._cuts.clear()
        self.idle_limit = None
        self.set_flow(self.up, Flow.PASS)
        self.set_flow(self.down, Flow.PASS)
        self.listen()

    # --- what links ask --------------------------------------------------------------------

    def note(self, exchange: Exchange) -> Cut | None:
        """Write down a request, and return the cut that is meant for it."""
        self.exchanges.append(exchange)
        cut = next((cut for cut in self._cuts if cut.kind is exchange.kind), None)
        if cut is not None:
            self._cuts.remove(cut)
        return cut

    def ended(self, link: Link) -> None:
        """Take note that both ends of a link are closed."""
        self._links.discard(link)

    # --- its own life ----------------------------------------------------------------------

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                accepted, _ = self._listener.accept()
            except BlockingIOError:
                return
            accepted.setblocking(False)
            # Else the system holds small pieces back, in real time, which is for ever in virtual.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.get_running_loop().create_task(self._open(accepted))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        link = Link(self, accepted)
        try:
            await loop.create_connection(lambda: End(link.service), _HOST, self.service_port)
        except OSError:
            accepted.close()
            return
        self._links.add(link)
        await loop.connect_accepted_socket(lambda: End(link.client), accepted)
        if link.service.transport is None:  # the service left at once
            link.client.close()

    async def __aenter__(self) -> Proxy:
        self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.refuse()
        while self._opening:
            await asyncio.wait(self._opening)
        for link in tuple(self._links):
            link.abort()
        while self._links:
            await asyncio.sleep(0)
        self._keeper.close()


def _bind(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setblocking(False)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((_HOST, port))
    return bound


# --- a schedule ------------------------------------------------------------------------------


async def storm(proxy: Proxy, dice: random.Random, seconds: float) -> None:
    """Let all troubles come by turns that the dice choose, for so long; then heal."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        dice.choice(_TROUBLES)(proxy, dice)
        await asyncio.sleep(dice.uniform(1, 40))
        if dice.random() < 0.7:
            proxy.heal()
            await asyncio.sleep(dice.uniform(1, 10))
    proxy.heal()


def _cut_some(proxy: Proxy, dice: random.Random) -> None:
    for _ in range(dice.randint(2, 8)):
        kind = dice.choice([Kind.SUBMIT, Kind.SUBMIT, Kind.POLL, Kind.VIDEO])
        places = [p for p in Place if kind is Kind.SUBMIT or p is not Place.REQUEST_BODY]
        proxy.plan(Cut(kind, dice.choice(places), dice.choice(list(Way))))


_TROUBLES: Final[tuple[Callable[[Proxy, random.Random], None], ...]] = (
    lambda proxy, _dice: proxy.partition(),
    lambda proxy, _dice: proxy.set_flow(proxy.up, Flow.STALL),
    lambda proxy, _dice: proxy.set_flow(proxy.down, Flow.STALL),
    lambda proxy, dice: proxy.set_flow(proxy.up, Flow.TRICKLE, dice.uniform(0.01, 2)),
    lambda proxy, dice: proxy.set_flow(proxy.down, Flow.TRICKLE, dice.uniform(0.01, 2)),
    lambda proxy, dice: proxy.set_flow(proxy.down, Flow.DELAY, dice.uniform(1, 50)),
    lambda proxy, _dice: proxy.refuse(),
    lambda proxy, dice: proxy.strike_all(dice.choice(list(Way))),
    _cut_some,
    _cut_some,
    _cut_some,
)
