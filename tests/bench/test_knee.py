"""The knee, on curves whose answer is known."""

from __future__ import annotations

import random

import pytest

from seedance_async.bench.knee import Point, Verdict, recommend

LEVELS = (1, 2, 4, 8, 16, 32)


def curve(*rates: float, error: float = 0.0) -> list[Point]:
    return [Point(level, rate, error) for level, rate in zip(LEVELS, rates, strict=False)]


def test_where_a_line_becomes_flat_is_the_knee() -> None:
    found = recommend(curve(4, 8, 16, 32, 32.5, 33))
    assert (found.verdict, found.max_in_flight) == (Verdict.KNEE, 8)
    assert "97% of the best (33.0 videos a minute with 32)" in found.why


def test_a_flat_curve_has_its_knee_at_the_lowest_level() -> None:
    found = recommend(curve(10, 10.1, 9.9, 10, 10, 10))
    assert (found.verdict, found.max_in_flight) == (Verdict.KNEE, 1)


def test_a_curve_that_falls_has_its_knee_before_it_falls() -> None:
    found = recommend(curve(4, 8, 16, 14, 9, 5))
    assert (found.verdict, found.max_in_flight) == (Verdict.KNEE, 4)
    assert "the most of all levels" in found.why


def test_a_curve_that_still_rises_is_not_judged() -> None:
    found = recommend(curve(1, 2, 4, 8, 16, 32))
    assert (found.verdict, found.max_in_flight) == (Verdict.STILL_SCALING, 32)
    assert "try levels above it" in found.why


@pytest.mark.parametrize("seed", range(40))
def test_noise_of_some_percent_moves_no_knee(seed: int) -> None:
    """Each level is off by up to 6%, with a standard error that says so."""
    noise = random.Random(seed)
    rates = [rate * noise.uniform(0.94, 1.06) for rate in (4, 8, 16, 32, 32, 32)]
    assert recommend(curve(*rates, error=0.045)).max_in_flight == 8


def test_a_level_within_two_standard_errors_of_the_best_is_as_good() -> None:
    """28 misses an eighth of 32: more than a tenth, and less than noise of six percent allows."""
    assert recommend(curve(4, 8, 16, 28, 32, 32)).max_in_flight == 16
    assert recommend(curve(4, 8, 16, 28, 32, 32, error=0.06)).max_in_flight == 8


def test_noise_however_great_does_not_make_half_as_good_enough() -> None:
    assert recommend(curve(4, 8, 16, 32, 32, 32, error=0.9)).max_in_flight == 8


def test_one_level_tells_nothing_and_says_so() -> None:
    found = recommend([Point(8, 30.0)])
    assert (found.verdict, found.max_in_flight) == (Verdict.UNKNOWN, None)
    assert "several levels" in found.why


@pytest.mark.parametrize("points", [[], [Point(1, 0.0), Point(2, 0.0)]])
def test_nothing_measured_recommends_nothing(points: list[Point]) -> None:
    found = recommend(points)
    assert (found.verdict, found.max_in_flight) == (Verdict.UNKNOWN, None)


def test_levels_with_429s_are_not_recommended_however_much_they_bring() -> None:
    points = [Point(8, 30.0), Point(16, 50.0, limited=0.5), Point(32, 60.0, limited=2.0)]
    found = recommend(points)
    assert (found.verdict, found.max_in_flight) == (Verdict.LIMITED, 8)
    assert "with 16 there were 0.5 for each job" in found.why


def test_a_level_with_429s_above_the_knee_is_named_as_left_out() -> None:
    points = [Point(4, 30.0), Point(8, 31.0), Point(16, 60.0, limited=0.5)]
    found = recommend(points)
    assert (found.verdict, found.max_in_flight) == (Verdict.KNEE, 4)
    assert "16 met 429s and is left out" in found.why


def test_429s_at_all_levels_ask_for_lower_ones() -> None:
    found = recommend([Point(4, 30.0, limited=0.3), Point(8, 31.0, limited=0.6)])
    assert (found.verdict, found.max_in_flight) == (Verdict.UNKNOWN, None)
    assert "below 4" in found.why


def test_the_order_of_the_points_does_not_matter() -> None:
    points = curve(4, 8, 16, 32, 32.5, 33)
    assert recommend(points[::-1]) == recommend(points)
