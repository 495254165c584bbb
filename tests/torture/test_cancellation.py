"""Whatever is cut off at whatever await, the next run knows all that was paid for.

The ways of a plain batch and of a plain session are cut in tests/batch/test_runner_stepping.py and
tests/session/test_cancellation.py; here are faults, downloads, streams, two batches on one session,
the settling of doubts, `cancel DIR`, and an app with a `FileJournal` of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from seedance_async import Budget, FileJournal, Request, Session
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.planning import plan_manifest
from seedance_async.batch.resolving import Decision, ask_service, look_up, problems_of, settle
from seedance_async.batch.runner import Batch, Wishes
from seedance_async.batch.running import account_of, run_batch
from seedance_async.cli.cancel import _cancel_jobs
from seedance_async.simulator import Books
from tests.batch.night import foxes
from tests.session.scene import fox, run
from tests.torture.cutting import CutNight, Scenario, by_leave, by_stop, noted, sweep
from tests.torture.judge import Figures, judge

ROWS = 4
PRICE = Budget(usd=ROWS * 0.25, price_per_second=0.05)
"""Just enough for each row once."""


async def ends(night: CutNight, *, wanted: int = ROWS) -> Counter[str]:
    """Assert that every row is downloaded, cancelled by the service, or a rightful doubt."""
    states = Counter((await night.states()).values())
    assert states.total() == wanted
    assert set(states) <= {"downloaded", "in_doubt", "cancelled"}, states
    assert states["cancelled"] == len(night.simulator.books.cancelled)
    return states


class StormyBatch(Scenario):
    """A batch on a service that drops an accepted POST, refuses for now, and garbles polls."""

    cuts = (by_stop, by_leave)

    def make(self, folder: Path) -> CutNight:
        faults = ["drop-after-accept,nth=2", "429,nth=2", "poll-5xx=0.2", "poll-drop=0.1"]
        return CutNight(folder, capacity=2, faults=faults)

    async def work(self, night: CutNight) -> None:
        """As `run_batch`, with the batch in reach of those who stop or leave it."""
        async with night.session(max_submitting=2) as session:
            async with await Ledger.open(night.folder, origin=session.base_url) as ledger:
                await plan_manifest(ledger, foxes(ROWS), errors=None)
                account = await account_of(ledger, PRICE)
                night.batch = Batch(ledger, session, night.folder, account=account, wishes=Wishes())
                await night.batch.run()

    async def finish(self, night: CutNight) -> None:
        report = await night.run(foxes(ROWS), budget=PRICE)
        states = await ends(night)
        assert states["in_doubt"] == night.wire.unsure == 1
        assert report.money.settled + report.money.reserved >= night.simulator.books.billed


class Downloads(Scenario):
    """The videos of a batch come over a slow line that breaks."""

    def make(self, folder: Path) -> CutNight:
        return CutNight(folder, bandwidth=4000.0, faults=["truncated-video=0.5"])

    async def prepare(self, night: CutNight) -> None:
        await night.run(foxes(ROWS), download=False)

    async def work(self, night: CutNight) -> None:
        await night.run(foxes(ROWS), max_downloads=2)

    async def finish(self, night: CutNight) -> None:
        await night.run(foxes(ROWS))
        assert await ends(night) == {"downloaded": ROWS}
        assert len(list((night.folder / "videos").iterdir())) == ROWS
        assert night.simulator.books.requests("submit") == ROWS


class Stream(Scenario):
    """The rows come from a generator, which is read in a thread and may be cut half-way."""

    def make(self, folder: Path) -> CutNight:
        return CutNight(folder, faults=["drop-before-accept,nth=3"])

    def rows(self) -> Iterator[tuple[str, Request]]:
        yield from foxes(ROWS)

    async def work(self, night: CutNight) -> None:
        await night.run(self.rows())

    def figures(self, night: CutNight) -> Figures:
        if (night.folder / "ledger.sqlite").exists():
            planned = asyncio.run(night.states()) if _is_laid_out(night) else {}
            assert len(planned) in {0, ROWS}, "half a plan"
        return night.figures()

    async def finish(self, night: CutNight) -> None:
        await night.run(self.rows())
        assert (await ends(night))["in_doubt"] == night.wire.unsure == 1


def _is_laid_out(night: CutNight) -> bool:
    """Return whether the ledger came to more than an empty file."""
    return (night.folder / "ledger.sqlite").stat().st_size > 0


class Share(Books):
    """The part of a service's books that one of several folders accounts for."""

    def __init__(self, books: Books, mine: str) -> None:
        super().__init__()
        self._accepted = [entry for entry in books.accepted if mine in entry.body]
        self._unbilled = books._unbilled
        bodies = {entry.body for entry in self._accepted}
        self._twice = tuple(body for body in books.paid_twice() if body in bodies)

    def paid_twice(self) -> tuple[str, ...]:
        return self._twice


class TwoBatches(Scenario):
    """Two batches at once on one session, which has room for one job of each."""

    def make(self, folder: Path) -> CutNight:
        return CutNight(folder, faults=["429,nth=1", "drop-after-accept,nth=3"])

    async def work(self, night: CutNight) -> None:
        async with night.session(max_in_flight=2) as session:
            async with anyio.create_task_group() as group:
                for seconds in (5, 6):
                    rows, out = foxes(2, duration=seconds), night.folder / f"{seconds}"
                    group.start_soon(partial(run_batch, rows, session=session, out=out))

    def figures(self, night: CutNight) -> Figures:
        figures = Figures()
        for seconds in (5, 6):
            share = Share(night.simulator.books, f'"duration":{seconds}')
            figures += judge(night.folder / f"{seconds}", share)
        assert figures.doubts <= night.wire.unsure  # both folders' together
        faults = len(night.simulator.faults_log)
        return attrs.evolve(figures, needless_doubts=0, faults=faults)

    async def finish(self, night: CutNight) -> None:
        await self.work(night)
        for seconds in (5, 6):
            async with await Ledger.read(night.folder / f"{seconds}") as ledger:
                states = {entry.state.value async for entry in ledger.rows()}
            assert states <= {"downloaded", "in_doubt"}


class Resolving(Scenario):
    """A person settles three doubts: two jobs are found and adopted, one was not billed."""

    def make(self, folder: Path) -> CutNight:
        faults = ["drop-after-accept,nth=1", "drop-before-accept,nth=1", "truncated-json,nth=2"]
        return CutNight(folder, faults=faults)

    async def prepare(self, night: CutNight) -> None:
        await night.run(foxes(ROWS), session={"max_in_doubt": 9, "max_in_flight": 1})
        assert Counter((await night.states()).values()) == {"in_doubt": 3, "downloaded": 1}

    async def work(self, night: CutNight) -> None:
        found = {entry.body: entry.request_id for entry in night.simulator.books.accepted}
        async with await Ledger.open(night.folder, origin=None) as ledger:
            doubts = [doubt async for doubt in ledger.doubts()]
            decisions = [
                Decision(doubt.key, next((found[b] for b in found if _text(doubt) in b), None))
                for doubt in doubts
            ]
            rows, owners = await look_up(ledger, decisions)
            assert not problems_of(decisions, rows, owners)
            async with night.session() as session:
                assert not await ask_service(session, decisions, rows)
            await settle(ledger, decisions)

    async def finish(self, night: CutNight) -> None:
        await self.work(night)
        await night.run(foxes(ROWS))
        assert await ends(night) == {"downloaded": ROWS}
        assert len(night.simulator.books.accepted) == ROWS


def _text(doubt: Any) -> str:
    number = doubt.key.removeprefix("fox-")
    return f"take {number}"


class CancelFolder(Scenario):
    """`cancel DIR` on a batch that was left: one job runs, the others wait in the queue."""

    def make(self, folder: Path) -> CutNight:
        return CutNight(folder, capacity=1, faults=["cancel-5xx,nth=2", "cancel-drop,nth=3"])

    async def prepare(self, night: CutNight) -> None:
        work = asyncio.create_task(night.run(foxes(ROWS)))
        await asyncio.sleep(2)
        work.cancel()
        await asyncio.wait({work})
        assert set((await night.states()).values()) == {"timed_out"}

    async def work(self, night: CutNight) -> None:
        async with await Ledger.open(night.folder, origin=None) as ledger:
            jobs = [job async for job in ledger.open_jobs()]
            await _cancel_jobs(night, ledger, jobs)  # type: ignore[arg-type]

    async def finish(self, night: CutNight) -> None:
        await night.run(foxes(ROWS))
        states = await ends(night)
        assert states["downloaded"] >= 1
        assert night.simulator.books.requests("submit") == ROWS


class AppWithJournal(Scenario):
    """An app maps a slow source, writes a `FileJournal`, and comes back to what it left."""

    def make(self, folder: Path) -> CutNight:
        folder.mkdir(parents=True)
        faults = ["drop-after-accept,nth=2", "429,nth=1", "poll-5xx=0.1"]
        return CutNight(folder, capacity=1, faults=faults)

    def session_of(self, night: CutNight) -> Session:
        return night.session(journal=self.journal(night), on_abort="cancel", exit_timeout=None)

    def journal(self, night: CutNight) -> FileJournal:
        return FileJournal(night.folder / "journal.jsonl")

    async def source(self) -> AsyncIterator[Request]:
        for number in range(ROWS):
            await asyncio.sleep(0.3)
            yield fox(number)

    async def work(self, night: CutNight) -> None:
        async with self.session_of(night) as session, aclosing(self.source()) as source:  # type: ignore[type-var]
            async with session.map(source) as results:
                async for _done in results:
                    pass

    def figures(self, night: CutNight) -> Figures:
        books, entries = night.simulator.books, self.journal(night).entries()
        known = {entry.request_id for entry in entries} - {None}
        doubts = sum(entry.state in {"submitting", "in_doubt"} for entry in entries)
        accepted = {entry.request_id for entry in books.accepted}
        lost = max(0, len(accepted - known) - doubts)
        twice = len(books.paid_twice())
        needless = max(0, doubts - night.wire.unsure)
        assert (twice, lost, needless, known - accepted) == (0, 0, 0, set())
        return Figures(
            len(accepted), twice, lost, doubts, needless, len(night.simulator.faults_log)
        )

    async def finish(self, night: CutNight) -> None:
        """Attach what the journal has open; nothing is submitted."""
        left = await asyncio.to_thread(self.journal(night).unfinished)
        posts = len(night.wire.posts)
        async with self.session_of(night) as session:
            for entry in left:
                if entry.request_id is not None:
                    await session.attach(entry.request_id, tag=entry.tag).wait()
        assert len(night.wire.posts) == posts
        left = await asyncio.to_thread(self.journal(night).unfinished)
        assert all(entry.state == "in_doubt" for entry in left), left


SCENARIOS: list[Scenario] = [
    StormyBatch(),
    Downloads(),
    Stream(),
    TwoBatches(),
    Resolving(),
    CancelFolder(),
    AppWithJournal(),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: type(scenario).__name__)
def test_never_loses_what_was_paid_wherever_work_is_cut_off(
    scenario: Scenario, tmp_path: Path, tell: Callable[..., None]
) -> None:
    """Cut at any iteration in any way, judged, brought to the end, judged again."""
    figures, cuts = sweep(scenario, tmp_path)
    tell(figures, cuts=cuts)


def test_never_pays_on_after_an_anyio_scope_was_cancelled(tmp_path: Path) -> None:
    """A long batch whose scope's time is up submits no more, though its own waits are shielded."""
    night = CutNight(tmp_path, capacity=2)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        with anyio.move_on_after(60) as scope:
            await night.run(foxes(40), session={"max_in_flight": 2})
        assert scope.cancelled_caught
        return loop.time()

    assert run(main) < 60 + 10, "it went on for a while"
    assert 0 < len(night.simulator.books.accepted) < 20
    figures = night.figures()
    assert figures.doubts == 0


def test_never_hangs_on_a_source_when_an_anyio_scope_was_cancelled(tmp_path: Path) -> None:
    """Rows that come for ever are read no more: the plan is given up."""
    night = CutNight(tmp_path)
    read: list[int] = []

    def rows(cancel: Callable[[], object]) -> Iterator[tuple[str, Request]]:
        for number in range(100_000):  # not really for ever, or a failure would be a hang
            read.append(number)
            if number == 1000:
                cancel()
            yield f"fox-{number}", fox(number)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with anyio.CancelScope() as scope:
            async with night.session() as session:
                source = rows(partial(loop.call_soon_threadsafe, scope.cancel))
                await run_batch(source, session=session, out=tmp_path)
        assert scope.cancelled_caught

    run(main)
    assert 1000 < len(read) < 100_000, "it was read to its end"
    assert not night.simulator.books.accepted


def test_never_lets_a_cancellation_out_of_an_anyio_scope(tmp_path: Path) -> None:
    """A session that is left at once, in a scope that is cancelled, ends that scope only."""
    for turns in range(30):
        night = CutNight(tmp_path)
        with noted(f"cancelled {turns} turns of the loop after the exit began"):
            run(lambda: _leave_at_once(night, turns))  # noqa: B023
        assert len(night.simulator.books.accepted) == 1


async def _leave_at_once(night: CutNight, turns: int) -> None:
    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as scope:
        async with night.session(exit_timeout=0.0) as session:
            await session.generate(fox())
            await asyncio.sleep(1)  # the session's own tasks are over
            _after(loop, turns, scope.cancel)
    await asyncio.sleep(1)
    assert scope.cancel_called


def _after(loop: asyncio.AbstractEventLoop, turns: int, act: Callable[[], object]) -> None:
    if turns:
        loop.call_soon(_after, loop, turns - 1, act)
    else:
        act()
