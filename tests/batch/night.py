"""A night of a batch: a folder, a simulator that outlives its runs, and a judge of both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seedance_async import Session
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import RowEntry
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.report import BatchReport, RowChange
from seedance_async.batch.running import run_batch
from seedance_async.models import Request
from seedance_async.simulator import FaultPlan, Simulator
from tests.session.scene import Wire, fox

__all__ = ["Night", "foxes"]

_PAID = {
    RowState.SUBMITTED,
    RowState.TIMED_OUT,
    RowState.SUCCEEDED,
    RowState.DOWNLOADED,
    RowState.FAILED,
    RowState.CANCELLED,
    RowState.LOST,
}


def foxes(number: int, *, duration: int = 5) -> list[tuple[str, Request]]:
    """Return rows with the keys fox-1, fox-2 and so on."""
    return [(f"fox-{n}", fox(n, duration)) for n in range(1, number + 1)]


class Night:
    """Runs batches in one folder against one simulator, as often as they are started."""

    def __init__(
        self,
        folder: Path,
        *,
        faults: list[str] | None = None,
        capacity: int = 8,
        seed: int = 7,
        **options: Any,
    ) -> None:
        self.folder = folder
        self.simulator = Simulator(
            seed=seed, capacity=capacity, faults=FaultPlan.parse(faults or []), **options
        )
        self.wire = Wire(self.simulator, 0.05)
        self.changes: list[RowChange] = []

    def session(self, **settings: Any) -> Session:
        """Return a session on this night's service, not open yet."""
        settings.setdefault("clock", lambda: 1_767_225_600.0 + asyncio.get_running_loop().time())
        settings.setdefault("exit_timeout", 0.0)
        settings.setdefault("on_abort", "detach")
        return Session(transport=self.wire, **settings)

    async def run(
        self, rows: Any, *, session: Mapping[str, Any] | None = None, **wishes: Any
    ) -> BatchReport:
        """Run a batch to its end in a session of its own."""
        wishes.setdefault("on_change", self.changes.append)
        async with self.session(**(session or {})) as opened:
            return await run_batch(rows, session=opened, out=self.folder, **wishes)

    async def entries(self) -> dict[str, RowEntry]:
        """Return what the ledger says of each row, by key."""
        async with await Ledger.read(self.folder) as ledger:
            return {entry.key: entry async for entry in ledger.rows()}

    async def states(self) -> dict[str, str]:
        """Return each row's state, by key."""
        return {key: entry.state.value for key, entry in (await self.entries()).items()}

    def results(self) -> Iterator[dict[str, Any]]:
        """Yield the lines of results.jsonl."""
        for line in (self.folder / "results.jsonl").read_text("utf-8").splitlines():
            yield json.loads(line)

    async def judge(self) -> None:
        """Assert what must hold after any run, however it ended."""
        books = self.simulator.books
        assert not books.paid_twice()
        assert not books.token_leaks
        entries = await self.entries()
        known = {entry.request_id for entry in entries.values() if entry.request_id}
        doubts = sum(entry.state is RowState.IN_DOUBT for entry in entries.values())
        doubts += sum(entry.state is RowState.SUBMITTING for entry in entries.values())
        unknown = {entry.request_id for entry in books.accepted} - known
        assert len(unknown) <= doubts, (unknown, doubts)
        for entry in entries.values():
            assert (entry.state in _PAID and entry.error is None) <= (entry.request_id is not None)
            if entry.state is RowState.DOWNLOADED:
                assert entry.file is not None
                assert (self.folder / entry.file).stat().st_size == entry.bytes
        assert not list(self.folder.rglob("*.part"))
