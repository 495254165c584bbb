"""The bodies of answers: JSON of any kind in, known fields and typed errors out.

Pure, and tolerant: a field of a wrong type reads as absent, an unreadable body as None.
"""

from __future__ import annotations

import json
import math
from codecs import BOM_UTF8
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import attrs
import cattrs

from seedance_async.errors import (
    ApiError,
    AuthenticationError,
    InsufficientBalanceError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RejectedError,
    ServerError,
)
from seedance_async.jobs import Output
from seedance_async.redaction import hide

__all__ = [
    "MAX_BODY_BYTES",
    "Answer",
    "Body",
    "api_error",
    "as_integer",
    "excerpt",
    "family",
    "read_body",
    "read_error_code",
    "read_retry_after",
]

MAX_BODY_BYTES = 8 * 1024 * 1024
"""The longest API answer that is read, in bytes."""

_EXCERPT = 300


@attrs.define
class Answer:
    """An HTTP answer as a transport gives it.

    Attributes:
        status: The HTTP status.
        headers: Looked up by names in lower case.
        body: At most `MAX_BODY_BYTES`.
        complete: False if the body broke off, or was longer than that.
        secret: The token that went with the request: what is shown to a person must not hold it,
            however the service spells it.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    complete: bool = True
    secret: str = attrs.field(default="", repr=False)

    def excerpt(self, value: object) -> str:
        """Return a part of this answer as a person may see it: one line, without the token."""
        return excerpt(value, self.secret)


# Not frozen, as are some values of the wire: they are made for each poll, never leave the package,
# and a frozen class of 17 fields takes three times as long to make.
@attrs.define
class Body:
    """Every field that any answer is known to carry; a wrong type reads as absent."""

    request_id: str | None = None
    status: str | None = None
    outcome: str | None = None
    queue_position: int | None = None
    output: Output | None = None
    cost: float | None = None
    model_id: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    error_code: int | None = None
    error_message: str | None = None
    code: int | None = None
    message: str | None = None
    detail: object = None
    error: object = None
    has_error_code: bool = False
    """An `error_code` of whatever type is there, and is neither null, 0 nor empty."""
    given_output: object = None
    """`output` as it came, for a person to see what there is instead of a video."""


def _text(value: object, _type: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def as_integer(value: object, _type: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and -(2**63) <= value < 2**63 else None


def _number(value: object, _type: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _moment(value: object, _type: object) -> datetime | None:
    """Read ISO 8601 or epoch seconds or milliseconds: the format is undocumented (section 3)."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        number = _number(value, float)
        if number is None or number < 1e9:
            return None
        return datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _is_url(value: object) -> bool:
    return (
        isinstance(value, str)
        and value.startswith(("https://", "http://"))
        and value.isprintable()
        and " " not in value
    )


def _output(value: object, _type: object) -> Output | None:
    if not isinstance(value, dict):
        return None

    def one(name: str) -> str | None:
        return value[name] if _is_url(value.get(name)) else None

    def many(name: str) -> tuple[str, ...]:
        found = value.get(name)
        return tuple(url for url in found if _is_url(url)) if isinstance(found, list) else ()

    return Output(
        video=one("video"), videos=many("videos"), image=one("image"), images=many("images")
    )


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    hooks = {
        str | None: _text,
        int | None: as_integer,
        float | None: _number,
        datetime | None: _moment,
        Output | None: _output,
    }
    for kind, hook in hooks.items():
        converter.register_structure_hook_func(lambda given, kind=kind: given == kind, hook)  # type: ignore[misc]
    converter.register_structure_hook_func(
        lambda given: given is object, lambda value, _type: value
    )
    return converter


_structure_body = _make_converter().get_structure_hook(Body)


def read_body(answer: Answer) -> Body | None:
    """Return the body's known fields; None if it is no JSON object (HTML, cut, not UTF-8)."""
    if not answer.complete or not answer.body:
        return None
    try:
        value = json.loads(answer.body.removeprefix(BOM_UTF8).decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    value["has_error_code"] = bool(value.get("error_code"))
    value["given_output"] = value.get("output")
    body: Body = _structure_body(value, Body)
    return body


def excerpt(value: object, secret: str = "") -> str:
    """Return text, bytes or JSON as one line of at most 300 characters, without `secret`.

    However it is spelled, and also where the text is cut within it.
    """
    if isinstance(value, bytes):
        text = value[: 4 * _EXCERPT].decode("utf-8", "replace")
    elif isinstance(value, str):
        text = value
    else:
        try:
            text = json.dumps(value, ensure_ascii=False, default=str)
        except RecursionError:  # what could just be read may be too deep to be written
            text = "(nested too deeply to be shown)"
    text = text.encode("utf-8", "backslashreplace").decode()  # lone surrogates stay visible
    if secret:
        text = hide(text[: 4 * _EXCERPT], secret)
    return "".join(char if char.isprintable() else " " for char in text[:_EXCERPT]).strip()


# --- errors (section 5) --------------------------------------------------------------------

_KINDS: dict[int, type[ApiError]] = {
    400001: NotFoundError,
    400002: InsufficientBalanceError,
    400004: AuthenticationError,
    401: AuthenticationError,
    402: InsufficientBalanceError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitedError,
}


def family(code: int) -> int:
    """Return the three leading digits of a six-digit code: 401001 is of the family 401."""
    return code // 1000 if code >= 100_000 else code


def _error_class(code: int | None, status: int) -> type[ApiError]:
    """Decide by the error code first, by the HTTP status second."""
    if code is not None:
        found = _KINDS.get(code) or _KINDS.get(family(code))
        if found is not None:
            return found
        if 500 <= family(code) < 600:
            return ServerError
    if status >= 500:
        return ServerError
    return _KINDS.get(status, RejectedError)


def read_error_code(body: Body | None, status: int) -> int | None:
    """Return the error's code; a bare `code` counts only beside an HTTP error."""
    if body is None:
        return None
    if body.error_code:
        return body.error_code
    return body.code if status >= 400 and body.code else None


def api_error(answer: Answer, body: Body | None, request_id: str | None, now: float) -> ApiError:
    code = read_error_code(body, answer.status)
    message, detail = None, None
    if body is not None:
        message = body.error_message or body.message
        found = body.detail if body.detail is not None else body.error
        detail = answer.excerpt(found) if found else None
    else:
        detail = answer.excerpt(answer.body) or None
    message = answer.excerpt(message or detail or "the service gave no message")
    kind = _error_class(code, answer.status)
    if issubclass(kind, RateLimitedError):
        return kind(
            message,
            status=answer.status,
            code=code,
            detail=detail,
            request_id=request_id,
            retry_after=read_retry_after(answer.headers, now),
        )
    return kind(message, status=answer.status, code=code, detail=detail, request_id=request_id)


def read_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read Retry-After, in seconds (section 5).

    A date is compared with the answer's own, where it has one: a wall clock that is wrong must
    not make minutes of hours. Else with `now`, the wall clock.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    number = _number(value, float)
    if number is not None:
        return number
    moment, told = _http_date(value), _http_date(headers.get("date", ""))
    return None if moment is None else max(0.0, moment - (now if told is None else told))


def _http_date(text: str) -> float | None:
    """Read an HTTP date."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()
