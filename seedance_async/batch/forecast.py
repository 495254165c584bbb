"""What the rows that wait would cost and how long they would take, before any is sent. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import attrs

from seedance_async.budget import Account, to_micro
from seedance_async.models import Shape

__all__ = ["Forecast", "forecast"]

_SHORTEST: Final = 30.0
_LONGEST: Final = 180.0
"""Seconds that one generation takes (design, section 1: 30 s to minutes)."""


@attrs.frozen(kw_only=True)
class Forecast:
    """What submitting would mean; money in micro-dollars, times in seconds.

    Attributes:
        rows: Rows that wait to be submitted.
        videos: How many of them `max_videos` lets pass.
        estimate: Of all those rows whose price is known.
        unpriced: Rows whose price is not known.
        unpriced_models: The full ids of their models, sorted.
        affordable: Whether the estimate fits into what is left of the budget.
        shortest: The time for the videos if all are quick.
        longest: The time if all are slow.
    """

    rows: int
    videos: int
    estimate: int
    unpriced: int
    unpriced_models: tuple[str, ...]
    affordable: bool
    shortest: float
    longest: float


def forecast(
    shapes: Iterable[tuple[Shape, int]],
    account: Account,
    *,
    at_once: int,
    videos_left: int | None = None,
    speed: float = 1.0,
) -> Forecast:
    """Return what submitting these rows would mean.

    Args:
        shapes: What waits, and how many rows of each shape.
        account: The prices, what is spent and set aside, and the budget.
        at_once: Generations in flight.
        videos_left: How many more attempts may be paid for; None: any number.
        speed: How many times faster than real jobs.
    """
    rows = estimate = unpriced = 0
    models = set()
    for of_shape, number in shapes:
        rows += number
        price = account.estimate(of_shape)
        if price is None:
            unpriced += number
            models.add(of_shape.model_id)
        else:
            estimate += number * price
    videos = rows if videos_left is None else min(rows, max(videos_left, 0))
    rounds = math.ceil(videos / at_once)
    return Forecast(
        rows=rows,
        videos=videos,
        estimate=estimate,
        unpriced=unpriced,
        unpriced_models=tuple(sorted(models)),
        affordable=estimate <= _left(account),
        shortest=rounds * _SHORTEST / speed,
        longest=rounds * _LONGEST / speed,
    )


def _left(account: Account) -> float:
    budget = account.budget
    if budget is None or budget.usd is None:
        return math.inf
    return to_micro(budget.usd) - account.settled - account.reserved
