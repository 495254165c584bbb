"""What a fault makes of an answer."""

import json
from collections.abc import Callable, Sequence
from email.utils import formatdate
from math import ceil
from typing import Final, Protocol, TypeVar

import attrs

from .reply import DROPPED, JSON_TYPE, Reply, in_html, in_json, refusal

T = TypeVar("T")

RETRY_AFTER: Final = (1, 2, 3)
"""Seconds that a 429 asks for, by turns."""

_SERVER_ERRORS: Final = (500, 502, 503)


class Turn(Protocol):
    """Takes the choices by turns, from one time that a fault strikes to the next."""

    def __call__(self, choices: Sequence[T], /) -> T: ...


def spoil(fault: str, reply: Reply, turn: Turn, wall_now: float) -> Reply:
    """Turn the answer that was due into the one that the fault brings.

    Args:
        fault: its name; what it means for the job was done before.
        reply: the answer that was due.
        turn: chooses among the forms of one fault.
        wall_now: seconds since the Unix epoch, for HTTP dates.
    """
    return _SPOILERS[fault](reply, turn, wall_now)


def other_words(reply: Reply) -> Reply:
    """Say a refusal with `code` and `message` (wire.md, section 5: also seen)."""
    if reply.headers["Content-Type"] != JSON_TYPE:
        return reply
    document = json.loads(reply.body)
    names = {"error_code": "code", "error_message": "message"}
    document = {names.get(name, name): value for name, value in document.items()}
    extra = {n: v for n, v in reply.headers.items() if n not in ("Content-Type", "Content-Length")}
    return in_json(reply.status, document, **extra)


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


def _drop(_reply: Reply, _turn: Turn, _wall_now: float) -> Reply:
    return DROPPED


def _gateway_timeout(_reply: Reply, _turn: Turn, _wall_now: float) -> Reply:
    return in_html(504, "504 Gateway Time-out")


def _bad_gateway(_reply: Reply, _turn: Turn, _wall_now: float) -> Reply:
    return in_html(502, "502 Bad Gateway")


def _not_found_page(_reply: Reply, _turn: Turn, _wall_now: float) -> Reply:
    return in_html(404, "404 Not Found")


def _server_error(_reply: Reply, turn: Turn, _wall_now: float) -> Reply:
    return refusal(turn(_SERVER_ERRORS), 500001, "Internal server error.")


def _limit(_reply: Reply, turn: Turn, wall_now: float) -> Reply:
    return limited(turn(RETRY_AFTER), wall_now, as_date=turn((False, True)))


def _limit_bare(_reply: Reply, _turn: Turn, _wall_now: float) -> Reply:
    return refusal(429, 429, "Too many requests, try again later.")


def _refuse_in_200(_reply: Reply, _turn: Turn, _wall_now: float) -> Reply:
    return refusal(200, 422001, "Input validation failed.", "The prompt is not allowed.")


def _error_in_200(_reply: Reply, _turn: Turn, _wall_now: float) -> Reply:
    return in_json(200, {"error_code": 500001, "error_message": "Internal server error."})


def _truncate(reply: Reply, turn: Turn, _wall_now: float) -> Reply:
    half = len(reply.body) // 2
    if turn(("cut", "unreadable")) == "cut":
        return attrs.evolve(reply, cut=half)
    headers = {**reply.headers, "Content-Length": str(half)}
    return attrs.evolve(reply, body=reply.body[:half], headers=headers)


def _say_requested(reply: Reply, _turn: Turn, _wall_now: float) -> Reply:
    """The other answer to a cancel (wire.md, section 4: seen in an official test)."""
    return in_json(reply.status, {"status": "cancelled", "outcome": "cancellation_requested"})


_SPOILERS: Final[dict[str, Callable[[Reply, Turn, float], Reply]]] = {
    "drop-before-accept": _drop,
    "drop-after-accept": _drop,
    "poll-drop": _drop,
    "cancel-drop": _drop,
    "html-504": _gateway_timeout,
    "poll-html-504": _gateway_timeout,
    "poll-html-502": _bad_gateway,
    "poll-html-404": _not_found_page,
    "html-502": _bad_gateway,
    "html-502-after-accept": _bad_gateway,
    "5xx-before-accept": _server_error,
    "5xx-after-accept": _server_error,
    "poll-5xx": _server_error,
    "cancel-5xx": _server_error,
    "429": _limit,
    "429-bare": _limit_bare,
    "refused-in-200": _refuse_in_200,
    "poll-429": _limit,
    "error-in-200": _error_in_200,
    "truncated-json": _truncate,
    "poll-truncated-json": _truncate,
    "cancellation-requested": _say_requested,
    "cancel-ignored": _say_requested,
}
