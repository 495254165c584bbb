"""The benchmark: one batch, brought to its end round by round, and measured meanwhile.

Each round is a run of the batch over the round's rows. So every job is in the ledger before its
POST leaves, one budget holds for all rounds, and `resolve`, `results` and `cancel` work on the
benchmark's folder as on any batch's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import RowEntry
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.report import Glance, RowChange, UnderWay
from seedance_async.batch.runner import Batch, Wishes
from seedance_async.batch.running import account_of
from seedance_async.batch.selection import Selection
from seedance_async.batch.stops import Stop, StopReason, worse
from seedance_async.bench.figures import RoundFigures, round_figures
from seedance_async.bench.files import (
    keep_conditions,
    read_record,
    write_record,
    write_report,
)
from seedance_async.bench.report import BenchmarkReport, report_of
from seedance_async.bench.rounds import BenchmarkPlan, Round
from seedance_async.bench.samples import Record, Sample, sample_of
from seedance_async.budget import Account, Budget
from seedance_async.jobs import ErrorInfo
from seedance_async.models import shape
from seedance_async.session import Session
from seedance_async.state import Statistics
from seedance_async.supervisor import in_thread

__all__ = ["Benchmark"]

_NOT_OVER: Final = frozenset(
    {RowState.PLANNED, RowState.SUBMITTING, RowState.SUBMITTED, RowState.TIMED_OUT}
)
_GOOD: Final = frozenset({RowState.SUCCEEDED, RowState.DOWNLOADED})
_MOST_TROUBLES: Final = 20


class Benchmark:
    """One run over a ledger that holds the plan's rows.

    Args:
        ledger: Open for writing, with the plan made; stays open.
        session: Open; stays open, and does nothing else meanwhile, for what it does is counted.
            It is left with the `max_in_flight` of the last round.
        plan: What to do.
        out: The folder of the ledger.
        budget: What all runs of the folder may spend together, and the prices.
        max_videos: How many attempts of all runs may be paid for.
        conditions: What else the figures depend on, by name; a folder keeps to its first ones.
        on_round: Called before each round that has something left to do, with the number of its
            jobs that are still to be submitted.
        on_change: Called in the loop with each step of a job; its errors are logged once a round.
    """

    def __init__(
        self,
        ledger: Ledger,
        session: Session,
        plan: BenchmarkPlan,
        out: Path,
        *,
        budget: Budget | None = None,
        max_videos: int | None = None,
        conditions: Mapping[str, str] | None = None,
        on_round: Callable[[Round, int], object] | None = None,
        on_change: Callable[[RowChange], object] | None = None,
    ) -> None:
        self._ledger = ledger
        self._session = session
        self._plan = plan
        self._out = out
        self._budget = budget
        self._max_videos = max_videos
        self._conditions = conditions or {}
        self._on_round = on_round
        self._on_change = on_change
        self._account: Account | None = None
        self._batch: Batch | None = None
        self._stop: Stop | None = None
        self._denied: ErrorInfo | None = None

    # --- what its owner may ask ------------------------------------------------------------

    def glance(self) -> Glance | None:
        """Return the numbers of the round at this moment; None between rounds."""
        return None if self._batch is None else self._batch.glance()

    def estimate(self) -> int | None:
        """Return what a job is likely to cost, in micro-dollars; None: not known, or not yet."""
        return None if self._account is None else self._account.estimate(shape(self._plan.request))

    def under_way(self) -> UnderWay:
        """Return what the round has begun; may be called from any thread."""
        batch = self._batch
        return UnderWay(begun={}, ages={}) if batch is None else batch.under_way()

    def stop(self, message: str) -> None:
        """Submit no more; what is accepted, or may be, is waited for."""
        self._stop_for(Stop(StopReason.INTERRUPTED, message))
        if self._batch is not None:
            self._batch.stop(message)

    def leave(self) -> None:
        """Submit no more, cancel what is still queued, and detach the rest."""
        self._stop_for(Stop(StopReason.INTERRUPTED, "the benchmark was left"))
        if self._batch is not None:
            self._batch.leave()

    def _stop_for(self, stop: Stop) -> None:
        self._stop = worse(self._stop, stop)

    async def run(self) -> BenchmarkReport:
        """Bring every round to its end, and write and return the report.

        Cancelled, it submits no more, waits until the POSTs under way are answered and written
        down, keeps what was seen, and passes the cancellation on: the next run comes back to it.

        Raises:
            LedgerError: The ledger or a file of the folder can be read or written no more, or
                the folder's conditions were others.
        """
        if self._conditions:
            await in_thread(keep_conditions, self._out, self._conditions)
        await self._come_back()
        for this in self._plan.rounds():
            states = await self._states(this)
            if self._stop is None and any(state in _NOT_OVER for state in states.values()):
                planned = sum(state is RowState.PLANNED for state in states.values())
                await self._go_through(this, planned)
        report = await self._report()
        await in_thread(write_report, self._out, report)
        return report

    # --- one round -------------------------------------------------------------------------

    async def _come_back(self) -> None:
        """Bring what earlier runs left under way to its end, so that it is in no round's way."""
        counts = await self._ledger.counts()
        if counts[RowState.SUBMITTED] + counts[RowState.TIMED_OUT]:
            await self._bring_to_its_end(await self._new_batch((), self._tell))

    async def _go_through(self, this: Round, planned: int) -> None:
        known = await in_thread(read_record, self._out, this)
        fresh = known is None and not await self._was_begun(this)
        if self._on_round is not None:
            self._on_round(this, planned)
        self._session.set_max_in_flight(this.level)
        samples: list[Sample] = []

        def note(change: RowChange) -> None:
            if change.outcome is not None:
                samples.append(_sample(change))
            self._tell(change)

        batch = await self._new_batch(this.keys(self._plan.jobs), note)
        before = self._session.statistics()
        whole = False
        try:
            await self._bring_to_its_end(batch)
            states = await self._states(this)
            whole = fresh and not any(state in _NOT_OVER for state in states.values())
        finally:
            record = _record(this, samples, before, self._session.statistics(), whole=whole)
            joined = record if known is None else known.joined(record)
            await in_thread(write_record, self._out, joined)

    async def _bring_to_its_end(self, batch: Batch) -> None:
        self._batch = batch
        try:
            report = await batch.run()
        finally:
            self._batch = None
        self._denied = self._denied or report.denied
        if report.stop is not None:
            self._stop_for(report.stop)

    async def _new_batch(
        self, keys: tuple[str, ...], on_change: Callable[[RowChange], object]
    ) -> Batch:
        """Return a run that submits the rows with these keys."""
        self._account = await account_of(self._ledger, self._budget)
        return Batch(
            self._ledger,
            self._session,
            self._out,
            account=self._account,
            wishes=Wishes(
                selection=Selection(keys=keys), max_videos=self._max_videos, download=False
            ),
            on_change=on_change,
        )

    def _tell(self, change: RowChange) -> None:
        if self._on_change is not None:
            self._on_change(change)

    # --- what the ledger knows -------------------------------------------------------------

    async def _entries(self, this: Round) -> dict[str, RowEntry]:
        keys = frozenset(this.keys(self._plan.jobs))
        return {e.key: e async for e in self._ledger.rows() if e.key in keys}

    async def _states(self, this: Round) -> Mapping[str, RowState]:
        return {key: entry.state for key, entry in (await self._entries(this)).items()}

    async def _was_begun(self, this: Round) -> bool:
        entries = (await self._entries(this)).values()
        return any(entry.attempts or entry.state is not RowState.PLANNED for entry in entries)

    async def _report(self) -> BenchmarkReport:
        rounds: list[RoundFigures] = []
        troubles: Counter[str] = Counter()
        for this in self._plan.rounds():
            entries = (await self._entries(this)).values()
            troubles.update(e.error.message for e in entries if e.error is not None)
            rounds.append(
                round_figures(
                    this,
                    await in_thread(read_record, self._out, this),
                    jobs=self._plan.jobs,
                    counts=Counter(entry.state for entry in entries),
                    cost=sum(entry.cost or 0 for entry in entries),
                )
            )
        return report_of(
            self._plan,
            rounds,
            service=self._ledger.info.origin,
            money=await self._ledger.money(),
            conditions=self._conditions,
            stop=self._stop,
            denied=self._denied,
            troubles=dict(troubles.most_common(_MOST_TROUBLES)),
            folder=self._out,
        )


def _sample(change: RowChange) -> Sample:
    assert change.outcome is not None
    over = change.state not in _NOT_OVER
    return sample_of(change.key, change.outcome, succeeded=change.state in _GOOD, over=over)


def _record(
    this: Round, samples: list[Sample], before: Statistics, after: Statistics, *, whole: bool
) -> Record:
    limited = after.limited - before.limited
    return Record(
        round=this,
        whole=whole,
        samples=tuple(samples),
        polls=after.polls - before.polls,
        posts=after.submitted - before.submitted + limited,
        limited=limited,
    )
