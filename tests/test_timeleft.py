"""How long the rest will take: honest beside simulated pools, silent where nothing is known."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence

import attrs
from hypothesis import given
from hypothesis import strategies as st

from seedance_async.experience import Experience
from seedance_async.models import Shape
from seedance_async.timeleft import Kind, time_left, usual_time

FOX = Shape("vendor/fox", "480p", 5)
HARE = Shape("vendor/hare", "720p", 5)


@attrs.frozen
class Service:
    """Jobs of lognormal durations, some of which an onlooker knows."""

    chance: random.Random
    median: float = 60.0
    sigma: float = 0.4

    def duration(self) -> float:
        return self.chance.lognormvariate(math.log(self.median), self.sigma)

    def rest(self, age: float) -> float:
        """Return how long a job of this age still runs."""
        while (duration := self.duration()) <= age:
            pass
        return duration - age

    def ages(self, number: int) -> list[float]:
        """Return the ages of jobs found running: long ones are found more often."""
        found: list[float] = []
        while len(found) < number:
            duration = self.duration()
            if self.chance.random() < duration / (10 * self.median):
                found.append(self.chance.random() * duration)
        return found

    def kind(self, known: int, waiting: int, ages: Sequence[float]) -> Kind:
        """Return what somebody knows who saw so many jobs end."""
        experience = Experience()
        for _ in range(known):
            experience.ended(FOX, 0.0, self.duration())
        doubt = experience.doubt(FOX)
        return Kind(experience.survival(FOX), experience.known(FOX), doubt, waiting, ages)

    def makespan(self, waiting: int, ages: Sequence[float], at_once: int) -> float:
        """Return when the last job is over that runs or waits."""
        ends = [self.rest(age) for age in ages]
        heapq.heapify(ends)
        last = max(ends, default=0.0)
        for _ in range(waiting):
            start = heapq.heappop(ends) if len(ends) >= at_once else 0.0
            end = start + self.duration()
            heapq.heappush(ends, end)
            last = max(last, end)
        return last


POOLS = [(1, 0, 1), (1, 5, 1), (4, 2, 4), (4, 40, 4), (16, 0, 3), (16, 200, 16), (64, 30, 64)]
"""At once, waiting, running."""


def test_four_of_five_true_ends_lie_within_the_range() -> None:
    """Whatever is left of a batch, on services far from what is assumed; nowhere much fewer."""
    parts = [
        _within(known, sigma, *pool, trials=30)
        for known in (8, 100)
        for sigma in (0.3, 0.6)
        for pool in POOLS
    ]
    assert sum(parts) >= 0.8 * len(parts)
    assert min(parts) >= 0.5  # of 30 trials; some 0.7 of many


def _within(
    known: int, sigma: float, at_once: int, waiting: int, running: int, *, trials: int
) -> float:
    chance = random.Random(f"{known} {sigma} {at_once} {waiting}")
    within = 0
    for _ in range(trials):
        service = Service(chance, 60.0 * math.exp(chance.gauss(0.0, 0.5)), sigma)
        ages = service.ages(running)
        found = time_left([service.kind(known, waiting, ages)], at_once)
        assert found is not None
        within += found[0] <= service.makespan(waiting, ages, at_once) <= found[1]
    return within / trials


def test_two_kinds_are_told_apart() -> None:
    """Short ones that run and long ones that wait: the mean of both would deceive."""
    chance = random.Random(3)
    short, long = Service(chance, 20.0, 0.3), Service(chance, 120.0, 0.3)
    within = 0
    for _ in range(40):
        ages = short.ages(4)
        kinds = [short.kind(50, 0, ages), long.kind(50, 8, ())]
        found = time_left(kinds, 4)
        assert found is not None
        ends = sorted(short.rest(age) for age in ages)
        for _ in range(8):
            heapq.heappush(ends, heapq.heappop(ends) + long.duration())
        within += found[0] <= max(ends) <= found[1]
    assert within >= 27


def test_more_knowledge_narrows_the_range() -> None:
    widths = []
    for known in (5, 30, 300):
        found = time_left([Service(random.Random(5)).kind(known, 100, ())], 4)
        assert found is not None
        widths.append(math.log(found[1] / max(found[0], 1.0)))
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.3


def test_nothing_is_said_of_what_is_not_known() -> None:
    """Neither before anything ended, nor after two, nor if most of the work is of another model."""
    experience = Experience()

    def kinds(foxes: int, hares: int) -> list[Kind]:
        return [
            Kind(experience.survival(s), experience.known(s), experience.doubt(s), number)
            for s, number in ((FOX, foxes), (HARE, hares))
        ]

    assert time_left(kinds(5, 0), 2) is None
    for _ in range(2):
        experience.ended(FOX, 0.0, 60.0)
        assert time_left(kinds(5, 0), 2) is None
        assert usual_time(kinds(5, 0)) is None
    for _ in range(2):
        experience.ended(FOX, 0.0, 60.0)
    assert time_left(kinds(5, 0), 2) is not None
    assert time_left(kinds(5, 1), 2) is not None
    assert time_left(kinds(1, 50), 2) is None
    assert usual_time(kinds(0, 50)) is None
    assert time_left([], 2) is None


def test_another_shape_of_a_known_model_is_known_less_well() -> None:
    """It leans on the others, and the range says so."""
    experience, other = Experience(), attrs.evolve(FOX, duration=10)
    for _ in range(50):
        experience.ended(FOX, 0.0, 60.0)
    sure, unsure = experience.doubt(FOX), experience.doubt(other)
    assert sure is not None
    assert unsure is not None
    assert sure < 0.1 < unsure


def test_ages_that_nobody_saw_are_in_doubt_however_many_ended_before_them() -> None:
    """Of a thousand that began together a tenth has ended: much is seen, but not the others."""
    durations = sorted(Service(random.Random(11)).duration() for _ in range(1000))
    seen = []
    for part in (100, 500, 950):
        experience, now = Experience(), durations[part - 1]
        experience.foresee(1000)
        for seconds in durations[:part]:
            experience.ended(FOX, 0.0, seconds)
        for _ in durations[part:]:
            experience.running(FOX, 0.0, now)
        seen.append(experience.doubt(FOX) or 0.0)
    assert seen == sorted(seen, reverse=True)
    assert seen[0] > 0.08


def test_the_usual_time_holds_four_of_five() -> None:
    service = Service(random.Random(9))
    found = usual_time([service.kind(300, 1, ())])
    assert found is not None
    low, high = found
    within = sum(low <= service.duration() <= high for _ in range(1000))
    assert 700 <= within <= 900


@given(
    st.lists(st.floats(0, 1e6), max_size=20),
    st.integers(0, 100_000),
    st.integers(0, 2000),
    st.lists(st.floats(0, 1e5), min_size=3, max_size=20),
)
def test_a_range_is_a_range_whatever_was_seen(
    ages: list[float], waiting: int, at_once: int, durations: list[float]
) -> None:
    """Jobs older than any that ended, durations of zero, a pool of none: finite and in order."""
    experience = Experience()
    for seconds in durations:
        experience.ended(FOX, 0.0, seconds)
    for _ in range(at_once):
        experience.running(FOX, 0.0, 7200.0)
    experience.foresee(at_once)
    kind = Kind(experience.survival(FOX), experience.known(FOX), experience.doubt(FOX))
    found = time_left([attrs.evolve(kind, waiting=waiting, ages=ages)], at_once)
    assert (found is None) is (not ages and not waiting)
    if found is not None:
        assert 0.0 <= found[0] <= found[1] < math.inf
