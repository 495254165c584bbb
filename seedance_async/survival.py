"""How many jobs still run, by age: what a hazard says of a job that ran until now. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from math import exp, expm1, inf, log, sqrt
from operator import mul
from typing import Final

__all__ = ["EDGES", "GROWTH", "LAST_AGE", "WIDTHS", "Survival", "bin_of"]

LAST_AGE: Final = 3600.0
"""Seconds; twice the default deadline. The hazard stays as it is from there on."""

_NARROWEST: Final = 0.25
GROWTH: Final = 0.03
"""Each bin is so much of its age wide."""
_FEWEST: Final = 1e-9
"""The part still running below which differences of what ran would be rounding errors."""


def _edges() -> Iterator[float]:
    age = 0.0
    while age < LAST_AGE:
        yield age
        age += max(_NARROWEST, GROWTH * age)


EDGES: Final = tuple(_edges())
"""The ages, in seconds, between which the hazard is taken as constant; the last bin has no end."""

WIDTHS: Final = tuple(after - before for before, after in pairwise((*EDGES, 2 * LAST_AGE)))

_MIDDLES: Final = tuple(
    log(max(_NARROWEST, edge + 0.5 * width)) for edge, width in zip(EDGES, WIDTHS, strict=True)
)
"""The logarithm of an age in each bin."""


def bin_of(age: float) -> int:
    """Return the number of the bin that an age is in."""
    return bisect_right(EDGES, age) - 1 if age > 0 else 0


class Survival:
    """The part of jobs that still run, by age.

    Args:
        rates: The chance to end in the next second, for each bin.
    """

    __slots__ = ("_alive", "_ran", "_rates", "_spread", "roughness")

    def __init__(self, rates: Sequence[float]) -> None:
        gone = [exp(-rate * width) for rate, width in zip(rates, WIDTHS, strict=True)]
        alive = list(accumulate(gone, mul, initial=1.0))
        ran = (
            (before - after) / rate if rate * width > 1e-9 else before * width
            for before, after, rate, width in zip(alive, alive[1:], rates, WIDTHS, strict=False)
        )
        self._rates = tuple(rates)
        self._alive = tuple(alive)
        self._ran = tuple(accumulate(chain([0.0], ran)))
        self._spread: float | None = None
        self.roughness = sum(
            before * sqrt(rate) * width
            for before, rate, width in zip(alive, rates, WIDTHS, strict=False)
        )
        """The integral of S * sqrt(hazard): polls times lateness grow with its square."""

    def running(self, age: float) -> float:
        """Return the part of jobs that run longer than `age` seconds."""
        number = bin_of(age)
        return self._alive[number] * exp(-self._rates[number] * (age - EDGES[number]))

    @property
    def mean(self) -> float:
        """Seconds that a job runs on average."""
        return self._ran[-1]

    @property
    def deviation(self) -> float:
        """Seconds of standard deviation of how long a job runs."""
        if self._spread is None:
            square = sum(
                (before + after) * width * (edge + 0.5 * width)
                for before, after, width, edge in zip(
                    self._alive, self._alive[1:], WIDTHS, EDGES, strict=False
                )
            )
            self._spread = sqrt(max(0.0, square - self.mean**2))
        return self._spread

    def beyond(self, age: float) -> float:
        """Return the seconds of the mean that jobs run after `age` seconds."""
        return max(0.0, self.mean - self._seconds(age))

    def logarithm(self) -> tuple[float, float]:
        """Return mean and variance of the logarithm of the seconds that a job runs.

        One that runs longer than all ages here is taken to end with the last of them.
        """
        ended = [before - after for before, after in pairwise((*self._alive[:-1], 0.0))]
        mean = sum(map(mul, ended, _MIDDLES))
        square = sum(part * at * at for part, at in zip(ended, _MIDDLES, strict=True))
        return mean, max(0.0, square - mean * mean)

    def age_of_lateness(self, since: float, lateness: float, latest: float) -> float:
        """Return the age at which the expected lateness reaches `lateness`, at most `latest`.

        Expected of a poll at an age is E[(age - T)+ | T > since]: how late it finds the end, on
        average. The age never falls as `lateness` or `latest` grow.

        Args:
            since: The age at which the job was seen running, in seconds.
            lateness: In seconds.
            latest: An age, in seconds.
        """
        alive, first = self.running(since), bin_of(since)
        if alive < _FEWEST:
            return min(latest, since + _time_of(lateness, 1.0, self._rates[first]))
        ran, by = self._seconds(since), 1.0 / alive
        # From bin to bin the lateness at its beginning grows: find the last one that is not late.
        low, high = first, bin_of(latest)
        while low < high:
            middle = (low + high + 1) // 2
            if EDGES[middle] - since - (self._ran[middle] - ran) * by <= lateness:
                low = middle
            else:
                high = middle - 1
        if low == first:
            begin, before, here = since, 0.0, 1.0
        else:
            begin, here = EDGES[low], self._alive[low] * by
            before = begin - since - (self._ran[low] - ran) * by
        return min(latest, begin + _time_of(max(0.0, lateness - before), here, self._rates[low]))

    def _seconds(self, age: float) -> float:
        """Return how long a job runs on average within its first `age` seconds."""
        number = bin_of(age)
        alive, rate, width = self._alive[number], self._rates[number], age - EDGES[number]
        return self._ran[number] + alive * (width - _late(1.0, rate, width))


def _late(alive: float, rate: float, seconds: float) -> float:
    """Return the lateness after `seconds` of one hazard, of jobs of which a part is alive."""
    if rate * seconds < 1e-6:  # where the exact form would be rounding errors
        return seconds * (1.0 - alive + 0.5 * alive * rate * seconds)
    return seconds + alive * expm1(-rate * seconds) / rate


def _time_of(lateness: float, alive: float, rate: float) -> float:
    """Return the seconds of one hazard after which `_late` reaches `lateness`."""
    slope, bend = 1.0 - alive, alive * rate
    below = slope + sqrt(slope * slope + 2.0 * bend * lateness)
    if below <= 0.0:
        return inf
    seconds = 2.0 * lateness / below
    for _ in range(2):  # the square is exact for short times, two steps of Newton's for all
        slope = 1.0 - alive * exp(-rate * seconds)
        if slope <= 0.0:
            break
        seconds -= (_late(alive, rate, seconds) - lateness) / slope
    return max(0.0, seconds)
