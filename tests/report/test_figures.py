"""Numbers over many jobs, as tables and properties."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedance_async.report.figures import (
    edges,
    histogram,
    in_flight,
    lanes,
    percentile,
    spells,
    spread,
)

SPANS = st.lists(
    st.tuples(st.integers(0, 1_000), st.integers(0, 100)).map(lambda s: (s[0], s[0] + s[1])),
    max_size=40,
).map(sorted)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([7.0], 0.5, 7.0), ([1, 2, 3, 4], 0.5, 2), ([1, 2, 3, 4], 0.9, 4), ([1, 2, 3], 0.0, 1)],
)
def test_a_percentile_is_a_value_that_occurred(
    values: list[float], share: float, expected: float
) -> None:
    """Half of four values do not exceed the second."""
    assert percentile(values, share) == expected


def test_a_spread_of_nothing_is_none() -> None:
    assert spread([]) is None
    found = spread([3.0, 1.0, 2.0])
    assert found is not None
    assert (found.count, found.least, found.p50, found.most) == (3, 1.0, 2.0, 3.0)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.integers(1, 40))
def test_a_histogram_loses_no_value(values: list[float], most: int) -> None:
    """The bins are few, of one width, and hold the greatest value."""
    bounds = edges(max(values), most)
    assert 1 <= len(bounds) - 1 <= most
    assert bounds[-1] > max(values)
    assert sum(histogram(values, bounds)) == len(values)


@settings(deadline=None)
@given(SPANS)
def test_no_two_jobs_of_a_lane_overlap(spans: list[tuple[float, float]]) -> None:
    """And there are as many lanes as jobs overlap at most, so that the height tells the pool."""
    found = lanes(spans)
    for lane in set(found):
        inside = [span for span, place in zip(spans, found, strict=True) if place == lane]
        assert all(a[1] <= b[0] for a, b in pairwise(inside))
    deepest = max(
        (sum(a <= start < b or (a, b) == (start, end) for a, b in spans) for start, end in spans),
        default=0,
    )
    assert max(found, default=-1) + 1 <= deepest


@settings(deadline=None)
@given(SPANS, st.integers(0, 50))
def test_spells_cover_all_jobs_and_are_apart(spans: list[tuple[float, float]], apart: int) -> None:
    """Each job lies within one spell; between two there is more quiet than asked for."""
    found = spells(spans, apart=apart)
    assert all(any(a <= start and end <= b for a, b in found) for start, end in spans)
    assert all(b[0] - a[1] > apart for a, b in pairwise(found))


@settings(deadline=None)
@given(SPANS, st.integers(1, 60))
def test_the_curve_holds_as_much_time_as_the_jobs(
    spans: list[tuple[float, float]], bins: int
) -> None:
    """The area under it is the sum of all jobs' times, but for rounding."""
    times = spells(spans, apart=10)
    levels = in_flight(spans, times, bins)
    area = sum(
        sum(level) * (end - start) / len(level)
        for (start, end), level in zip(times, levels, strict=True)
    )
    whole = sum(end - start for start, end in spans)
    assert area == pytest.approx(whole, rel=0.02, abs=0.01 * sum(b - a for a, b in times) + 0.01)
