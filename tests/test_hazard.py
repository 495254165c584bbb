"""Hazard and survival: what is learned of durations, and what follows for a job that runs."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_async.hazard import Guess, Hazard
from seedance_async.survival import Survival

GUESS = Guess(60.0, 0.8)
DURATIONS = st.lists(
    st.floats(0, 300) | st.sampled_from([0.0, 1e-300, 60.0, 60.0, 1e5, 1e18, float("inf")]),
    max_size=40,
)
AGES = st.floats(0, 500) | st.sampled_from([0.0, 59.999, 1e4, 1e9])
SPANS = st.floats(0.01, 60)
LATENESSES = st.floats(1e-6, 30)


def learned(durations: list[float], *, memory: float = 400.0) -> Hazard:
    """Return a hazard that was told of jobs from their beginning to their end."""
    hazard = Hazard(memory=memory)
    for seconds in durations:
        hazard.survived(0.0, seconds)
        hazard.ended(seconds)
    return hazard


def lognormal(median: float, sigma: float, count: int, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [chance.lognormvariate(math.log(median), sigma) for _ in range(count)]


def expected_lateness(survival: Survival, since: float, until: float) -> float:
    """Return how late a poll at `until` finds the end: the integral of what has ended, in steps."""
    alive, step = survival.running(since), (until - since) / 4000
    ended = (1 - survival.running(since + (n + 0.5) * step) / alive for n in range(4000))
    return sum(ended) * step


def median(survival: Survival) -> float:
    return next(age / 10 for age in range(40_000) if survival.running(age / 10) <= 0.5)


@given(DURATIONS, AGES, LATENESSES, SPANS)
def test_the_next_poll_lies_between_now_and_the_longest_sleep_whatever_was_learned(
    durations: list[float], since: float, lateness: float, span: float
) -> None:
    """Zero, huge and equal durations, and ages that no job has reached, included; never NaN."""
    survival = learned(durations).estimate(GUESS)
    age = survival.age_of_lateness(since, lateness, since + span)
    assert since <= age <= since + span


@given(DURATIONS, AGES, LATENESSES, LATENESSES, SPANS)
def test_who_bears_more_lateness_polls_no_sooner(
    durations: list[float], since: float, less: float, more: float, span: float
) -> None:
    """The age never falls as the lateness grows."""
    less, more = sorted((less, more))
    survival = learned(durations).estimate(GUESS)
    sooner = survival.age_of_lateness(since, less, since + span)
    assert sooner <= survival.age_of_lateness(since, more, since + span) + 1e-6


@given(DURATIONS, st.floats(0, 200), st.floats(0.5, 30))
def test_the_age_of_a_lateness_has_that_lateness(
    durations: list[float], since: float, span: float
) -> None:
    """Against a sum of 4,000 steps."""
    survival = learned(durations).estimate(GUESS)
    if survival.running(since) < 1e-7:
        return
    lateness = expected_lateness(survival, since, since + span)
    if lateness > 1e-3:
        age = survival.age_of_lateness(since, lateness, since + 2 * span)
        assert expected_lateness(survival, since, age) == pytest.approx(lateness, rel=1e-3)


@given(st.lists(st.floats(1, 200), min_size=2, max_size=20), st.randoms())
def test_the_order_of_learning_matters_only_by_fading(
    durations: list[float], shuffling: random.Random
) -> None:
    """With an endless memory, what came first counts as much as what came last."""
    mixed = list(durations)
    shuffling.shuffle(mixed)
    one, other = (learned(each, memory=1e12).estimate(GUESS) for each in (durations, mixed))
    for age in (1.0, 30.0, 100.0, 250.0):
        assert one.running(age) == pytest.approx(other.running(age), rel=1e-6, abs=1e-9)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=9))
def test_a_survival_told_in_pieces_is_the_same_as_at_once(cuts: list[float]) -> None:
    """Polls tell of a job piece by piece; each costs the same, however long it was."""
    cuts = sorted(cuts)
    pieces, whole = Hazard(), Hazard()
    for since, until in pairwise(cuts):
        pieces.survived(since, until)
    whole.survived(cuts[0], cuts[-1])
    assert pieces.ran == pytest.approx(whole.ran)
    one, other = pieces.estimate(GUESS), whole.estimate(GUESS)
    assert one.running(50) == pytest.approx(other.running(50))


def test_it_learns_the_durations_that_it_sees() -> None:
    """After 500 of them it knows their quantiles to some percent."""
    survival = learned(lognormal(100, 0.3, 500)).estimate(GUESS)
    assert median(survival) == pytest.approx(100, rel=0.05)
    assert survival.running(100 * math.exp(0.3)) == pytest.approx(0.16, abs=0.04)


def test_jobs_that_still_run_count() -> None:
    """Of twenty that began together three have ended: the others are known to take longer."""
    hazard = learned([40.0, 42.0, 45.0])
    deceived = hazard.estimate(GUESS)
    for _ in range(17):
        hazard.survived(0.0, 45.0)
    assert hazard.estimate(GUESS).running(60) > deceived.running(60) + 0.15


def test_what_is_old_fades() -> None:
    """A service that has become three times slower is believed after a memory's worth of jobs."""
    hazard = learned(lognormal(30, 0.2, 1000) + lognormal(90, 0.2, 300), memory=100)
    assert median(hazard.estimate(GUESS)) == pytest.approx(90, rel=0.1)
    assert hazard.seen == pytest.approx(101, rel=0.02)


def test_weights_are_brought_down_before_they_overflow() -> None:
    """A session may go on for a million jobs."""
    hazard = Hazard(memory=2)
    for _ in range(3000):
        hazard.survived(0.0, 50.0)
        hazard.ended(50.0)
    assert hazard.seen == pytest.approx(3)
    assert hazard.estimate(GUESS).running(1000) < 0.2


def test_a_stuck_job_is_asked_after_less_and_less_often() -> None:
    """One that runs far longer than any before is of another kind: no poll each half second."""
    survival = learned(lognormal(60, 0.1, 400)).estimate(GUESS)
    sleeps = [survival.age_of_lateness(age, 0.05, age + 60) - age for age in (200, 600, 1500)]
    assert sleeps[0] > 2
    assert sleeps[-1] < 30
    assert sleeps == sorted(sleeps)


def test_nothing_but_a_duration_is_learned() -> None:
    """A NaN or a time that runs backwards changes nothing."""
    hazard = Hazard()
    hazard.survived(float("nan"), 5.0)
    hazard.survived(5.0, 3.0)
    hazard.ended(float("nan"))
    hazard.ended(-1.0)
    assert (hazard.seen, hazard.ran) == (0, 0)


def test_a_job_that_is_said_to_be_years_old_spoils_nothing() -> None:
    """A wrong clock, or an id from an old file: ages beyond the last bin are not learned."""
    hazard = learned([60.0] * 20)
    before = hazard.estimate(GUESS).running(1500)
    hazard.survived(1.7e9, 1.7e9 + 2)
    assert hazard.estimate(GUESS).running(1500) == before


def observed(durations: list[float], until: float) -> Hazard:
    """Return what is learned of jobs that began together, looked at every 5 s."""
    hazard = Hazard(memory=8.0 * len(durations))
    for now in range(5, int(until) + 1, 5):
        for seconds in durations:
            if now - 5 < seconds:
                hazard.survived(now - 5, min(now, seconds))
                if seconds <= now:
                    hazard.ended(seconds)
    return hazard


@pytest.mark.parametrize("until", [50.0, 70.0, 130.0])
def test_the_longest_of_a_thousand_are_foreseen_before_they_end(until: float) -> None:
    """Neither are they taken to be as quick as those that ended, nor to run for hours."""
    survival = observed(lognormal(60, 0.3, 1000), until).foresee(GUESS, 1000)
    assert survival.mean == pytest.approx(60 * math.exp(0.5 * 0.3**2), rel=0.04)
    assert survival.running(60 * math.exp(5 * 0.3)) < 1e-3
    assert survival.deviation < 40  # it is 19


def test_few_are_foreseen_with_the_caution_of_few() -> None:
    """Of a thousand jobs one in a thousand that runs on decides; of ten it does not."""
    hazard = learned(lognormal(60, 0.3, 20))
    assert hazard.foresee(GUESS, 10).running(600) > 5 * hazard.foresee(GUESS, 1000).running(600)


def test_equal_durations_are_foreseen_too() -> None:
    survival = learned([60.0] * 300).foresee(GUESS, 1000)
    assert survival.mean == pytest.approx(60, rel=0.03)
