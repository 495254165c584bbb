"""What is seen of a benchmark that runs: all its rounds as one, and the round that is on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.report import Glance, RowChange
from seedance_async.bench.benchmark import Benchmark
from seedance_async.bench.rounds import BenchmarkPlan, Round
from seedance_async.budget import Account
from seedance_async.cli.batchview import BatchView
from seedance_async.cli.foresight import NOTHING_KNOWN, Prospect
from seedance_async.cli.standing import Standing, standing_of
from seedance_async.cli.words import between
from seedance_async.models import shape

__all__ = ["BenchView"]

_NOTHING: Final = Glance(
    counts=dict.fromkeys(RowState, 0),
    left=0,
    in_flight=0,
    waiting=0,
    downloading=0,
    submitted=0,
    settled=0,
    reserved=0,
    unpriced=0,
    unestimated=0,
    stop=None,
)


class BenchView:
    """A benchmark as a display looks at it.

    How long jobs take is learned anew in each round, for with more in flight they may wait longer;
    so the time left is the round's, and nothing is said of later ones.

    Args:
        benchmark: Which runs.
        plan: What it does.
        account: The prices.
        limit: The budget in micro-dollars; None: there is none.
        virtual: Whether its time is not ours, so that nothing is said of it.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        plan: BenchmarkPlan,
        account: Account,
        *,
        limit: int | None = None,
        virtual: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self._benchmark = benchmark
        self._plan = plan
        self._rounds = plan.rounds()
        self._account = account
        self._virtual = virtual
        self._clock = clock
        self._last = attrs.evolve(
            _NOTHING,
            settled=account.settled,
            reserved=account.reserved,
            unpriced=account.unpriced,
            unestimated=account.unestimated,
        )
        self._round: Round | None = None
        self._view: BatchView | None = None

    def begin(self, this: Round, planned: int) -> None:
        """Take note that a round begins that has so many jobs to submit; others may be over."""
        self._round = this
        self._view = BatchView(
            self.glance,
            self._benchmark.under_way,
            lambda: this.level,
            shapes={shape(self._plan.request): planned},
            account=self._account,
            clock=self._clock,
        )

    def take(self, change: RowChange) -> None:
        """Learn from a step of a job."""
        if self._view is not None and not self._virtual:
            self._view.take(change)

    def glance(self) -> Glance:
        """Return the numbers of all rounds together; between two rounds, the last ones."""
        now = self._benchmark.glance()
        if now is not None:
            self._last = attrs.evolve(now, left=now.counts[RowState.PLANNED])
        return self._last

    def note(self) -> Sequence[str]:
        """Return which round is on, and how long it will take if that is known."""
        if self._round is None:
            return ()
        number, rounds = self._rounds.index(self._round) + 1, len(self._rounds)
        words = f"round {number} of {rounds}: {self._round.level} in flight"
        left = None if self._virtual or self._view is None else self._view.prospect().left
        return [words] if left is None else [words, f"{between(*left)} left of it"]

    def prospect(self) -> Prospect:
        """Return how long jobs take in this round."""
        if self._virtual or self._view is None:
            return NOTHING_KNOWN
        return Prospect(self._view.prospect().usual)

    def to_come(self) -> int | None:
        """Return the estimate of the jobs that wait, in micro-dollars; None: no price is known."""
        price = self._benchmark.estimate()  # it learns from what jobs cost
        if price is None:
            price = self._account.estimate(shape(self._plan.request))
        return None if price is None else price * self.glance().left

    def standing(self) -> Standing:
        """Return how the benchmark stands, for who interrupts it."""
        glance = self.glance()
        return standing_of(
            glance, waiting=glance.left, to_come=self.to_come(), budget=self.limit, what="jobs"
        )
