"""How long jobs take, learned as a hazard: the chance to end in the next second, by age.

Ends and the time at risk are counted rather than durations alone, so that jobs that still run
count too: those that have ended so far are the quick ones, and would deceive. Pure: no I/O, no
clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import erfc, exp, log, sqrt
from operator import sub
from typing import Final

import attrs

from seedance_async.survival import EDGES, GROWTH, LAST_AGE, WIDTHS, Survival, bin_of

__all__ = ["Guess", "Hazard"]

_BINS: Final = len(EDGES)
_END: Final = 2 * LAST_AGE
_LOGS: Final = tuple(log(max(edge, 1e-9)) for edge in (*EDGES, _END))
_SHORTEST: Final = 0.25
_STRAYS: Final = 0.02
"""Observations of a hazard of 1/age, spread over all ages. At 0.3 of them the lateness at equal
requests rises by 4% (lognormal durations, sigma 0.3, 500 known)."""
_STRAYING: Final = 100
"""Jobs at once up to which as many strays are expected of each; of more at once some would run for
hours, and all would be over no sooner. 1,000 at once, 6,000 in all, lognormal durations with sigma
0.3: with 0.02 half of the ranges hold the true end, with 0.002 four of five."""
_STRAY_RATES: Final = tuple(1.0 / (e + 0.5 * w) for e, w in zip(EDGES, WIDTHS, strict=True))
_FITS: Final = 8
_BARELY, _HARDLY = 0.5, 1e-6
"""Observations that a fit, and strays, are worth to the next fit: they only tell of ages that
nobody saw."""
_SETTLED: Final = 0.002
"""Of mean and spread of the logarithm: from there on another fit is the same."""
_WIDE, _WIDEST = 12, 40
_HEAVIEST: Final = 1e6


@attrs.frozen
class Guess:
    """What is thought of a kind of job before any is known.

    Attributes:
        median: Seconds that half of such jobs take.
        sigma: Spread of the logarithm.
    """

    median: float
    sigma: float


class Hazard:
    """Ends and time at risk of one kind of job, by age.

    A lognormal fitted to what was seen, and drawn to the guess, stands for `trust` observations
    of its own. Beyond it a hazard of 1/age, of a fraction of an observation, keeps jobs that run
    far longer than any before from being asked after at the highest rate for ever.

    Args:
        memory: How many ends count; older ones fade. It may be changed at any time.
        trust: How many observations the fitted lognormal is worth.
        doubt: How many observations the guess is worth in the fit.
    """

    __slots__ = (
        "_crossed",
        "_doubt",
        "_ends",
        "_first",
        "_part",
        "_ran",
        "_second",
        "_seen",
        "_trust",
        "_weight",
        "memory",
        "oldest",
    )

    def __init__(self, *, memory: float = 400.0, trust: float = 15.0, doubt: float = 3.0) -> None:
        self.memory = memory
        self.oldest = 0.0
        """The highest age at which a job was seen, in seconds."""
        self._trust = trust
        self._doubt = doubt
        self._weight = 1.0
        self._ends = [0.0] * _BINS
        # The risk is kept so that a survival costs the same however long it was: `_crossed`
        # counts who entered a bin less who left it, `_part` corrects the first and last bin.
        self._crossed = [0.0] * (_BINS + 1)
        self._part = [0.0] * _BINS
        self._seen = self._first = self._second = self._ran = 0.0

    @property
    def seen(self) -> float:
        """How many ends count, the faded ones in part."""
        return self._seen / self._weight

    @property
    def ran(self) -> float:
        """For how many seconds jobs were seen to run, the faded ones in part."""
        return self._ran / self._weight

    def survived(self, since: float, until: float) -> None:
        """Learn that a job ran from one age to another, in seconds."""
        until = min(until, _END)
        if not 0.0 <= since < until:
            return
        weight, first, last = self._weight, bin_of(since), bin_of(until)
        self._crossed[first] += weight
        self._crossed[last] -= weight
        self._part[first] -= weight * (since - EDGES[first])
        self._part[last] += weight * (until - EDGES[last])
        self._ran += weight * (until - since)
        self.oldest = max(self.oldest, until)

    def ended(self, age: float) -> None:
        """Learn that a job ended at an age; that it ran until then is told apart."""
        if not age >= 0.0:
            return
        # New ones weigh more instead of old ones less: nothing has to be walked through.
        self._weight = weight = self._weight * (1.0 + 1.0 / self.memory)
        logarithm = log(min(max(age, _SHORTEST), LAST_AGE))
        self._ends[bin_of(age)] += weight
        self._seen += weight
        self._first += weight * logarithm
        self._second += weight * logarithm * logarithm
        if weight > _HEAVIEST:
            self._rescale()

    def _rescale(self) -> None:
        by = 1.0 / self._weight
        for values in (self._ends, self._crossed, self._part):
            values[:] = [value * by for value in values]
        self._seen *= by
        self._first *= by
        self._second *= by
        self._ran *= by
        self._weight = 1.0

    def estimate(self, guess: Guess) -> Survival:
        """Return what is to be expected of the next job.

        Args:
            guess: What is thought of such jobs for other reasons.
        """
        fit = self._fit(guess, *self._moments())
        return self._survival(self._smoothed(), fit, self._trust, _STRAYS)

    def foresee(self, guess: Guess, at_once: int) -> Survival:
        """Return what is to be expected of many jobs, the last of which matters.

        The lognormal is fitted to all jobs, not only to those that ended: what is expected of the
        others is reckoned with the fit before, until both agree. This takes up to ten times as
        long as an estimate.

        Args:
            guess: What is thought of such jobs for other reasons.
            at_once: How many run at once.
        """
        strays = _STRAYS * min(1.0, _STRAYING / max(at_once, 1))
        seen = self._smoothed()
        fit = self._fit(guess, *self._moments())
        for _ in range(_FITS):
            whole = self._survival(seen, fit, _BARELY, _HARDLY)
            before, fit = fit, self._fit(guess, *whole.logarithm())
            if abs(fit[0] - before[0]) + abs(fit[1] - before[1]) < _SETTLED:
                break
        return self._survival(seen, fit, self._trust, strays)

    def _survival(
        self,
        seen: tuple[Sequence[float], Sequence[float]],
        fit: tuple[float, float],
        trust: float,
        strays: float,
    ) -> Survival:
        """Return what follows from ends and risk, the fitted lognormal and so many strays."""
        (ends, risk), (mean, sigma) = seen, fit
        scale, half = 1.0 / (sigma * sqrt(2.0)), 0.5 * trust
        still = [half * erfc((at - mean) * scale) for at in _LOGS]
        return Survival(
            [
                (ended + before - after + strays * width * rate)
                / (ran + 0.5 * (before + after) * width + strays * width)
                for ended, ran, before, after, width, rate in zip(
                    ends, risk, still, still[1:], WIDTHS, _STRAY_RATES, strict=False
                )
            ]
        )

    def _smoothed(self) -> tuple[list[float], list[float]]:
        """Return ends and seconds at risk for each bin, each spread over the bins beside it."""
        reach, by = self._reach(), 1.0 / self._weight
        ends, risk = _smooth(self._ends, reach), _smooth(self._risk(), reach)
        return [max(0.0, end * by) for end in ends], [max(0.0, ran * by) for ran in risk]

    def _fit(self, guess: Guess, mean: float, variance: float) -> tuple[float, float]:
        """Return mean and spread of the logarithm, between the guess and what was seen."""
        thought, count = log(guess.median), self.seen
        whole = self._doubt + count
        middle = (self._doubt * thought + count * mean) / whole
        spread = self._doubt * (guess.sigma**2 + (thought - middle) ** 2 * (count > 0))
        spread += count * (variance + (mean - middle) ** 2)
        return middle, sqrt(spread / whole)

    def _moments(self) -> tuple[float, float]:
        if self._seen == 0.0:
            return 0.0, 0.0
        mean = self._first / self._seen
        return mean, max(0.0, self._second / self._seen - mean * mean)

    def _risk(self) -> list[float]:
        """Return the seconds that jobs ran in each bin."""
        return [
            inside * width + part
            for inside, width, part in zip(
                accumulate(self._crossed), WIDTHS, self._part, strict=False
            )
        ]

    def _reach(self) -> int:
        """Return over how many bins to each side an end is spread.

        Half of Silverman's rule, which is made for one peak and would flatten two.
        """
        count = self.seen
        if count < 2:
            return _WIDE
        wide = 0.9 * sqrt(self._moments()[1]) / exp(0.2 * log(count))
        return max(1, min(_WIDEST, round(wide / GROWTH)))


def _smooth(values: Sequence[float], reach: int) -> list[float]:
    """Return the moving average with triangular weights, about `reach` bins to each side."""
    box = max(1, (reach + 1) // 2)
    return _average(_average(values, box), box)


def _average(values: Sequence[float], reach: int) -> list[float]:
    padding, count = [0.0] * reach, 2 * reach + 1
    sums = list(accumulate([*padding, *values, *padding], initial=0.0))
    return [total / count for total in map(sub, sums[count:], sums)]
