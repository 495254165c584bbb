"""Money: what is settled, set aside and estimated never passes the limit, to the micro-dollar."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_async.budget import Account, Budget, Reservation, to_micro, to_usd
from seedance_async.models import Shape

FAST, LITE = "bytedance/fast", "bytedance/lite"
SHAPES = [Shape(FAST, "480p", 5), Shape(FAST, "1080p", 10), Shape(LITE, "480p", 5)]

# --- amounts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usd", "micro"),
    [
        (0, 0),
        (0.1, 100_000),
        (0.1 + 0.2, 300_000),
        ("0.0000005", 1),
        ("0.00000049", 0),
        (Decimal("1.2345675"), 1_234_568),
        (1e-300, 0),
        (12, 12_000_000),
        (" 2.5 ", 2_500_000),
    ],
)
def test_usd_become_whole_micro_dollars_rounded_half_up(
    usd: float | str | Decimal, micro: int
) -> None:
    """By their decimal spelling, so that 0.1 is 100,000 and binary fractions leave no crumbs."""
    assert to_micro(usd) == micro


@given(st.integers(0, 10**12))
def test_micro_dollars_survive_the_way_to_usd_and_back(micro: int) -> None:
    """Up to a million dollars, what a report shows is exactly what was booked."""
    assert to_micro(to_usd(micro)) == micro


@pytest.mark.parametrize(
    "usd", [-0.01, "-1", float("nan"), float("inf"), "NaN", "sNaN", "-Infinity", "1e999999"]
)
def test_bad_amounts_are_refused(usd: float | str) -> None:
    """Negative, not finite, or beyond what anybody pays."""
    with pytest.raises(ValueError, match="amount of USD"):
        to_micro(usd)


@pytest.mark.parametrize("usd", ["", "ten", "1,5", "$5", True, None, b"5", [5]])
def test_what_is_no_amount_is_refused(usd: object) -> None:
    """Text, booleans and absent values, all by the one error that names what was given."""
    with pytest.raises(ValueError, match="not an amount of USD"):
        to_micro(usd)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["usd", "price_per_second", "price_per_video"])
def test_a_budget_checks_its_amounts_at_once(name: str) -> None:
    """A wrong setting is an error before anything is submitted, and names itself."""
    amounts: dict[str, float] = {"usd": 1.0, name: -1.0}
    with pytest.raises(ValueError, match=f"{name}: an amount of USD"):
        Budget(**amounts)
    with pytest.raises(ValueError, match="price_per_second: not an amount"):
        Budget(usd=1.0, price_per_second={FAST: 0.1, LITE: "free"})  # type: ignore[dict-item]


# --- estimates -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "shape", "estimate"),
    [
        (Budget(1.0, price_per_second=0.05), Shape(FAST, duration=5), 250_000),
        (Budget(1.0, price_per_second={FAST: 0.05}), Shape(FAST, duration=5), 250_000),
        (Budget(1.0, price_per_second={FAST: 0.05}), Shape(LITE, duration=5), None),
        (Budget(1.0, price_per_second=0.05), Shape(FAST), None),
        (Budget(1.0, price_per_second=0.05, price_per_video=0.4), Shape(FAST), 400_000),
        (Budget(1.0, 0.05, 0.4), Shape(FAST, duration=2), 100_000),
        (Budget(1.0, {FAST: 0.05}, {LITE: 0.4}), Shape(LITE, duration=5), 400_000),
        (Budget(1.0, price_per_video=0.0), Shape(FAST), 0),
        (Budget(1.0), Shape(FAST, duration=5), None),
    ],
)
def test_prices_are_by_second_then_by_video_and_never_invented(
    budget: Budget, shape: Shape, estimate: int | None
) -> None:
    """No price is built in: where none is given, there is no estimate."""
    assert budget.estimate(shape) == estimate


def test_the_dearest_settled_cost_of_a_shape_raises_its_estimate() -> None:
    """A price that turns out too low is corrected by what was really billed, for that shape."""
    account = Account(Budget(100.0, price_per_video=0.1))
    for cost in (0.3, 0.2, 0.05):
        account.settle(reserved(account, SHAPES[0]), cost, succeeded=True)
    assert account.estimate(SHAPES[0]) == 300_000
    assert account.estimate(SHAPES[1]) == 100_000
    assert reserved(account, SHAPES[0]).amount == 300_000


def test_a_cost_alone_is_an_estimate_too() -> None:
    """Where no price was given, the first known cost of a shape is one; without a budget also."""
    account = Account(Budget(100.0, price_per_second={LITE: 1.0}))
    assert account.estimate(SHAPES[0]) is None
    account.take_over(SHAPES[0], None)
    account.settle(Reservation(SHAPES[0], None), 0.25, succeeded=True)
    assert account.estimate(SHAPES[0]) == 250_000
    unbounded = Account(None)
    unbounded.settle(reserved(unbounded, SHAPES[0]), 0.25, succeeded=True)
    assert reserved(unbounded, SHAPES[0]).amount == unbounded.reserved == 250_000
    assert unbounded.settled == 250_000


# --- the account ---------------------------------------------------------------------------


def reserved(account: Account, shape: Shape) -> Reservation:
    found = account.reserve(shape)
    assert isinstance(found, Reservation), found
    return found


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "release", "settle", "end"]),
        st.integers(0, 9),
        st.none() | st.integers(0, 1_000_000),
        st.booleans(),
    ),
    max_size=60,
)


@given(st.integers(0, 5_000_000), ACTS)
def test_settled_and_reserved_never_pass_the_limit(
    limit: int, acts: list[tuple[str, int, int | None, bool]]
) -> None:
    """Through any sequence in which no cost is above its estimate; and none is refused early."""
    account = Account(Budget(to_usd(limit), price_per_second=0.1))
    all_of_them: list[Reservation] = []
    for act, number, cost, succeeded in acts:
        if act == "reserve":
            before = account.settled + account.reserved
            shape = SHAPES[number % len(SHAPES)]
            estimate = account.estimate(shape)
            found = account.reserve(shape)
            assert estimate is not None
            assert isinstance(found, str) is (before + estimate > limit)
            if isinstance(found, Reservation):
                assert found.amount == estimate
                all_of_them.append(found)
        elif all_of_them:
            reservation = all_of_them[number % len(all_of_them)]
            if act == "release":
                account.release(reservation)
            else:
                usd = None if cost is None else to_usd(min(cost, reservation.amount or 0))
                account.settle(reservation, usd, succeeded=succeeded)
        assert account.reserved == sum(r.amount or 0 for r in all_of_them if r.open) >= 0
        assert account.settled >= 0
        assert account.settled + account.reserved <= limit


def test_a_cost_above_its_estimate_is_booked_and_stops_the_next() -> None:
    """What was billed is the truth, even beyond the limit; what runs will cost as much."""
    account = Account(Budget(1.0, price_per_video=0.4))
    first, second = reserved(account, SHAPES[0]), reserved(account, SHAPES[0])
    account.settle(first, 0.9, succeeded=True)
    assert account.settled == account.reserved == 900_000
    found = account.reserve(SHAPES[0])
    assert isinstance(found, str)
    assert "$0.90 does not fit: of $1.00, $0.90 are spent" in found
    assert "$0.90 reserved; raise the budget" in found
    account.release(second)
    assert isinstance(account.reserve(SHAPES[1]), str)


def test_without_a_price_a_budget_admits_nothing_and_says_what_to_give() -> None:
    """What cannot be estimated cannot be held within a budget."""
    found = Account(Budget(1.0)).reserve(SHAPES[0])
    assert isinstance(found, str)
    assert FAST in found
    assert "price_per_second or price_per_video" in found


@pytest.mark.parametrize(
    ("cost", "succeeded", "settled", "still_reserved"),
    [
        (0.25, True, 250_000, 0),
        (None, True, 400_000, 0),
        (0.0, False, 0, 0),
        (0.1, False, 100_000, 0),
        (None, False, 0, 400_000),
    ],
)
def test_what_is_over_is_booked_once(
    cost: float | None, succeeded: bool, settled: int, still_reserved: int
) -> None:
    """By its cost; a video without one at its estimate; a failure without one stays reserved."""
    account = Account(Budget(1.0, price_per_video=0.4))
    reservation = reserved(account, SHAPES[0])
    for _ in range(2):
        account.settle(reservation, cost, succeeded=succeeded)
    assert (account.settled, account.reserved) == (settled, still_reserved)
    assert account.unpriced == (succeeded and cost is None)
    assert account.unestimated == 0
    account.release(reservation)
    account.release(reservation)
    assert (account.settled, account.reserved) == (settled, 0)


def test_submissions_without_a_price_are_counted_until_their_cost_is_known() -> None:
    """Nothing is set aside for them, which must not read as if they cost nothing."""
    account = Account(None)
    first, second, third, fourth = (reserved(account, SHAPES[0]) for _ in range(4))
    reserved(account, SHAPES[1])
    assert (account.reserved, account.unestimated) == (0, 5)
    account.release(first)
    account.settle(second, None, succeeded=True)
    assert (account.settled, account.unpriced, account.unestimated) == (0, 1, 3)
    account.settle(third, 0.25, succeeded=True)
    assert (account.settled, account.unpriced) == (500_000, 1)
    assert (account.reserved, account.unestimated) == (250_000, 1)
    account.settle(fourth, 0.10, succeeded=True)
    assert (account.settled, account.reserved) == (600_000, 0)


@given(ACTS, st.sampled_from([None, 0.01]))
def test_what_has_no_known_cost_is_always_reckoned_by_what_is_known(
    acts: list[tuple[str, int, int | None, bool]], price: float | None
) -> None:
    """Whatever is billed when: an account that heard of it in another order says the same."""
    account = Account(None if price is None else Budget(None, price_per_second=price))
    waiting: list[Reservation] = []
    guessed: list[Reservation] = []
    billed = 0
    for act, number, cost, succeeded in acts:
        if act == "reserve":
            waiting.append(reserved(account, SHAPES[number % len(SHAPES)]))
        elif waiting:
            one = waiting[number % len(waiting)]
            if act == "release":
                account.release(one)
            else:
                account.settle(one, None if cost is None else to_usd(cost), succeeded=succeeded)
                billed += cost or 0
            if not one.open:
                waiting.remove(one)
            if act != "release" and cost is None and succeeded:
                guessed.append(one)
        fresh = Account(account.budget, settled=billed, dearest=account._dearest)
        for one in waiting:
            fresh.take_over(one.shape, one.amount)
        for one in guessed:
            fresh.take_over(one.shape, one.amount, succeeded=True)
        for each in ("settled", "reserved", "unpriced", "unestimated"):
            assert getattr(account, each) == getattr(fresh, each) >= 0, each
