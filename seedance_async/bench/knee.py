"""Where more in flight brings no more: the knee, and what follows from it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import attrs

__all__ = ["Point", "Recommendation", "Verdict", "recommend"]

_ENOUGH: Final = 0.1
"""How much of the best throughput a smaller level may miss: a tenth is bought dearly in waiting."""
_MOST_NOISE: Final = 0.2
"""However noisy it was, a level that misses more than this share is no match for the best."""
_MOST_LIMITED: Final = 0.05
"""429s a job up to which a level counts as one that the service carries."""


@attrs.frozen
class Point:
    """What a level brought.

    Attributes:
        level: Generations in flight.
        throughput: Videos a minute.
        error: Its relative standard error.
        latency: The median's seconds; None: not measured.
        limited: 429s a job.
    """

    level: int
    throughput: float
    error: float = 0.0
    latency: float | None = None
    limited: float = 0.0


class Verdict(StrEnum):
    """What could be told."""

    KNEE = "knee"
    """Higher levels were measured, and brought no more."""
    LIMITED = "limited"
    """Higher levels met 429s."""
    STILL_SCALING = "still_scaling"
    """The highest level was the best: the knee may lie above."""
    UNKNOWN = "unknown"
    """Too little was measured."""


@attrs.frozen
class Recommendation:
    """What to set, and why.

    Attributes:
        verdict: What could be told.
        max_in_flight: The level to set; None: nothing can be said.
        why: One sentence.
    """

    verdict: Verdict
    max_in_flight: int | None
    why: str


def recommend(points: Sequence[Point]) -> Recommendation:
    """Return the smallest level that brings nearly as much as the best, without 429s.

    A level matches the best if it misses at most a tenth of it, or no more than two standard
    errors of their difference, but never more than a fifth.
    """
    rising = sorted((p for p in points if p.throughput > 0), key=lambda point: point.level)
    if not rising:
        return Recommendation(Verdict.UNKNOWN, None, "No level's throughput was measured.")
    clean = [point for point in rising if point.limited <= _MOST_LIMITED]
    if not clean:
        return Recommendation(
            Verdict.UNKNOWN,
            None,
            f"All levels met 429s, the lowest of them {rising[0].limited:.1f} for each job: try "
            f"levels below {rising[0].level}.",
        )
    if len(rising) == 1:
        return Recommendation(
            Verdict.UNKNOWN, None, f"Only level {rising[0].level} was measured: try several levels."
        )
    best = max(clean, key=lambda point: point.throughput)
    knee = next(point for point in clean if _matches(point, best))
    return _explain(knee, best, rising)


def _matches(point: Point, best: Point) -> bool:
    noise = 2 * math.hypot(point.error * point.throughput, best.error * best.throughput)
    missing = best.throughput - point.throughput
    return missing <= max(_ENOUGH * best.throughput, min(noise, _MOST_NOISE * best.throughput))


def _explain(knee: Point, best: Point, rising: Sequence[Point]) -> Recommendation:
    level, rate = knee.level, _rate(knee)
    above = [point for point in rising if point.level > level]
    if not above:
        return Recommendation(
            Verdict.STILL_SCALING,
            level,
            f"It cannot be told where the knee is: the highest level, {level}, brought the most "
            f"({rate}); try levels above it.",
        )
    if all(point.limited > _MOST_LIMITED for point in above):
        return Recommendation(
            Verdict.LIMITED,
            level,
            f"{level} in flight brought {rate} and is the highest level that met hardly any 429s; "
            f"with {above[0].level} there were {above[0].limited:.1f} for each job.",
        )
    return Recommendation(Verdict.KNEE, level, _sentence(knee, best, above))


def _sentence(knee: Point, best: Point, above: Sequence[Point]) -> str:
    share = knee.throughput / best.throughput
    compared = (
        "the most of all levels"
        if knee is best
        else f"{share:.0%} of the best ({_rate(best)} with {best.level})"
    )
    longer = ""
    highest = above[-1]
    if knee.latency is not None and highest.latency is not None:
        longer = (
            f", while the median latency goes from {knee.latency:.1f} s to "
            f"{highest.latency:.1f} s with {highest.level}"
        )
    limited = [str(point.level) for point in above if point.limited > _MOST_LIMITED]
    left_out = f" ({', '.join(limited)} met 429s and is left out)" if limited else ""
    return (
        f"{knee.level} in flight brought {_rate(knee)}, {compared}; more adds little or nothing"
        f"{left_out}{longer}."
    )


def _rate(point: Point) -> str:
    digits = 1 if point.throughput < 100 else 0
    return f"{point.throughput:.{digits}f} videos a minute"
