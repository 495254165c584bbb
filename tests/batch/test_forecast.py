"""What waiting rows would cost and how long they would take, before any is sent."""

from __future__ import annotations

import pytest

from seedance_async.batch.forecast import forecast
from seedance_async.budget import Account, Budget
from seedance_async.models import Shape

FAST = Shape("bytedance/seedance-1-0/pro/fast/text-to-video", "480p", 5)
LITE = Shape("bytedance/seedance-1-0/lite/image-to-video", "480p", 10)
SHAPES = [(FAST, 8), (LITE, 3)]


def account(usd: float | None = None, settled: int = 0, reserved: int = 0) -> Account:
    budget = Budget(usd, price_per_second={FAST.model_id: 0.05})
    return Account(budget, settled=settled, reserved=reserved)


def test_known_prices_are_added_up_and_the_others_counted() -> None:
    """The estimate says nothing of models without a price, so these are named."""
    seen = forecast(SHAPES, account(), at_once=4)
    assert (seen.rows, seen.videos) == (11, 11)
    assert seen.estimate == 8 * 250_000
    assert (seen.unpriced, seen.unpriced_models) == (3, (LITE.model_id,))
    assert seen.affordable


def test_nothing_waits() -> None:
    """No rows, no time, no money."""
    seen = forecast([], account(0.01), at_once=4)
    assert (seen.rows, seen.videos, seen.estimate, seen.longest) == (0, 0, 0, 0.0)
    assert seen.affordable


@pytest.mark.parametrize(
    ("usd", "settled", "reserved", "affordable"),
    [
        (2.0, 0, 0, True),
        (1.99, 0, 0, False),
        (3.0, 500_000, 500_000, True),
        (3.0, 1_000_001, 0, False),
    ],
)
def test_what_is_spent_and_set_aside_counts(
    usd: float, settled: int, reserved: int, affordable: bool
) -> None:
    """A budget is for all runs together, to the micro-dollar."""
    seen = forecast([(FAST, 8)], account(usd, settled=settled, reserved=reserved), at_once=4)
    assert seen.affordable is affordable


@pytest.mark.parametrize(("left", "videos"), [(None, 11), (20, 11), (5, 5), (0, 0), (-3, 0)])
def test_max_videos_bounds_what_is_submitted(left: int | None, videos: int) -> None:
    """More may be paid for already than is allowed now."""
    assert forecast(SHAPES, account(), at_once=4, videos_left=left).videos == videos


def test_time_counts_rounds() -> None:
    """Nine videos, four at once, are three rounds; a simulator is faster."""
    seen = forecast([(FAST, 9)], account(), at_once=4)
    assert (seen.shortest, seen.longest) == (90.0, 540.0)
    assert forecast([(FAST, 9)], account(), at_once=4, speed=20).longest == 27.0
