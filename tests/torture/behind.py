"""A batch behind the proxy, on virtual time: real sockets, the product's own time limits.

The client, the proxy and the service share one event loop, so that nothing is on its way where no
socket has anything to read: then the clock may jump. Thus a test waits out a POST of 100 s in no
time, and depends on no machine's speed.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp.connector
import attrs
import pytest

from seedance_async import FixedPolling, Session
from seedance_async.batch.edges import RowState
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.report import BatchReport
from seedance_async.batch.resolving import Decision, settle
from seedance_async.batch.running import run_batch
from seedance_async.simulator import Books, Simulator, VirtualTimeLoop, canonical_json
from seedance_async.simulator.web import serve
from tests.session.scene import fox
from tests.torture.proxy import Proxy

__all__ = ["Behind", "behind", "doubts_of", "play", "settle_doubts", "states_of"]

TOKEN: Final = "simulator-token"


class _QuietLoop(VirtualTimeLoop):
    """Lets the clock jump only after a look at all sockets that found nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet = False
        self.hold_while(self._is_not_quiet)

    def _is_not_quiet(self) -> bool:
        was_quiet, self._quiet = self._quiet, True
        return not was_quiet

    def _process_events(self, events: list[tuple[selectors.SelectorKey, int]]) -> None:
        if events:
            self._quiet = False
        super()._process_events(events)  # type: ignore[misc]

    def _jump(self, seconds: float) -> None:
        self._quiet = False
        super()._jump(seconds)


def play(monkeypatch: pytest.MonkeyPatch, scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a scene on virtual time, and assert that no task is left of it."""

    async def main() -> None:
        await scene()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks are left: {left}"

    loop = _QuietLoop()
    # aiohttp asks another clock than the loop's how long a connection has been idle.
    monkeypatch.setattr(aiohttp.connector, "monotonic", loop.time)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


@attrs.frozen
class Behind:
    """A folder, and a service that its batches reach through the proxy only."""

    folder: Path
    simulator: Simulator
    proxy: Proxy

    def session(self, **settings: Any) -> Session:
        """Return a session as the command line's, not open yet; it polls seldom."""
        loop = asyncio.get_running_loop()
        settings.setdefault("clock", lambda: self.simulator.epoch + loop.time())
        settings.setdefault("polling", FixedPolling(10.0))
        return Session(
            TOKEN, base_url=self.proxy.url, exit_timeout=0.0, on_abort="detach", **settings
        )

    async def run(
        self, rows: Any, *, session: Mapping[str, Any] | None = None, **wishes: Any
    ) -> BatchReport:
        """Run the batch's command once, in a session of its own."""
        async with self.session(**(session or {})) as opened:
            return await run_batch(rows, session=opened, out=self.folder, **wishes)

    async def settle_doubts(self) -> int:
        """Decide all doubts as the service's books say; see `settle_doubts`."""
        return await settle_doubts(self.folder, self.proxy.url, self.simulator.books)


@asynccontextmanager
async def behind(folder: Path, **simulator: Any) -> AsyncIterator[Behind]:
    """Serve a simulator behind a proxy, to which its videos' addresses lead as well.

    The service keeps idle connections for long, so that what is late still arrives.
    """
    service = Simulator(**simulator)
    async with serve(service, keepalive_seconds=3600.0) as server:
        async with Proxy(int(server.base_url.rpartition(":")[2])) as proxy:
            service.public_url = proxy.url
            yield Behind(folder, service, proxy)


async def states_of(folder: Path) -> dict[str, RowState]:
    """Return each row's state by key."""
    async with await Ledger.read(folder) as ledger:
        return {entry.key: entry.state async for entry in ledger.rows()}


async def doubts_of(folder: Path) -> list[str]:
    """Return the keys of the rows in doubt."""
    states = await states_of(folder)
    return [key for key, state in states.items() if state is RowState.IN_DOUBT]


async def settle_doubts(folder: Path, origin: str, books: Books) -> int:
    """Decide each doubt about a fox as a person with the service's books would.

    Returns:
        How many there were.
    """
    ids = {entry.body: entry.request_id for entry in books.accepted}
    keys = await doubts_of(folder)
    bodies = {key: canonical_json(fox(int(key.rpartition("-")[2])).input()) for key in keys}
    async with await Ledger.open(folder, origin=origin) as ledger:
        await settle(ledger, [Decision(key, ids.get(body), None) for key, body in bodies.items()])
    return len(keys)
