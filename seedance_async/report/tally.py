"""Counts up a whole batch while its rows and jobs stream by: some 40 bytes a job stay in memory."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import FullRow, KnownJob, Money
from seedance_async.budget import to_usd
from seedance_async.report.facts import model_name
from seedance_async.report.figures import (
    Span,
    edges,
    histogram,
    in_flight,
    lanes,
    spells,
    spread,
)

__all__ = ["MOST_BARS", "Tally"]

MOST_BARS: Final = 3_000
"""Jobs that the timeline draws one by one; of more, every second, third, ... is drawn."""

_BINS: Final = 24
_LEVELS: Final = 240
_QUIET: Final = 120.0
_QUIET_SHARE: Final = 0.05
"""Two spells of work are parted by so many seconds without a job, and by this share of all work."""

_STATES: Final = tuple(RowState)
_GOOD: Final = frozenset({RowState.SUCCEEDED, RowState.DOWNLOADED})


class Tally:
    """The sums of a batch; fed with its rows and then its jobs, both in the ledger's order."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self._attempts = 0
        self._tried = 0
        self._bytes = 0
        self._latest = 0.0
        # One place for each job, in the order of submission:
        self._rows = array("q")
        self._of_state = bytearray()
        self._submitted = array("d")
        self._accepted = array("d")
        self._finished = array("d")  # 0.0: not over
        self._runs: dict[tuple[str, str], array[float]] = defaultdict(lambda: array("d"))
        self._settled = 0
        self._estimated = 0
        self._compared = 0

    def add_row(self, row: FullRow) -> None:
        """Count a row."""
        entry = row.entry
        self.states[entry.state.value] += 1
        self._attempts += entry.attempts
        self._tried += entry.attempts > 0
        self._bytes += entry.bytes or 0
        self._see(entry.submitted_at, row.accepted_at, entry.finished_at)

    def add_job(self, job: KnownJob) -> None:
        """Count a job."""
        self._rows.append(job.row)
        self._of_state.append(_STATES.index(job.state))
        self._submitted.append(job.submitted_at)
        self._accepted.append(job.accepted_at)
        self._finished.append(job.finished_at or 0.0)
        self._see(job.submitted_at, job.accepted_at, job.finished_at)
        if job.state in _GOOD and job.finished_at is not None:
            resolution = job.resolution if isinstance(job.resolution, str) else ""
            took = max(0.0, job.finished_at - job.accepted_at)
            self._runs[model_name(job.model_id), resolution].append(took)
        if job.cost is not None and job.estimate is not None:
            self._settled += job.cost
            self._estimated += job.estimate
            self._compared += 1

    def _see(self, *times: float | None) -> None:
        self._latest = max(self._latest, *(at for at in times if at is not None), 0.0)

    def summary(self, money: Money, invalid: int) -> dict[str, Any]:
        """Return the sums for the page; times in seconds, money in USD."""
        made = sum(self.states[state.value] for state in _GOOD)
        work = spells(self._spans(), apart=0.0)
        busy, in_all = _length(work), _length(self._spans())
        posts = (b - a for a, b in zip(self._submitted, self._accepted, strict=True))
        runs = spread(took for group in self._runs.values() for took in group)
        answers = spread(max(0.0, took) for took in posts)
        return {
            "states": dict(self.states) | ({"invalid": invalid} if invalid else {}),
            "rows": sum(self.states.values()) + invalid,
            "videos": made,
            "bytes": self._bytes,
            "jobs": len(self._rows),
            "attempts": self._attempts,
            "tried": self._tried,
            "settled": to_usd(money.settled),
            "reserved": to_usd(money.reserved),
            "unpriced": money.unpriced,
            "unestimated": money.unestimated,
            "compared": self._compared,
            "compared_settled": to_usd(self._settled),
            "compared_estimated": to_usd(self._estimated),
            "first": work[0][0] if work else None,
            "last": work[-1][1] if work else None,
            "busy": busy,
            "mean_in_flight": in_all / busy if busy else 0.0,
            "peak_in_flight": max(lanes(self._spans()), default=-1) + 1,
            "run": None if runs is None else attrs.asdict(runs),
            "answer": None if answers is None else attrs.asdict(answers),
        }

    def runs(self) -> dict[str, Any]:
        """Return how long jobs ran, by model and resolution, with bins that all share."""
        longest = max((took for group in self._runs.values() for took in group), default=0.0)
        bounds = edges(longest, _BINS)
        groups = []
        for (model, resolution), values in sorted(self._runs.items()):
            found = spread(values)
            assert found is not None
            groups.append(
                {
                    "model": model,
                    "resolution": resolution,
                    "spread": attrs.asdict(found),
                    "bins": histogram(values, bounds),
                }
            )
        return {"edges": bounds, "groups": groups}

    def timeline(self, place_of: dict[int, int]) -> dict[str, Any]:
        """Return what was in flight when, and a bar for each job.

        Args:
            place_of: Which place on the page a row has, by the row's number.
        """
        every = -(-len(self._rows) // MOST_BARS) or 1
        order = self._order(every)
        spans = [self._span(job) for job in order]
        busy = spells(self._spans(), apart=0.0)
        start = busy[0][0] if busy else 0.0
        work = spells(busy, apart=max(_QUIET, _QUIET_SHARE * _length(busy)))
        bars = [
            [
                place_of.get(self._rows[job], -1),
                _STATES[self._of_state[job]].value,
                lane,
                round(span[0] - start, 2),
                round(self._accepted[job] - start, 2),
                round(span[1] - start, 2),
            ]
            for job, lane, span in zip(order, lanes(spans), spans, strict=True)
        ]
        return {
            "start": start,
            "spells": [[round(a - start, 2), round(b - start, 2)] for a, b in work],
            "levels": in_flight(self._spans(), work, _LEVELS),
            "bars": bars,
            "jobs": len(self._rows),
            "every": every,
        }

    def _span(self, job: int) -> Span:
        """Return from when to when a job was in flight, as far as the ledger knows.

        One that is tracked counts until the last news, one that timed out until its acceptance.
        """
        start = self._submitted[job]
        tracked = _STATES[self._of_state[job]] is RowState.SUBMITTED
        end = self._finished[job] or (self._latest if tracked else 0.0)
        return start, max(start, self._accepted[job], end)

    def _spans(self) -> Iterator[Span]:
        """Yield the spans of all jobs, ordered by their beginning."""
        return map(self._span, self._order())

    def _order(self, every: int = 1) -> list[int]:
        return sorted(range(0, len(self._rows), every), key=self._submitted.__getitem__)


def _length(spans: Iterable[Span]) -> float:
    return sum(end - start for start, end in spans)
