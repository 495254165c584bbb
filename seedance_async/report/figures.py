"""Numbers over many jobs: percentiles, distributions, what was in flight when. Pure."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence

import attrs

__all__ = ["Spread", "edges", "histogram", "in_flight", "lanes", "percentile", "spells", "spread"]

Span = tuple[float, float]
"""From when to when, in seconds."""


@attrs.frozen
class Spread:
    """How values lie; the percentiles are values that occurred."""

    count: int
    least: float
    p50: float
    p95: float
    p99: float
    most: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all values does not exceed.

    Args:
        ordered: From the smallest to the greatest; at least one.
        share: Between 0 and 1.
    """
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Iterable[float]) -> Spread | None:
    """Return how values lie; None: there are none."""
    ordered = sorted(values)
    if not ordered:
        return None
    p50, p95, p99 = (percentile(ordered, share) for share in (0.5, 0.95, 0.99))
    return Spread(len(ordered), ordered[0], p50, p95, p99, ordered[-1])


def edges(longest: float, most: int) -> list[float]:
    """Return bounds of equal bins from 0 on, at round numbers, that hold `longest` in the last.

    Args:
        longest: The greatest value, at least 0.
        most: How many bins at most.
    """
    step = 1.0
    for exponent in range(-3, 12):
        for digit in (1.0, 2.0, 5.0):
            step = digit * 10.0**exponent
            if longest < step * most:
                bounds = [0.0]
                while bounds[-1] <= longest:  # counted, as divided numbers are off by a little
                    bounds.append(round(step * len(bounds), 6))
                if len(bounds) - 1 <= most:
                    return bounds
    return [0.0, longest + step]


def histogram(values: Iterable[float], bounds: Sequence[float]) -> list[int]:
    """Return how many values lie in each bin; what lies outside counts in the nearest."""
    counts = [0] * (len(bounds) - 1)
    width = bounds[1] - bounds[0]
    for value in values:
        place = int((value - bounds[0]) / width)
        counts[min(max(place, 0), len(counts) - 1)] += 1
    return counts


def spells(spans: Iterable[Span], *, apart: float) -> list[Span]:
    """Return the times at which anything was in flight.

    Args:
        spans: One for each job, ordered by their beginning.
        apart: Seconds of quiet that part two spells.
    """
    found: list[Span] = []
    for start, end in spans:
        if found and start - found[-1][1] <= apart:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def lanes(spans: Iterable[Span]) -> list[int]:
    """Return for each span the first lane that is free from its beginning to its end.

    Args:
        spans: Ordered by their beginning; as many lanes are used as overlap at most.
    """
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    used = 0
    found = []
    for start, end in spans:
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, used = used, used + 1
        heapq.heappush(busy, (end, lane))
        found.append(lane)
    return found


def in_flight(spans: Iterable[Span], times: Sequence[Span], bins: int) -> list[list[float]]:
    """Return how many spans were under way on average in each bin of each spell.

    Args:
        spans: In any order.
        times: The spells, in order.
        bins: How many for all spells together, shared out by their length.
    """
    whole = sum(end - start for start, end in times) or 1.0
    levels = [[0.0] * max(1, round(bins * (end - start) / whole)) for start, end in times]
    for start, end in spans:
        for (begin, over), level in zip(times, levels, strict=True):
            if start < over and end > begin:
                _pour(level, begin, (over - begin) / len(level), max(start, begin), min(end, over))
    return [[round(value, 2) for value in level] for level in levels]


def _pour(level: list[float], begin: float, width: float, start: float, end: float) -> None:
    """Add the share of each bin that a span covers."""
    first = min(int((start - begin) / width), len(level) - 1)
    last = min(int((end - begin) / width), len(level) - 1)
    for place in range(first, last + 1):
        left, right = begin + place * width, begin + (place + 1) * width
        level[place] += max(0.0, min(end, right) - max(start, left)) / width
