"""Counts up a whole batch while its rows and jobs stream by: some 100 bytes of each job stay."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

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
from seedance_async.report.stretches import stretches

__all__ = ["MOST_BARS", "Tally"]

MOST_BARS: Final = 3_000
"""Jobs that the timeline draws one by one; of more, every second, third, ... is drawn."""

_BINS: Final = 24
_LEVELS: Final = 240
_QUIET: Final = 120.0
_QUIET_SHARE: Final = 0.05
"""Two spells of work are parted by so many seconds without a job, and by this share of all work."""

_Group: TypeAlias = tuple[str, str, bool]
"""Model, resolution, and whether the queue cannot be told from the run."""

_PARTS: Final = ("queue", "run", "whole", "late", "polls")
"""Of each job that is over; the run, and queue and run as a whole, of those with a video."""

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
        # 0.0 where it is not known:
        self._began = array("d")
        self._finished = array("d")
        self._download_began = array("d")
        self._downloaded = array("d")
        # One value for each job of which it is known:
        self._parts = {name: array("d") for name in _PARTS}
        self._over = 0
        self._runs: dict[_Group, array[float]] = defaultdict(lambda: array("d"))
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
        self._add_parts(job)
        if job.cost is not None and job.estimate is not None:
            self._settled += job.cost
            self._estimated += job.estimate
            self._compared += 1

    def _add_parts(self, job: KnownJob) -> None:
        """Note how long the parts of a job's way took; run times are those of videos."""
        at = job.stations
        found = stretches(job.submitted_at, job.accepted_at, job.finished_at, at)
        self._began.append(0.0 if found.queue is None else job.accepted_at + found.queue)
        known = found.download is not None
        self._download_began.append((known and at.download_began_at) or 0.0)
        self._downloaded.append((known and at.downloaded_at) or 0.0)
        if job.finished_at is None:
            return
        self._over += 1
        parts = {"queue": found.queue, "late": found.late, "polls": at.polls}
        if job.state in _GOOD:
            whole = max(0.0, job.finished_at - job.accepted_at)
            parts |= {"run": found.run, "whole": whole}
            resolution = job.resolution if isinstance(job.resolution, str) else ""
            group = (model_name(job.model_id), resolution, found.run is None)
            self._runs[group].append(whole if found.run is None else found.run)
        for name, value in parts.items():
            if value is not None:
                self._parts[name].append(value)

    def _see(self, *times: float | None) -> None:
        self._latest = max(self._latest, *(at for at in times if at is not None), 0.0)

    def summary(self, money: Money, invalid: int) -> dict[str, Any]:
        """Return the sums for the page; times in seconds, money in USD."""
        made = sum(self.states[state.value] for state in _GOOD)
        work = spells(self._spans(), apart=0.0)
        busy, in_all = _length(work), _length(self._spans())
        posts = (b - a for a, b in zip(self._submitted, self._accepted, strict=True))
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
            "answer": None if answers is None else attrs.asdict(answers),
            "over": self._over,
            "ran": len(self._parts["whole"]),
            **{name: _spread(self._parts[name]) for name in ("queue", "run", "whole", "late")},
            "polls": sum(self._parts["polls"]),
            "polled": len(self._parts["polls"]),
        }

    def runs(self) -> dict[str, Any]:
        """Return how long jobs ran, by model and resolution, with bins that all share.

        Those whose queue and run cannot be told apart are groups of their own.
        """
        longest = max((took for group in self._runs.values() for took in group), default=0.0)
        bounds = edges(longest, _BINS)
        groups = []
        for (model, resolution, whole), values in sorted(self._runs.items()):
            groups.append(
                {
                    "model": model,
                    "resolution": resolution,
                    "whole": whole,
                    "spread": _spread(values),
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
        spans = [self._drawn(job) for job in order]
        busy = spells(map(self._drawn, self._order()), apart=0.0)
        start = busy[0][0] if busy else 0.0
        work = spells(busy, apart=max(_QUIET, _QUIET_SHARE * _length(busy)))
        bars = [
            [
                place_of.get(self._rows[job], -1),
                _STATES[self._of_state[job]].value,
                lane,
                *(None if at is None else round(at - start, 2) for at in self._stations(job)),
            ]
            for job, lane in zip(order, lanes(spans), strict=True)
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

    def _download(self, job: int) -> Span | None:
        """Return when a job's file came; None: not known, or another run fetched it much later."""
        began, end = self._download_began[job], self._downloaded[job]
        return (began, end) if end and began - self._span(job)[1] <= _QUIET else None

    def _drawn(self, job: int) -> Span:
        """Return from when to when a job's bar goes: its span and its download."""
        start, end = self._span(job)
        download = self._download(job)
        return start, end if download is None else max(end, download[1])

    def _stations(self, job: int) -> tuple[float | None, ...]:
        """Return when a job was submitted, accepted, in progress, over, and its file came."""
        start, end = self._span(job)
        began = self._began[job]
        download = self._download(job) or (None, None)
        return start, self._accepted[job], began if start < began <= end else None, end, *download

    def _spans(self) -> Iterator[Span]:
        """Yield the spans of all jobs, ordered by their beginning."""
        return map(self._span, self._order())

    def _order(self, every: int = 1) -> list[int]:
        return sorted(range(0, len(self._rows), every), key=self._submitted.__getitem__)


def _spread(values: Iterable[float]) -> dict[str, float] | None:
    found = spread(values)
    return None if found is None else attrs.asdict(found)


def _length(spans: Iterable[Span]) -> float:
    return sum(end - start for start, end in spans)
