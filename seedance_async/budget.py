"""Money: estimates, reservations and what was settled, in integer micro-dollars.

Pure: the session and the batch ask before they submit and tell what came of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, TypeAlias

import attrs

from seedance_async.models import Shape

__all__ = [
    "Account",
    "Budget",
    "Reservation",
    "known_cost",
    "known_sum",
    "known_usd",
    "shown",
    "to_micro",
    "to_usd",
    "usd",
]


def to_micro(usd: float | str | Decimal) -> int:
    """Return USD as micro-dollars, rounded half up.

    Raises:
        ValueError: Not a finite amount of zero or more.
    """
    try:
        micro = Decimal(str(usd)) * 1_000_000
    except ArithmeticError:  # no number, or one beyond what decimals hold
        raise ValueError(f"not an amount of USD: {usd!r}") from None
    if not micro.is_finite() or micro < 0:
        raise ValueError(f"an amount of USD must be zero or more (given: {usd!r})")
    return int(micro.to_integral_value(ROUND_HALF_UP))


def to_usd(micro: int) -> float:
    """Return micro-dollars as USD."""
    return micro / 1_000_000


def known_sum(micro: int, unknown: int) -> int | None:
    """Return a sum of money; None if nothing of it is known, which is not 0.

    Args:
        micro: What is known of it, in micro-dollars.
        unknown: How many amounts in it are not known.
    """
    return None if unknown and not micro else micro


def known_usd(micro: int, unknown: int) -> float | None:
    """Return a sum as USD; None if nothing of it is known, which is not 0."""
    known = known_sum(micro, unknown)
    return None if known is None else to_usd(known)


_MOST = (1 << 63) - 1
"""What a ledger can hold, in micro-dollars."""


@lru_cache(maxsize=256)  # the jobs of a session cost the same few amounts
def known_cost(usd: float | None) -> int | None:
    """Return a cost that the service told in micro-dollars; None if it makes no sense as one."""
    try:
        micro = None if usd is None else to_micro(usd)
    except ValueError:
        return None
    return micro if micro is None or micro <= _MOST // 1_000_000 else None


def usd(amount: float) -> str:
    """Return USD as text for people: $0.25, $0.0375."""
    whole, _, fraction = f"{amount:.6f}".rstrip("0").partition(".")
    return f"${whole}.{fraction.ljust(2, '0')}"


def shown(micro: int) -> str:
    """Return micro-dollars as text for people."""
    return usd(to_usd(micro))


Price = float | Mapping[str, float] | None


def _amounts(_owner: object, field: attrs.Attribute[Any], value: Price) -> None:
    try:
        for amount in value.values() if isinstance(value, Mapping) else [value]:
            if amount is not None:
                to_micro(amount)
    except ValueError as error:
        raise ValueError(f"{field.name}: {error}") from None


@attrs.frozen
class Budget:
    """A bound on what a session may spend, and the prices that its estimates rest on.

    A price is one number for all models, or a mapping from full model ids. The service's catalog
    is the only authority for prices; none is built in.

    Attributes:
        usd: The bound, in USD: settled costs, reservations and the next estimate stay within it;
            None does not bound them.
        price_per_second: USD for each second of video.
        price_per_video: USD for each video; counts where no price per second is known.

    Raises:
        ValueError: An amount is negative or no number.
    """

    usd: float | None = attrs.field(default=None, validator=_amounts)
    price_per_second: Price = attrs.field(default=None, validator=_amounts)
    price_per_video: Price = attrs.field(default=None, validator=_amounts)

    def estimate(self, shape: Shape) -> int | None:
        """Return a generation's price in micro-dollars; None where no price is known."""
        per_second = _price_of(self.price_per_second, shape.model_id)
        if per_second is not None and shape.duration is not None:
            return to_micro(per_second) * int(shape.duration)
        per_video = _price_of(self.price_per_video, shape.model_id)
        return None if per_video is None else to_micro(per_video)


def _price_of(price: Price, model_id: str) -> float | None:
    return price.get(model_id) if isinstance(price, Mapping) else price


@attrs.define(eq=False)
class Reservation:
    """Money set aside for one submission; settled or released once.

    Attributes:
        shape: What the estimate depends on.
        amount: Micro-dollars, as reckoned at first; None: no price was known.
        open: Whether they are still set aside.
    """

    shape: Shape
    amount: int | None
    open: bool = True


@attrs.define
class Account:
    """The state of a budget: what is settled, and what is set aside.

    A job that is over without a known cost keeps its reservation, for it may be billed. All that
    has no known cost is reckoned by what is known now: a bill that is dearer than the estimate
    raises everything of its shape with it.

    Attributes:
        budget: The bound and the prices; None: neither.
        settled: Micro-dollars that are spent.
        reserved: Micro-dollars that are set aside.
        unpriced: Videos in `settled` whose cost was not told: at their estimate, or at nothing.
        unestimated: Submissions in `reserved` at nothing, as no price was known.
    """

    budget: Budget | None
    settled: int = 0
    reserved: int = 0
    unpriced: int = 0
    unestimated: int = 0
    _dearest: dict[Shape, int] = attrs.field(factory=dict)
    _unsettled: defaultdict[Shape, Counter[_Unsettled]] = attrs.field(
        factory=lambda: defaultdict(Counter), init=False
    )

    def estimate(self, shape: Shape) -> int | None:
        """Return the greater of the price and the dearest settled cost of the same shape."""
        price = None if self.budget is None else self.budget.estimate(shape)
        return _greater(price, self._dearest.get(shape))

    def reserve(self, shape: Shape) -> Reservation | str:
        """Set the estimate aside, or say why it cannot be."""
        estimate = self.estimate(shape)
        if self.budget is not None and self.budget.usd is not None:
            if estimate is None:
                return (
                    f"no price is known for {shape.model_id}, so its cost cannot be held within "
                    f"the budget; give price_per_second or price_per_video"
                )
            limit = to_micro(self.budget.usd)
            if self.settled + self.reserved + estimate > limit:
                return (
                    f"the estimate of {shown(estimate)} does not fit: of {shown(limit)}, "
                    f"{shown(self.settled)} are spent and {shown(self.reserved)} reserved; raise "
                    f"the budget or wait for running jobs to be settled"
                )
        self.take_over(shape, estimate)
        return Reservation(shape, estimate)

    def take_over(
        self, shape: Shape, amount: int | None, *, succeeded: bool = False, number: int = 1
    ) -> None:
        """Count what is paid for, or may be, and whose cost is not known.

        Args:
            shape: What the estimate depends on.
            amount: Micro-dollars that each was reckoned at; None: no price was known.
            succeeded: Whether it brought a video, so that it is spent.
            number: How many of them; less than none takes them off again.
        """
        self._unsettled[shape][amount, succeeded] += number
        self._weigh(shape, amount, succeeded, number)

    def _weigh(self, shape: Shape, amount: int | None, succeeded: bool, number: int) -> None:
        known = _greater(amount, self.estimate(shape))
        if succeeded:
            self.settled += number * (known or 0)
            self.unpriced += number
        else:
            self.reserved += number * (known or 0)
            self.unestimated += number * (known is None)

    def release(self, reservation: Reservation) -> None:
        """Give back what was set aside: surely nothing was accepted."""
        if reservation.open:
            reservation.open = False
            self.take_over(reservation.shape, reservation.amount, number=-1)

    def settle(self, reservation: Reservation, cost_usd: float | None, *, succeeded: bool) -> None:
        """Book a job that is over: its cost if known, its estimate if it succeeded without one."""
        cost = known_cost(cost_usd)
        if not reservation.open or (cost is None and not succeeded):
            return
        self.release(reservation)
        if cost is None:
            self.take_over(reservation.shape, reservation.amount, succeeded=True)
            return
        self.settled += cost
        self._learn(reservation.shape, cost)

    def _learn(self, shape: Shape, cost: int) -> None:
        """Take note of a bill; if none was dearer, all of its shape is weighed anew."""
        if cost <= self._dearest.get(shape, -1):
            return
        unsettled = self._unsettled[shape]
        for (amount, succeeded), number in unsettled.items():
            self._weigh(shape, amount, succeeded, -number)
        self._dearest[shape] = cost
        for (amount, succeeded), number in unsettled.items():
            self._weigh(shape, amount, succeeded, number)


_Unsettled: TypeAlias = tuple[int | None, bool]
"""What one was reckoned at, and whether it brought a video."""


def _greater(one: int | None, other: int | None) -> int | None:
    return max((known for known in (one, other) if known is not None), default=None)
