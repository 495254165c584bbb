"""When to poll next: values of the policies, and what they say to wrong settings."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_async.experience import Experience, usual_seconds
from seedance_async.models import Shape
from seedance_async.polling import BackoffPolling, FixedPolling, LearnedPolling, Polling, Schedule

SHAPES = st.none() | st.builds(Shape, st.just("a/model"), duration=st.none() | st.integers(2, 12))
AGES = st.floats(0, 1e7)
POLLS = st.integers(0, 50) | st.integers(0, 10**30)


@given(st.floats(0.01, 1e4), SHAPES, AGES, POLLS)
def test_fixed_polling_polls_every_so_many_seconds(
    seconds: float, shape: Shape | None, age: float, polls: int
) -> None:
    """Whatever the job, its age and its past, and whatever it has been told of others."""
    schedule = FixedPolling(seconds).schedule()
    schedule.running(shape, 0.0, age)
    schedule.finished(shape, 0.0, age)
    assert schedule.next_delay(shape, age, polls) == seconds


def test_the_defaults_poll_after_2_s_and_at_longest_every_5() -> None:
    """A cold start is a backoff from 2 to 5 s (design, section 5)."""
    schedule = BackoffPolling().schedule()
    delays = [schedule.next_delay(None, 0.0, polls) for polls in range(8)]
    assert delays == pytest.approx([2, 2.4, 2.88, 3.456, 4.1472, 4.97664, 5, 5])
    assert FixedPolling().schedule().next_delay(None, 0.0, 0) == 2


@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6), st.floats(1, 10), SHAPES, AGES, POLLS)
def test_a_backoff_grows_up_to_its_maximum(
    initial: float, maximum: float, factor: float, shape: Shape | None, age: float, polls: int
) -> None:
    """From `initial` on, never falling, never above `maximum`, at any number of polls."""
    schedule = BackoffPolling(initial, maximum, factor).schedule()
    schedule.running(shape, 0.0, age)
    schedule.finished(shape, 0.0, age)
    delay = schedule.next_delay(shape, age, polls)
    assert min(initial, maximum) <= delay <= maximum
    assert delay <= schedule.next_delay(shape, age, polls + 1)
    assert schedule.next_delay(shape, age, 0) == min(initial, maximum)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedPolling(0), r"seconds must be a positive number of seconds \(given: 0\)"),
        (lambda: FixedPolling(-1.5), r"seconds must be .* \(given: -1\.5\)"),
        (lambda: FixedPolling(float("inf")), r"seconds must be .* \(given: inf\)"),
        (lambda: FixedPolling(float("nan")), r"seconds must be .* \(given: nan\)"),
        (lambda: BackoffPolling(initial=0), "initial must be a positive number of seconds"),
        (lambda: BackoffPolling(maximum=float("nan")), "maximum must be a positive number of sec"),
        (lambda: BackoffPolling(factor=0.9), r"factor must be a number from 1 to 10 \(given: 0\.9"),
        (lambda: BackoffPolling(factor=1e6), "factor must be a number from 1 to 10"),
        (lambda: LearnedPolling(0), "lateness must be a positive number of seconds"),
        (lambda: LearnedPolling(shortest=2, longest=1), r"longest must be at least shortest, 2 s"),
        (lambda: BackoffPolling(factor=float("nan")), "factor must be a number from 1 to 10"),
    ],
)
def test_wrong_settings_name_themselves(make: Callable[[], Polling], message: str) -> None:
    """A policy that would never poll, or always, is refused when it is made."""
    with pytest.raises(ValueError, match=message):
        make()


def test_policies_are_values() -> None:
    """Frozen and comparable: one policy may serve many sessions."""
    assert FixedPolling(3) == FixedPolling(3.0)
    assert len({BackoffPolling(), BackoffPolling(2, 5, 1.2)}) == 1
    assert LearnedPolling(history="a.jsonl") == LearnedPolling(history=Path("a.jsonl"))
    with pytest.raises(AttributeError):
        FixedPolling().seconds = 1  # type: ignore[misc]


# --- learned ---------------------------------------------------------------------------------

FOX = Shape("a/model", "480p", 5)
STEPS = st.lists(
    st.tuples(st.floats(0, 300), st.floats(0, 300) | st.sampled_from([0.0, 1e9, math.inf]))
    | st.floats(0, 1e4),
    max_size=30,
)


def taught(policy: LearnedPolling, median: float = 60, count: int = 500) -> Schedule:
    """Return a schedule that knows jobs of one shape, sigma 0.3."""
    chance, schedule = random.Random(1), policy.schedule()
    for _ in range(count):
        schedule.finished(FOX, 0.0, chance.lognormvariate(math.log(median), 0.3))
    return schedule


@given(STEPS, SHAPES, st.none() | AGES, POLLS, st.floats(0, 0.999), st.floats(0.01, 100))
def test_learned_polling_sleeps_within_its_bounds_whatever_it_was_told(
    steps: list[tuple[float, float] | float],
    shape: Shape | None,
    age: float | None,
    polls: int,
    chance: float,
    lateness: float,
) -> None:
    """From 0.5 to 30 s; and no longer than 5 s while it knows at most five jobs of the kind."""
    schedule = LearnedPolling(lateness, random=lambda: chance).schedule()
    ends = 0
    for step in steps:
        if isinstance(step, tuple):
            schedule.finished(shape, *step)
            ends += 1
        else:
            schedule.running(shape, 0.0, step)
    delay = schedule.next_delay(shape, age, polls)
    assert 0.5 <= delay <= (30 if ends > 5 else 5)


def test_while_nothing_is_known_no_sleep_is_longer_than_a_backoff_from_2_to_5_s() -> None:
    """The guess may only shorten them: nobody knows how long jobs take."""
    schedule = LearnedPolling(random=lambda: 0.0).schedule()
    assert schedule.next_delay(FOX, 0.0, 0) == 2
    assert schedule.next_delay(FOX, 2.0, 1) == 2.4
    for age in range(0, 300, 7):
        for polls in range(10):
            most = BackoffPolling().next_delay(None, None, polls)
            assert schedule.next_delay(FOX, age, polls) <= most


def test_an_attached_job_is_looked_at_soon_then_as_if_nothing_were_known() -> None:
    """Its age is not known: that others take a minute says nothing of when it ends."""
    schedule = taught(LearnedPolling())
    delays = [schedule.next_delay(None, None, polls) for polls in (0, 1, 2, 9)]
    assert delays == pytest.approx([0.5, 2.4, 2.88, 5])


def test_it_sleeps_through_the_time_in_which_no_job_ends() -> None:
    """And polls at a rate that the hazard justifies from then on."""
    schedule = taught(LearnedPolling(random=lambda: 0.0))
    assert 20 < schedule.next_delay(FOX, 0.0, 0) <= 30
    assert 1 < schedule.next_delay(FOX, 60.0, 5) < 3
    assert schedule.next_delay(FOX, 20.0, 5) > 5


def test_jobs_that_start_together_are_not_asked_after_together() -> None:
    """Five hundred with one history: no two tenths of a second get more than 5% of the polls."""
    schedule = taught(LearnedPolling(random=random.Random(3).random))
    firsts = [schedule.next_delay(FOX, 0.0, 0) for _ in range(500)]
    slots = [round(first * 5) for first in firsts]
    assert max(map(slots.count, slots)) < 50
    assert max(firsts) - min(firsts) > 2


def test_a_shape_of_which_little_is_known_leans_on_others_of_its_model() -> None:
    """Half a minute is usual for this shape; its model was seen to be six times slower."""
    experience = Experience()
    other = Shape("a/model", "720p", 10)
    before = experience.survival(other).running(150)
    for _ in range(50):
        experience.ended(FOX, 0.0, 6 * usual_seconds(FOX))
    assert before < 0.35
    assert Experience().survival(Shape("b/model", "720p", 10)).running(150) == before
    del experience._kinds[other]
    assert experience.survival(other).running(150) > 0.8
    assert experience.survival(None).running(100) > 0.6


def test_what_is_known_is_bounded_however_many_shapes_there_are() -> None:
    """Untyped requests may name any model and length."""
    experience = Experience()
    for number in range(1000):
        experience.ended(Shape(f"a/{number}", None, number), 0.0, 30.0)
    assert len(experience._kinds) <= 200
    assert len(experience._models) <= 200
