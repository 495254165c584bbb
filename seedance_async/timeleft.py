"""How long jobs will still take that run or wait, as a range. Pure: no I/O, no clock, no chance.

The jobs that wait start as running ones end. How many have ended by when is reckoned as an
expectation, step by step; so the time of each start is known, and the last of all jobs is over
when every one of them is: the product of their chances. What that leaves out is added in
quadrature: by how much the sum of all run times varies, and by how much what is known may be off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from math import exp, inf, log, sqrt
from statistics import fmean
from typing import Final

import attrs

from seedance_async.survival import Survival, bin_of

__all__ = ["Kind", "time_left", "usual_time"]

_LOW, _HIGH = 0.1, 0.9
"""Four of five true times lie within the range."""
_SIGMAS: Final = 1.28
"""Standard deviations from the middle of a normal distribution to either of these."""
_DRIFT: Final = 0.05
"""The service is never quite as it was, however much is known."""
_ROUNDS: Final = 3
"""Rounds of waiting jobs that are gone through; more only add their mean and their variance."""
_STEPS: Final = 8
"""Steps that an average run time is divided into."""
_TOGETHER: Final = 3
"""Bins of ages that are reckoned as one."""
_MOST_STEPS: Final = 40 * _STEPS
_TRIMMED: Final = 0.05
"""Jobs that are assumed rather than seen to run for ever, which the fewest of a kind do."""
_FEWEST: Final = 1e-12
_HALVINGS: Final = 14


@attrs.frozen
class Kind:
    """Jobs that are expected to take alike.

    Attributes:
        survival: What is known of their run times.
        known: How many ends of such jobs it rests on.
        doubt: How far its mean may be off, as the spread of its logarithm; None: nothing is known.
        waiting: How many are still to start.
        ages: Of those that run, in seconds.
    """

    survival: Survival
    known: float
    doubt: float | None
    waiting: int = 0
    ages: Sequence[float] = ()

    @property
    def number(self) -> int:
        """How many are not over."""
        return self.waiting + len(self.ages)


@attrs.frozen
class _Group:
    """Jobs of one kind and about one age.

    Attributes:
        alive: The part of all jobs that reaches the age.
        trimmed: The part of all jobs that is not believed to run on for ever.
    """

    survival: Survival
    age: float
    number: float
    alive: float
    trimmed: float

    def ended(self, seconds: float) -> float:
        """Return the chance that one of them is over in so many seconds."""
        if self.alive <= _FEWEST:
            return 1.0
        gone = 1.0 - self.survival.running(self.age + seconds) / self.alive
        return min(1.0, gone / self.trimmed)


def usual_time(kinds: Iterable[Kind]) -> tuple[float, float] | None:
    """Return the seconds between which four of five such jobs take; None: nothing is known."""
    told = [kind for kind in kinds if kind.doubt is not None and kind.number]
    total = sum(kind.number for kind in told)
    if not total:
        return None
    low, high = (
        _where(
            lambda age: sum(k.number * (1.0 - k.survival.running(age)) for k in told) / total, part
        )
        for part in (_LOW, _HIGH)
    )
    return low, high


def time_left(kinds: Iterable[Kind], at_once: int) -> tuple[float, float] | None:
    """Return the seconds until the last job is over, from and to; None: nothing is known.

    It is taken for granted that as many jobs as may be run at once, in any order, until none
    waits, and that a job takes as long as others of its kind did. Nothing is said if more than
    half of the work is of kinds of which nothing is known.

    Args:
        kinds: What runs and what waits.
        at_once: How many may run at once; those that run already may be more.
    """
    jobs = [kind for kind in kinds if kind.number]
    work = sum(kind.number * kind.survival.mean for kind in jobs)
    sure = sum(kind.number * kind.survival.mean for kind in jobs if kind.doubt is not None)
    if not jobs or sure < 0.5 * work:
        return None
    room = max(at_once, 1)
    waiting = sum(kind.waiting for kind in jobs)
    mean, variance = _waiting_moments(jobs)
    skipped = max(0, waiting - _ROUNDS * room)
    groups = _groups(jobs)
    starts = _starts(jobs, groups, waiting - skipped, room, mean)
    low, middle, high = (_where(lambda t: _all_over(groups, starts, t), p) for p in _PARTS)
    later = skipped * mean / room
    unsure = waiting * variance / room**2 + (_doubt(jobs, work) * (middle + later)) ** 2
    # The quantiles of what is reckoned, each as far from the middle as its own side says.
    below = sqrt((middle - low) ** 2 + _SIGMAS**2 * unsure)
    above = sqrt((high - middle) ** 2 + _SIGMAS**2 * unsure)
    return max(0.0, middle + later - below), middle + later + above


_PARTS: Final = (_LOW, 0.5, _HIGH)

_Starts = list[tuple[float, list[_Group]]]


def _waiting_moments(kinds: Sequence[Kind]) -> tuple[float, float]:
    """Return mean and variance of the run time of one that waits."""
    waiting = sum(kind.waiting for kind in kinds)
    if not waiting:
        return 0.0, 0.0
    mean = sum(kind.waiting * kind.survival.mean for kind in kinds) / waiting
    square = sum(
        kind.waiting * (kind.survival.deviation**2 + kind.survival.mean**2) for kind in kinds
    )
    return mean, max(0.0, square / waiting - mean * mean)


def _doubt(kinds: Sequence[Kind], work: float) -> float:
    """Return how far all means together may be off; each kind's is off by itself."""
    unknown = 1.0
    parts = (
        (kind.number * kind.survival.mean / work) * (unknown if kind.doubt is None else kind.doubt)
        for kind in kinds
    )
    return sqrt(_DRIFT**2 + sum(part * part for part in parts))


def _groups(kinds: Sequence[Kind]) -> list[_Group]:
    """Return the running jobs, those of about one age together."""
    return [
        _group(kind, fmean(ages), len(ages))
        for kind in kinds
        for _, about in groupby(sorted(kind.ages), _coarse)
        for ages in [list(about)]
    ]


def _coarse(age: float) -> int:
    """Return a number that is the same for ages within 9%."""
    return bin_of(age) // _TOGETHER


def _group(kind: Kind, age: float, number: float) -> _Group:
    trimmed = 1.0 - _TRIMMED / (kind.known + 15.0)
    return _Group(kind.survival, age, number, kind.survival.running(age), trimmed)


def _starts(
    kinds: Sequence[Kind], running: list[_Group], waiting: int, room: int, mean: float
) -> _Starts:
    """Return when the waiting jobs start, in seconds from now, each time with what starts then."""
    if not waiting:
        return []
    mixed = [_group(kind, 0.0, kind.waiting) for kind in kinds if kind.waiting]
    of_all = sum(group.number for group in mixed)
    step = mean / _STEPS
    by_step = [
        sum(group.number * group.ended(step * number) for group in mixed) / of_all
        for number in range(_MOST_STEPS)
    ]
    free = float(max(0, room - round(sum(group.number for group in running))))
    numbers: list[float] = [min(free, waiting)]
    left, ended_before = waiting - numbers[0], 0.0
    while left > 1e-9 and len(numbers) < _MOST_STEPS:
        now = len(numbers)
        ended = sum(group.number * group.ended(step * now) for group in running)
        ended += sum(many * by_step[now - when] for when, many in enumerate(numbers))
        begun = min(left, ended - ended_before)
        numbers.append(begun)
        left, ended_before = left - begun, ended
    numbers[-1] += max(left, 0.0)
    return [
        (step * max(0.0, when - 0.5), [_part(group, many / of_all) for group in mixed])
        for when, many in enumerate(numbers)
        if many > 0.0
    ]


def _part(group: _Group, part: float) -> _Group:
    return attrs.evolve(group, number=group.number * part)


def _all_over(running: list[_Group], starts: _Starts, seconds: float) -> float:
    """Return the chance that every job is over in so many seconds."""
    total = 0.0
    for when, groups in ((0.0, running), *starts):
        if seconds <= when and groups:
            return 0.0
        for group in groups:
            ended = group.ended(seconds - when)
            if ended <= _FEWEST:
                return 0.0
            total += group.number * log(ended)
    return exp(total)


def _where(chance: Callable[[float], float], part: float) -> float:
    """Return the seconds at which a rising chance reaches a part."""
    low, high = 0.0, 1.0
    while chance(high) < part:
        low, high = high, 2.0 * high
        if high == inf:
            return high
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if chance(middle) < part else (low, middle)
    return high
