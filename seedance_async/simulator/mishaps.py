"""What a fault makes of an answer."""

from collections.abc import Callable
from email.utils import formatdate
from math import ceil
from typing import Final

import attrs

from .faults import Dice
from .reply import DROPPED, Reply, in_html, in_json, refusal

RETRY_AFTER: Final = (1, 2, 3)
"""Seconds that a 429 asks for, by turns."""

_SERVER_ERRORS: Final = (500, 502, 503)


def spoil(fault: str, reply: Reply, dice: Dice, wall_now: float) -> Reply:
    """Turn the answer that was due into the one that the fault brings.

    Args:
        fault: its name; what it means for the job was done before.
        reply: the answer that was due.
        dice: knows whose turn it is among the forms of one fault.
        wall_now: seconds since the Unix epoch, for HTTP dates.
    """
    return _SPOILERS[fault](fault, reply, dice, wall_now)


def limited(retry_after: int, wall_now: float, *, as_date: bool) -> Reply:
    """Refuse for now; the HTTP date comes with the Date that it counts from."""
    message = "Too many requests, try again later."
    if not as_date:
        return refusal(429, 429, message, Retry_After=str(retry_after))
    now = ceil(wall_now)
    return refusal(
        429,
        429,
        message,
        Retry_After=formatdate(now + retry_after, usegmt=True),
        Date=formatdate(now, usegmt=True),
    )


def _drop(_fault: str, _reply: Reply, _dice: Dice, _wall_now: float) -> Reply:
    return DROPPED


def _gateway_page(_fault: str, _reply: Reply, _dice: Dice, _wall_now: float) -> Reply:
    return in_html(504, "504 Gateway Time-out")


def _server_error(fault: str, _reply: Reply, dice: Dice, _wall_now: float) -> Reply:
    return refusal(dice.turn(fault, _SERVER_ERRORS), 500001, "Internal server error.")


def _limit(fault: str, _reply: Reply, dice: Dice, wall_now: float) -> Reply:
    seconds = dice.turn(fault, RETRY_AFTER)
    return limited(seconds, wall_now, as_date=dice.turn(fault, (False, True)))


def _error_in_200(_fault: str, _reply: Reply, _dice: Dice, _wall_now: float) -> Reply:
    return in_json(200, {"error_code": 500001, "error_message": "Internal server error."})


def _truncate(fault: str, reply: Reply, dice: Dice, _wall_now: float) -> Reply:
    half = len(reply.body) // 2
    if dice.turn(fault, ("cut", "unreadable")) == "cut":
        return attrs.evolve(reply, cut=half)
    headers = {**reply.headers, "Content-Length": str(half)}
    return attrs.evolve(reply, body=reply.body[:half], headers=headers)


def _say_requested(_fault: str, reply: Reply, _dice: Dice, _wall_now: float) -> Reply:
    """The other answer to a cancel (wire.md, section 4: seen in an official test)."""
    return in_json(reply.status, {"status": "cancelled", "outcome": "cancellation_requested"})


_SPOILERS: Final[dict[str, Callable[[str, Reply, Dice, float], Reply]]] = {
    "drop-before-accept": _drop,
    "drop-after-accept": _drop,
    "poll-drop": _drop,
    "cancel-drop": _drop,
    "html-504": _gateway_page,
    "poll-html-504": _gateway_page,
    "5xx-before-accept": _server_error,
    "5xx-after-accept": _server_error,
    "poll-5xx": _server_error,
    "cancel-5xx": _server_error,
    "429": _limit,
    "poll-429": _limit,
    "error-in-200": _error_in_200,
    "truncated-json": _truncate,
    "poll-truncated-json": _truncate,
    "cancellation-requested": _say_requested,
}
