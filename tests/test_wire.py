"""Reading the wire, judged against wire.md: documented bodies, and whatever else may come.

The documented bodies lie in `samples/`; `samples/index.json` says what each one means, to whom it
answers, with which HTTP status, and which section of wire.md says so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seedance_async.bodies import MAX_BODY_BYTES, Answer
from seedance_async.errors import RateLimitedError, SeedanceError
from seedance_async.jobs import CancelResult, InProgress, InQueue
from seedance_async.paths import is_request_id
from seedance_async.wire import (
    Accepted,
    Denied,
    Gone,
    Refused,
    RefusedForNow,
    Seen,
    Trouble,
    Undecided,
    read_cancel,
    read_result,
    read_status,
    read_submission,
)

SAMPLES = Path(__file__).parent / "samples"
INDEX: list[dict[str, Any]] = json.loads((SAMPLES / "index.json").read_text())
ID = "6f21c6f0-4a25-49ee-b720-ac33b9323f5d"
NOW = 1_781_627_474.0


def answer(status: int, body: object = b"", **headers: str) -> Answer:
    """Return an answer; what is no bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def read(call: str, given: Answer) -> object:
    match call:
        case "submit":
            return read_submission(given, now=NOW)
        case "status":
            return read_status(given, ID, now=NOW)
        case "result":
            return read_result(given, ID, now=NOW)
    return read_cancel(given)


def submitted(status: int, body: object = b"", **headers: str) -> str:
    """Return the name of what an answer to a submission is read as."""
    return type(read_submission(answer(status, body, **headers), now=NOW)).__name__


def look(reading: object, path: str) -> object:
    """Follow a dotted path; errors are looked at as values."""
    value: Any = reading
    for name in path.split("."):
        value = getattr(value.info() if isinstance(value, SeedanceError) else value, name)
    return list(value) if isinstance(value, tuple) else value


def name_of(reading: object) -> str:
    if reading is None:
        return "None"
    return reading.name if isinstance(reading, CancelResult) else type(reading).__name__


# --- the documented bodies -----------------------------------------------------------------


@pytest.mark.parametrize(
    "row", INDEX, ids=lambda row: f"{row['call']}-{Path(row['file']).stem}-{row['status']}"
)
def test_documented_bodies(row: dict[str, Any]) -> None:
    """Every body that wire.md writes down is read as the index says."""
    given = answer(row["status"], (SAMPLES / row["file"]).read_bytes())
    reading = read(row["call"], given)
    assert name_of(reading) == row["reading"]
    says = row.get("says", {})
    assert {path: look(reading, path) for path in says} == says


def test_every_sample_is_in_the_index() -> None:
    """A body without an expected reading tests nothing."""
    files = {path.name for path in SAMPLES.iterdir()} - {"index.json"}
    assert files == {row["file"] for row in INDEX}


# --- submit: the order of section 1 --------------------------------------------------------

HTTP_REFUSED = {*range(400, 408), *range(410, 425), *range(426, 452)}
BODIES: list[tuple[str, object]] = [
    ("empty", b""),
    ("html", b"<html><h1>oh</h1></html>"),
    ("object", {}),
    ("list", []),
    ("with an id", {"request_id": ID}),
]


@pytest.mark.parametrize("body", [body for _, body in BODIES], ids=[name for name, _ in BODIES])
def test_every_http_status_of_a_submission(body: object) -> None:
    """Without an error code the status decides, from 100 to 599, exactly as section 1 says."""
    for status in range(100, 600):
        if 200 <= status < 300 and body == {"request_id": ID}:
            expected = "Accepted"
        elif status == 429:
            expected = "RefusedForNow"
        else:
            expected = "Refused" if status in HTTP_REFUSED else "Undecided"
        assert submitted(status, body) == expected, status


REFUSING = [400001, 400002, 400004, 401000, 401001, 401999, 402001, 403001, 403003, 404001]
REFUSING += [422000, 422001]


@pytest.mark.parametrize("status", [200, 202, 302, 400, 408, 409, 422, 425, 451, 499])
@pytest.mark.parametrize("request_id", [None, ID])
def test_refusing_codes_refuse_below_500(status: int, request_id: str | None) -> None:
    """A refusing error_code refuses under every status below 500, a 200 with an id included."""
    for code in REFUSING:
        body = {"request_id": request_id, "error_code": code, "error_message": "no"}
        assert submitted(status, body) == "Refused", code
    assert submitted(status, {"request_id": request_id, "error_code": 429}) == "RefusedForNow"


@pytest.mark.parametrize("status", range(500, 600))
def test_nothing_from_500_on_is_a_refusal(status: int) -> None:
    """A gateway that fails may have passed the submission on, whatever its body says."""
    for code in (None, *REFUSING, 429, 429001, 500001):
        for request_id in (None, ID):
            body = {"request_id": request_id, "error_code": code}
            reading = read_submission(answer(status, body), now=NOW)
            assert isinstance(reading, Undecided)
            assert reading.candidate_id == request_id


@pytest.mark.parametrize(
    "code", [1, 400005, 409001, 429001, 500001, 599999, -1, 10**30, "E_BAD", [1]]
)
def test_other_codes_do_not_refuse_under_2xx(code: object) -> None:
    """A 2xx with an error code that refuses nothing is neither accepted nor refused."""
    reading = read_submission(answer(200, {"request_id": ID, "error_code": code}), now=NOW)
    assert isinstance(reading, Undecided)
    assert reading.candidate_id == ID


@pytest.mark.parametrize("code", [None, 0, "", "0", False])
def test_an_empty_error_code_is_none(code: object) -> None:
    """`error_code: 0` or null beside an id is no error: refusing it would lose a paid job."""
    expected = "Undecided" if code == "0" else "Accepted"
    assert submitted(200, {"request_id": ID, "error_code": code}) == expected


def test_the_other_names_of_an_error_count_beside_an_http_error() -> None:
    """`code` and `message` (section 5) name the error of a 4xx; in a 2xx `code` is no error."""
    reading = read_submission(answer(400, {"code": 400002, "message": "no money"}), now=NOW)
    assert isinstance(reading, Refused)
    assert reading.error.info().kind == "InsufficientBalanceError"
    assert reading.error.message == "no money"
    assert submitted(200, {"request_id": ID, "code": 200}) == "Accepted"


@pytest.mark.parametrize("given", ["a", "A-z_0", "x" * 128, "0"])
def test_usable_ids(given: str) -> None:
    """Section 1: [A-Za-z0-9_-]{1,128}."""
    assert is_request_id(given)
    assert read_submission(answer(200, {"request_id": given}), now=NOW) == Accepted(given)


@pytest.mark.parametrize(
    "given",
    ["", " ", "x" * 129, "a/b", "..", "a b", "a\n", "a?x", "ä", "a%2F", 7, None, True, ["a"], {}],
)
def test_unusable_ids(given: object) -> None:
    """An id that cannot stand in a URL accepts nothing and is no candidate either."""
    assert not is_request_id(given)
    reading = read_submission(answer(200, {"request_id": given}), now=NOW)
    assert isinstance(reading, Undecided)
    assert reading.candidate_id is None


# --- bodies that cannot be read ------------------------------------------------------------

ACCEPTED = json.dumps({"request_id": ID, "status": "completed", "output": {"video": "https://v/"}})
UNREADABLE = [
    ("cut JSON", ACCEPTED[:-1].encode()),
    ("not UTF-8", ACCEPTED.replace("completed", "ÿ").encode("latin-1")),
    ("UTF-16", ACCEPTED.encode("utf-16")),
    ("two documents", (ACCEPTED * 2).encode()),
    ("nested deeply", b'{"request_id": "x", "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ("an integer of 5000 digits", b'{"request_id": "x", "a": ' + b"9" * 5000 + b"}"),
    ("a string", json.dumps(ACCEPTED).encode()),
    ("a list", f"[{ACCEPTED}]".encode()),
    ("null", b"null"),
    ("nothing", b""),
    ("zeros", bytes(100)),
]


@pytest.mark.parametrize(
    "body", [body for _, body in UNREADABLE], ids=[name for name, _ in UNREADABLE]
)
def test_unreadable_bodies_decide_nothing(body: bytes) -> None:
    """Unreadable 200s: a submission in doubt, a poll to be repeated, a cancel unknown."""
    assert submitted(200, body) == "Undecided"
    assert isinstance(read_result(answer(200, body), ID, now=NOW), Trouble)
    assert isinstance(read_status(answer(200, body), ID, now=NOW), Trouble)
    assert read_cancel(answer(200, body)) is CancelResult.UNKNOWN


def test_an_incomplete_body_decides_nothing_but_its_status_may() -> None:
    """Section 1: a body that broke off (or passes 8 MiB) is unreadable, even if it parses."""
    cut = Answer(200, {}, ACCEPTED.encode(), complete=False)
    assert isinstance(read_submission(cut, now=NOW), Undecided)
    assert isinstance(read_result(cut, ID, now=NOW), Trouble)
    refused = Answer(400, {}, b'{"error', complete=False)
    assert isinstance(read_submission(refused, now=NOW), Refused)
    assert MAX_BODY_BYTES == 8 * 1024 * 1024


def test_a_byte_order_mark_is_no_reason_for_doubt() -> None:
    """A BOM before the JSON is read over."""
    assert submitted(200, b"\xef\xbb\xbf" + ACCEPTED.encode()) == "Accepted"


def test_the_last_of_duplicate_keys_counts() -> None:
    """Duplicate keys are read as JSON readers do: the last one counts."""
    body = f'{{"request_id": "first", "request_id": "{ID}"}}'.encode()
    assert read_submission(answer(200, body), now=NOW) == Accepted(ID)


@pytest.mark.parametrize("around", ["[%s]", '{"a": %s}'])
def test_nesting_at_the_limit_of_json(around: str) -> None:
    """What can just be read, but not written or read again deeper down, raises nothing."""
    opening, closing = around.split("%s")
    for depth in range(900, 1000):  # Python 3.11 stops at 1000 less the frames of the caller
        inner = opening * depth + "1" + closing * depth
        for name in ("error", "detail"):
            body = f'{{"status": "failed", "{name}": {inner}}}'.encode()
            for status in (200, 400):
                read_result(answer(status, body), ID, now=NOW)
                read_submission(answer(status, body), now=NOW)
        body = f'{{"status": "completed", "output": {{"odd": {inner}}}}}'.encode()
        read_result(answer(200, body), ID, now=NOW)


# --- Retry-After ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("Tue, 16 Jun 2026 16:31:24 GMT", 10.0),
        ("Tue, 16 Jun 2026 16:31:14 GMT", 0.0),
        ("Tue, 16 Jun 2020 16:31:14 GMT", 0.0),
        ("Tue, 16 Jun 2026 18:31:24 +0200", 10.0),
        ("Tue, 16 Jun 2026 16:31:24", 10.0),
        ("99999999999", 99999999999.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("inf", None),
        ("nan", None),
        ("1e400", None),
        ("Tue, 99 Jun 2026 99:99:99 GMT", None),
        ("Tue, 16 Jun 999999 16:31:24 GMT", None),
    ],
)
def test_retry_after(value: str, expected: float | None) -> None:
    """Seconds or an HTTP date; a past date is now, and what cannot be read is not there."""
    for given in (
        answer(429, retry_after=value),
        answer(200, {"error_code": 429}, retry_after=value),
    ):
        reading = read_submission(given, now=NOW)
        assert isinstance(reading, RefusedForNow)
        assert reading.error.retry_after == expected
        trouble = read_result(given, ID, now=NOW)
        assert isinstance(trouble, Trouble)
        assert trouble.retry_after == expected
    trouble = read_result(answer(503, retry_after=value), ID, now=NOW)
    assert isinstance(trouble, Trouble)
    assert trouble.retry_after == expected


# --- polls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *[(word, InQueue()) for word in ("in_queue", "pending", "queued", "waiting", "IN_QUEUE")],
        *[(word, InProgress()) for word in ("in_progress", "starting", "processing", "Starting ")],
        ("warming_up", InProgress(reported="warming_up")),
        ("Finished", InProgress(reported="Finished")),
        ("x" * 1000, InProgress(reported="x" * 300)),
    ],
)
def test_states_in_flight(word: str, expected: InQueue | InProgress) -> None:
    """Section 3: known words without regard to case; an unknown one is kept and polled on."""
    assert read_result(answer(200, {"status": word}), ID, now=NOW) == Seen(expected)
    assert read_status(answer(200, {"status": word}), ID, now=NOW) == Seen(expected)


@pytest.mark.parametrize(
    "word", ["completed", "succeeded", "failed", "cancelled", "canceled", "COMPLETED", "Canceled"]
)
def test_a_status_that_is_over_is_no_verdict(word: str) -> None:
    """Section 2: the verdict is the result's alone."""
    assert read_status(answer(200, {"status": word}), ID, now=NOW) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        *[(0, 0), (3, 3), ("3", 3), (3.0, 3)],
        *[(odd, None) for odd in (-1, 3.5, True, "x", None, [3], 10**400)],
    ],
)
def test_positions(given: object, expected: int | None) -> None:
    """A position is a natural number or not there."""
    body = {"status": "in_queue", "queue_position": given}
    assert read_status(answer(200, body), ID, now=NOW) == Seen(InQueue(expected))


def test_a_404_that_is_not_the_services_is_no_verdict() -> None:
    """Section 5: only 404xxx says that a job is gone; a gateway's 404, even in JSON, does not."""
    for body in (b"", b"<html>", {}, {"message": "no route"}, {"code": 404, "message": "no"}):
        assert isinstance(read_result(answer(404, body), ID, now=NOW), Trouble), body
    assert isinstance(read_result(answer(404, {"error_code": 404001}), ID, now=NOW), Gone)


def test_a_401_or_403_that_is_not_the_services_is_no_verdict() -> None:
    """Section 5: an HTML 403 of a gateway ends no wait; one in the error's shape does."""
    for status in (401, 403):
        bodies: list[object] = [b"", b"<html>", {}, []]
        for body in bodies:
            assert isinstance(read_result(answer(status, body), ID, now=NOW), Trouble)
        denial = answer(status, {"error_code": status * 1000 + 1, "error_message": "no"})
        assert isinstance(read_result(denial, ID, now=NOW), Denied)


def test_not_ready_is_no_failure_under_any_status() -> None:
    """Section 3: 400005 means poll on, with HTTP 400 as with 200."""
    for status in (200, 400, 404, 409, 425, 500):
        reading = read_result(answer(status, {"error_code": 400005}), ID, now=NOW)
        assert reading == Seen(None)


def test_verdicts_need_a_2xx() -> None:
    """A state in the body of an HTTP error is no verdict."""
    for status in (302, 400, 409, 500, 503):
        for word in ("completed", "failed", "cancelled"):
            body = {"status": word, "output": {"video": "https://v/"}}
            assert isinstance(read_result(answer(status, body), ID, now=NOW), Trouble)


@pytest.mark.parametrize(
    ("status", "outcome", "expected"),
    [
        (202, "cancelled", "CANCELLED"),
        (200, "Canceled", "CANCELLED"),
        (202, "not_cancellable", "NOT_CANCELLABLE"),
        (202, "cancellation_requested", "UNKNOWN"),
        (202, 7, "UNKNOWN"),
        (202, None, "UNKNOWN"),
        (400, "cancelled", "UNKNOWN"),
        (500, "cancelled", "UNKNOWN"),
    ],
)
def test_cancel_answers(status: int, outcome: object, expected: str) -> None:
    """Section 4: only a 2xx with a known outcome says what came of it."""
    body = {"request_id": ID, "status": "completed", "outcome": outcome}
    assert read_cancel(answer(status, body)).name == expected
    assert read_cancel(answer(status, {**body, "error_code": 500001})) is CancelResult.UNKNOWN


def test_a_limit_named_by_code_is_typed() -> None:
    """A 429 by code alone is a RateLimitedError with its Retry-After, not a mere refusal."""
    reading = read_submission(answer(400, {"error_code": 429}, retry_after="3"), now=NOW)
    assert isinstance(reading, RefusedForNow)
    assert type(reading.error) is RateLimitedError
