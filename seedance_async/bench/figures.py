"""From samples to figures: percentiles, throughput, and levels over their repeats. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median, stdev
from typing import Final

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.bench.rounds import Round
from seedance_async.bench.samples import Record, Sample

__all__ = [
    "LevelFigures",
    "Quantiles",
    "RoundFigures",
    "average_in_flight",
    "level_figures",
    "percentile",
    "quantiles",
    "round_figures",
    "steady",
]

_MINUTE: Final = 60.0


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the values lie, between two neighbours.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("no values have no percentile")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


@attrs.frozen
class Quantiles:
    """Of seconds: the median and the 95th percentile, and of how many jobs they are."""

    p50: float
    p95: float
    jobs: int


def quantiles(values: Iterable[float | None]) -> Quantiles | None:
    """Return the quantiles of what was seen; None: nothing was."""
    seen = [value for value in values if value is not None]
    if not seen:
        return None
    return Quantiles(percentile(seen, 0.5), percentile(seen, 0.95), len(seen))


@attrs.frozen(kw_only=True)
class RoundFigures:
    """The figures of one round; None where they were not measured.

    Attributes:
        round: Which.
        partial: An earlier run had begun it, or it is not over: it has no throughput.
        counts: How many of its jobs are in each state; `in_doubt` ones may exist and be billed.
        throughput: Videos a minute while the pool was full; by Little's law, generations in
            flight over seconds that each held its slot, so that filling and draining the pool do
            not count.
        error: Relative standard error of that.
        in_flight: Generations that were in flight on average, while there were more to submit.
        samples: Its jobs.
        measured: Those behind the warm-up, which the quantiles are of.
        requests_per_job: POSTs and polls.
        limited: 429s met by POSTs.
        cost: Micro-dollars that the service told.
    """

    round: Round
    partial: bool
    counts: Mapping[RowState, int]
    throughput: float | None = None
    error: float | None = None
    in_flight: float | None = None
    samples: tuple[Sample, ...] = ()
    measured: tuple[Sample, ...] = ()
    requests_per_job: float | None = None
    limited: int | None = None
    cost: int = 0


def steady(samples: Iterable[Sample], level: int) -> tuple[Sample, ...]:
    """Return the jobs behind the warm-up: all but the first `level` that were submitted.

    The first ones find an empty pool, so they say nothing about a full one. Jobs without a time
    of their POST were attached by a later run, and are left out.
    """
    timed = [s for s in samples if s.submitted_at is not None and s.accepted_at is not None]
    timed.sort(key=lambda sample: sample.submitted_at or 0.0)
    return tuple(timed[level:])


def average_in_flight(samples: Iterable[Sample]) -> float | None:
    """Return how many jobs held a slot on average, from the first submission to the last.

    None where there was no such time.
    """
    spans = [
        (s.submitted_at, s.known_at)
        for s in samples
        if s.submitted_at is not None and s.known_at is not None
    ]
    if not spans:
        return None
    begin, end = min(span[0] for span in spans), max(span[0] for span in spans)
    if end <= begin:
        return None
    return sum(min(until, end) - since for since, until in spans) / (end - begin)


def round_figures(
    this: Round, record: Record | None, *, jobs: int, counts: Mapping[RowState, int], cost: int
) -> RoundFigures:
    """Return the figures of a round.

    Args:
        this: Which.
        record: What was seen of it; None: nothing was kept.
        jobs: How many jobs it has.
        counts: How they stand, by the ledger.
        cost: Micro-dollars, by the ledger.
    """
    if record is None:
        return RoundFigures(round=this, partial=True, counts=counts, cost=cost)
    measured = steady(record.samples, this.level)
    figures = RoundFigures(
        round=this,
        partial=not record.whole,
        counts=counts,
        samples=record.samples,
        measured=measured,
        limited=record.limited,
        cost=cost,
    )
    if not record.whole:
        return figures
    in_flight = average_in_flight(record.samples)
    held = [sample.latency for sample in measured if sample.latency is not None]
    throughput = error = None
    if in_flight is not None and sum(held) > 0:
        good = sum(sample.succeeded for sample in measured)
        throughput = _MINUTE * in_flight * good / sum(held)
        ran = [sample.run for sample in measured if sample.run is not None]
        # Waiting in one queue, jobs are late together: their latencies alone would look too sure.
        error = max((e for e in map(_relative_error, (held, ran)) if e is not None), default=None)
    return attrs.evolve(
        figures,
        throughput=throughput,
        error=error,
        in_flight=in_flight,
        requests_per_job=(record.polls + record.posts) / jobs,
    )


def _relative_error(values: Sequence[float]) -> float | None:
    if len(values) < 2 or fmean(values) <= 0:
        return None
    return stdev(values) / math.sqrt(len(values)) / fmean(values)


@attrs.frozen(kw_only=True)
class LevelFigures:
    """The figures of one level over its repeats; None where they were not measured.

    Attributes:
        level: Generations in flight that were allowed.
        throughput: Videos a minute; the median of the repeats.
        low: Of the repeat with the least.
        high: Of the one with the most.
        error: Relative standard error, from the repeats, or of the only one.
        latency: Seconds from the POST to our knowing.
        wait: Seconds from acceptance until a poll saw the job in progress.
        run: Seconds from then to the end that the service tells.
        lateness: Seconds from that end to our knowing.
        requests_per_job: POSTs and polls, on average.
        limited: 429s met by POSTs.
        counts: How many jobs are in each state.
        cost: Micro-dollars that the service told.
        partial: Repeats without a throughput, because a run was interrupted in them.
    """

    level: int
    throughput: float | None
    low: float | None
    high: float | None
    error: float | None
    latency: Quantiles | None
    wait: Quantiles | None
    run: Quantiles | None
    lateness: Quantiles | None
    requests_per_job: float | None
    limited: int
    counts: Mapping[RowState, int]
    cost: int
    partial: int


def level_figures(rounds: Sequence[RoundFigures]) -> LevelFigures:
    """Join the rounds of one level, at least one."""
    rates = [this.throughput for this in rounds if this.throughput is not None]
    asked = [this.requests_per_job for this in rounds if this.requests_per_job is not None]
    ended = [sample for this in rounds for sample in this.measured if sample.over]
    counts: Counter[RowState] = Counter()
    for this in rounds:
        counts.update(this.counts)
    return LevelFigures(
        level=rounds[0].round.level,
        throughput=median(rates) if rates else None,
        low=min(rates, default=None),
        high=max(rates, default=None),
        error=_error(rounds, rates),
        latency=quantiles(sample.latency for sample in ended),
        wait=quantiles(sample.wait for sample in ended),
        run=quantiles(sample.run for sample in ended),
        lateness=quantiles(sample.lateness for sample in ended),
        requests_per_job=fmean(asked) if asked else None,
        limited=sum(this.limited or 0 for this in rounds),
        counts=counts,
        cost=sum(this.cost for this in rounds),
        partial=sum(this.partial for this in rounds),
    )


def _error(rounds: Sequence[RoundFigures], rates: Sequence[float]) -> float | None:
    if len(rates) >= 2:
        return _relative_error(rates)
    return next((this.error for this in rounds if this.throughput is not None), None)
