"""What a run sets aside for its rows, as the first bills come."""

from __future__ import annotations

import pytest

from seedance_async import Budget, Output, Succeeded
from seedance_async.batch.entries import Money
from seedance_async.batch.purse import Purse
from seedance_async.budget import Account, Reservation
from seedance_async.models import shape
from tests.session.scene import fox


def ended(cost: float | None) -> Succeeded:
    url = "https://example.runcomfy.net/fox.mp4"
    return Succeeded(request_id="fox", video_url=url, output=Output(url), cost_usd=cost)


@pytest.mark.parametrize(
    ("cost", "reserved"),
    [(0.40, 2 * 400_000), (0.25, 2 * 250_000), (0.10, 2 * 250_000), (None, 2 * 250_000)],
    ids=["dearer", "as said", "cheaper", "unknown"],
)
def test_a_dearer_video_raises_what_is_set_aside_for_all_others_of_its_shape(
    cost: float | None, reserved: int
) -> None:
    """And nothing else moves it: neither a cheaper bill nor the same again."""
    purse = Purse(Account(Budget(usd=100, price_per_video=0.25)), None)
    found = [purse.reserve(shape(fox(number))) for number in range(5)]
    other = purse.reserve(shape(fox(duration=12)))
    rows = [one for one in [*found, other] if isinstance(one, Reservation)]
    assert len(rows) == 6
    for row in rows[:3]:
        purse.settle(row, ended(cost))
    assert purse.reserved == reserved + 250_000  # two of the shape, and the longer one


def test_the_first_bill_of_a_shape_is_the_estimate_of_those_that_had_none() -> None:
    """Also of a job of an earlier run; those of another shape stay unknown, and are counted."""
    account = Account(None)
    account.take_over(shape(fox(duration=5)), None)
    purse = Purse(account, None)
    first, second, other = (purse.reserve(shape(fox(duration=n))) for n in (5, 5, 12))
    earlier = purse.adopt(shape(fox(duration=5)), None)
    assert isinstance(first, Reservation)
    assert purse.money == Money(settled=0, reserved=0, unpriced=0, unestimated=4)
    purse.settle(first, ended(0.25))
    assert purse.money == Money(settled=250_000, reserved=500_000, unpriced=0, unestimated=1)
    assert isinstance(other, Reservation)
    purse.settle(other, ended(None))
    assert purse.money == Money(settled=250_000, reserved=500_000, unpriced=1, unestimated=0)
    assert isinstance(second, Reservation)
    for one, left in ((second, 250_000), (earlier, 0)):
        purse.give_back(one)
        assert purse.money == Money(settled=250_000, reserved=left, unpriced=1, unestimated=0)


@pytest.mark.parametrize("estimate", [250_000, None], ids=["estimated", "no price known"])
def test_a_job_that_is_come_back_to_after_a_dearer_bill_gives_back_no_more_than_was_set_aside(
    estimate: int | None,
) -> None:
    """Jobs of an earlier run come in pages: the first may be over before the last is read."""
    account = Account(None)
    account.take_over(shape(fox()), estimate, number=2)
    purse = Purse(account, None)
    first = purse.adopt(shape(fox()), estimate)
    purse.settle(first, ended(0.40))
    second = purse.adopt(shape(fox()), estimate)
    assert purse.money == Money(settled=400_000, reserved=400_000, unpriced=0, unestimated=0)
    purse.settle(second, ended(0.40))
    assert purse.money == Money(settled=800_000, reserved=0, unpriced=0, unestimated=0)
