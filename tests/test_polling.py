"""When to poll next: values of the policies, and what they say to wrong settings."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_async.models import Shape
from seedance_async.polling import BackoffPolling, FixedPolling, Polling

SHAPES = st.none() | st.builds(Shape, st.just("a/model"), duration=st.none() | st.integers(2, 12))
AGES = st.floats(0, 1e7)
POLLS = st.integers(0, 50) | st.integers(0, 10**30)


@given(st.floats(0.01, 1e4), SHAPES, AGES, POLLS)
def test_fixed_polling_polls_every_so_many_seconds(
    seconds: float, shape: Shape | None, age: float, polls: int
) -> None:
    """Whatever the job, its age and its past, and whatever it has been told of others."""
    schedule = FixedPolling(seconds).schedule()
    schedule.finished(shape, age)
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
    schedule.finished(shape, age)
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
    with pytest.raises(AttributeError):
        FixedPolling().seconds = 1  # type: ignore[misc]
