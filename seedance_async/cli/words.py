"""States and amounts in words."""

from __future__ import annotations

from math import ceil, floor, inf
from pathlib import Path
from typing import Any, assert_never

from seedance_async.budget import Account, known_sum, shown, usd
from seedance_async.cli.cleaning import one_line
from seedance_async.jobs import (
    Cancelled,
    Failed,
    InDoubt,
    InProgress,
    InQueue,
    Lost,
    State,
    Succeeded,
    TimedOut,
    jsonable,
)

__all__ = [
    "between",
    "describe",
    "earlier_runs",
    "known_amount",
    "known_part",
    "seconds",
    "state_json",
    "state_name",
]

_NAMES: dict[type[State], str] = {
    InQueue: "in_queue",
    InProgress: "in_progress",
    Succeeded: "succeeded",
    Failed: "failed",
    Cancelled: "cancelled",
    TimedOut: "timed_out",
    Lost: "lost",
    InDoubt: "in_doubt",
}


def state_name(state: State) -> str:
    """Return the word of ledgers and results for a state."""
    return _NAMES[type(state)]


def state_json(request_id: str, state: State) -> dict[str, Any]:
    """Return a state as a JSON object that says which one it is."""
    return {"request_id": request_id, "state": state_name(state), **jsonable(state)}


def describe(state: State) -> str:
    """Say a state in a few words, on one line."""
    match state:
        case InQueue(position=position):
            return "in the queue" if position is None else f"in the queue at position {position}"
        case InProgress(reported=word):
            return f"in progress{'' if word is None else f' (the service says {word!r})'}"
        case Succeeded(cost_usd=cost):
            return f"succeeded{'' if cost is None else f', {usd(cost)}'}"
        case Failed(error=error):
            return f"failed: {one_line(error.message)}"
        case Cancelled():
            return "cancelled"
        case TimedOut(reason=reason):
            return f"not over, but no longer tracked: {one_line(reason)}"
        case Lost(error=error):
            return f"lost: {one_line(error.message)}"
        case InDoubt(error=error):
            return f"in doubt: {one_line(error.message)}"
        case _:
            assert_never(state)


def known_amount(micro: int, unknown: int) -> str:
    """Return a sum of micro-dollars as text, of which so many parts are not known."""
    known = known_sum(micro, unknown)
    return "unknown" if known is None else shown(known)


def known_part(micro: int, unknown: int, what: str) -> str:
    """Return a sum of money of which parts are not known: $1.25 settled (3 of unknown cost).

    Args:
        micro: What is known of it, in micro-dollars.
        unknown: How many have an unknown cost; with nothing else, no amount is told.
        what: What it is: settled, reserved.
    """
    if known_sum(micro, unknown) is None:
        return f"{unknown:,} of unknown cost {what}"
    return f"{shown(micro)} {what}" + (f" ({unknown:,} of unknown cost)" if unknown else "")


def earlier_runs(folder: Path, account: Account) -> list[str]:
    """Return the line that says what a folder's earlier runs cost; none if there is nothing."""
    if not (account.settled or account.reserved or account.unpriced or account.unestimated):
        return []
    settled = known_part(account.settled, account.unpriced, "settled")
    reserved = known_part(account.reserved, account.unestimated, "reserved")
    return [f"Earlier runs of {folder}: {settled}, {reserved}."]


def seconds(amount: float) -> str:
    """Return a time for people: 4.2 s, 35 s, 2 min 05 s."""
    if amount < 10:
        return f"{amount:.1f} s"
    if amount < 60:
        return f"{amount:.0f} s"
    minutes, rest = divmod(round(amount), 60)
    return f"{minutes} min {rest:02d} s"


def between(low: float, high: float) -> str:
    """Return a range of seconds for people, as coarse as it is known: 3 to 5 min, under 10 s."""
    size, step, unit = next((size, step, unit) for most, size, step, unit in _UNITS if high < most)
    least = floor(low / size / step) * step
    most = ceil(high / size / step) * step
    if most - least <= step:
        return f"under {most:g} {unit}" if not least else f"about {most:g} {unit}"
    return f"{least:g} to {most:g} {unit}" if least else f"under {most:g} {unit}"


_UNITS = (
    (20.0, 1.0, 1, "s"),
    (100.0, 1.0, 5, "s"),
    (100 * 60.0, 60.0, 1, "min"),
    (20 * 3600.0, 3600.0, 0.5, "h"),
    (inf, 3600.0, 1, "h"),
)
"""Below so many seconds: the unit, in seconds, what is rounded to, and its name."""
