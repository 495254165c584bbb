"""The money that an examination may spend, and what it was spent on."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs


@attrs.define
class Paid:
    """One generation that the service took on, wanted or not."""

    request_id: str
    why: str
    end: str = "not followed to its end: look at its result later"
    cost: str = "unknown"


@attrs.define
class Purse:
    """Admits generations while their estimates fit the budget; each purpose only once.

    Attributes:
        budget: USD.
        estimate: USD for one generation; None: no price is known.
        committed: USD for what was admitted.
    """

    budget: Decimal
    estimate: Decimal | None
    committed: Decimal = Decimal(0)
    _purposes: set[str] = attrs.field(factory=set)

    def admit(self, purpose: str) -> str:
        """Take the estimate of one generation; return why not, empty if it was taken.

        Raises:
            RuntimeError: one was admitted for this purpose before; it is never paid for twice.
        """
        if purpose in self._purposes:
            raise RuntimeError(f"a generation was admitted before for: {purpose}")
        if self.estimate is None:
            return "no price is known: the catalog names none; give --price USD_PER_SECOND"
        need = self.committed + self.estimate
        if need > self.budget:
            return f"would cost about ${self.estimate:f}; --budget {need:f} lets it run"
        self._purposes.add(purpose)
        self.committed = need
        return ""

    def settle(self, cost: Decimal) -> None:
        """Take what one really cost into account; the next is expected to cost no less."""
        assert self.estimate is not None
        self.committed += max(Decimal(0), cost - self.estimate)
        self.estimate = max(self.estimate, cost)


def estimate(
    entry: Mapping[str, Any], body: Mapping[str, Any], price_per_second: Decimal | None
) -> Decimal | None:
    """Estimate one generation in USD from the catalog's entry and the given price.

    The greater counts where both are known; None where none is, or where the body does not say
    how long the video is to be.
    """
    known = [_by_catalog(entry, body), _by_second(price_per_second, body)]
    return max((price for price in known if price is not None), default=None)


def _by_catalog(entry: Mapping[str, Any], body: Mapping[str, Any]) -> Decimal | None:
    base = entry.get("base_price_usd")
    if isinstance(base, bool) or not isinstance(base, int | float) or not base > 0:
        return None
    price = Decimal(str(base))
    if entry.get("price_unit") == "output":
        return price
    return _by_second(price, body) if entry.get("price_unit") == "second" else None


def _by_second(price: Decimal | None, body: Mapping[str, Any]) -> Decimal | None:
    seconds = body.get("duration")
    if price is None or isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return price * Decimal(str(seconds))
