"""Nothing but a noun comes out of the wire's readings, whatever goes in."""

from __future__ import annotations

import json
from typing import Any, get_args

from hypothesis import example, given
from hypothesis import strategies as st

from seedance_async.bodies import Answer
from seedance_async.errors import ProtocolError, SeedanceError
from seedance_async.jobs import CancelResult, ErrorInfo, InProgress
from seedance_async.paths import is_request_id
from seedance_async.wire import (
    Accepted,
    Ended,
    Reading,
    RefusedForNow,
    Seen,
    Submission,
    Undecided,
    read_cancel,
    read_result,
    read_status,
    read_submission,
)

ID = "6f21c6f0-4a25-49ee-b720-ac33b9323f5d"
NOW = 1_781_627_474.0
KEYS = [
    *["request_id", "status", "outcome", "queue_position", "output", "cost", "model_id"],
    *["created_at", "finished_at", "error_code", "error_message", "code", "message", "detail"],
    *["error", "video", "videos", "image", "images", "has_error_code"],
]
CODES = [400001, 400002, 400004, 400005, 401, 401001, 402, 403001, 404, 404001, 422001, 429, 500001]
WORDS = [
    *["in_queue", "in_progress", "completed", "succeeded", "failed", "cancelled", "canceled"],
    *["pending", "Completed", "not_cancellable", "cancellation_requested", ID, "", "https://v/x"],
]

json_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=400),
    st.sampled_from(CODES),
    st.sampled_from(WORDS),
)
json_values = st.recursive(
    json_leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=5)), inner, max_size=6),
    ),
    max_leaves=12,
)
likely: dict[str, st.SearchStrategy[Any]] = {
    "request_id": st.sampled_from([ID, "", "a/b", "x" * 129, None, 7]),
    "status": st.sampled_from(WORDS),
    "outcome": st.sampled_from(WORDS),
    "error_code": st.sampled_from([*CODES, None, 0, "400002", "E"]),
    "output": st.fixed_dictionaries(
        {}, optional={"video": st.sampled_from(WORDS), "videos": st.lists(json_leaves, max_size=3)}
    ),
    "cost": json_leaves,
    "created_at": json_leaves,
    "error": json_values,
    "detail": json_values,
}
near_valid = st.fixed_dictionaries({}, optional=likely)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a near-valid body, perhaps cut or with a byte changed."""
    body = bytearray(
        json.dumps(draw(near_valid), ensure_ascii=draw(st.booleans())).encode(
            "utf-8", "surrogatepass"
        )
    )
    match draw(st.sampled_from(["whole", "whole", "cut", "changed", "repeated"])):
        case "cut":
            del body[draw(st.integers(0, len(body))) :]
        case "changed":
            body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
        case "repeated":
            return bytes(body) * 2
    return bytes(body)


bodies = st.one_of(
    st.binary(max_size=600),
    json_values.map(lambda value: json.dumps(value).encode()),
    near_valid.map(lambda value: json.dumps(value).encode()),
    mutated(),
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "retry-after": st.one_of(
            st.text(max_size=40),
            st.integers().map(str),
            st.sampled_from(["Tue, 16 Jun 2026 16:31:24 GMT", "inf", "1e9", "-1"]),
        ),
        "content-type": st.text(max_size=10),
    },
)
answers = st.builds(
    Answer,
    status=st.one_of(st.sampled_from([200, 202, 400, 401, 404, 429, 500]), st.integers(100, 599)),
    headers=headers,
    body=bodies,
    complete=st.sampled_from([True, True, True, False]),
)


def check_error(error: SeedanceError | ErrorInfo) -> None:
    """An error of the wire keeps at most 300 characters of what came, all printable."""
    info = error.info() if isinstance(error, SeedanceError) else error
    assert info.detail is None or len(info.detail) <= 300
    assert info.message.isprintable()
    assert len(info.message) < 300 + 700  # two excerpts at most, and our own words
    if isinstance(error, ProtocolError):
        assert len(error.excerpt) <= 300
    retry_after = getattr(error, "retry_after", None)
    assert retry_after is None or 0 <= retry_after < float("inf")


@given(answers)
@example(Answer(200, {}, b'{"request_id": "x", "error_code": 100000000000000000000}'))
def test_any_answer_to_a_submission_is_a_noun(answer: Answer) -> None:
    """Accepted only with a 2xx, a usable id and no error code; refused never from 500 on."""
    reading = read_submission(answer, now=NOW)
    assert isinstance(reading, get_args(Submission))
    if isinstance(reading, Accepted):
        body = json.loads(answer.body.decode("utf-8-sig"))
        assert answer.complete
        assert 200 <= answer.status < 300
        assert is_request_id(reading.request_id)
        assert body["request_id"] == reading.request_id
        assert not body.get("error_code")
        return
    check_error(reading.error)
    if isinstance(reading, Undecided):
        assert reading.candidate_id is None or is_request_id(reading.candidate_id)
        return
    assert answer.status < 500
    assert isinstance(reading, RefusedForNow) or answer.status >= 400 or answer.complete


@given(answers)
def test_any_answer_to_a_poll_is_a_noun(answer: Answer) -> None:
    """Never a success without a URL, never a failure without a cause, never a verdict unread."""
    reading = read_result(answer, ID, now=NOW)
    assert isinstance(reading, get_args(Reading))
    check_reading(reading)
    if isinstance(reading, Ended):
        assert answer.complete
        assert 200 <= answer.status < 300
        assert (reading.state == "succeeded") == (reading.video_url is not None)
        assert (reading.state == "failed") == (reading.error is not None)
        assert reading.state in {"succeeded", "failed", "cancelled"}
        assert reading.cost_usd is None or 0 <= reading.cost_usd < float("inf")


@given(answers)
def test_any_answer_about_a_status_is_a_noun_without_verdict(answer: Answer) -> None:
    """A status never ends a job: at most it says that the result knows."""
    reading = read_status(answer, ID, now=NOW)
    if reading is not None:
        assert isinstance(reading, get_args(Reading))
        assert not isinstance(reading, Ended)
        check_reading(reading)


def check_reading(reading: Reading) -> None:
    if isinstance(reading, Seen):
        if isinstance(reading.status, InProgress):
            assert len(reading.status.reported or "") <= 300
    elif isinstance(reading, Ended):
        if reading.error is not None:
            check_error(reading.error)
    else:
        check_error(reading.error)


@given(answers)
def test_any_answer_to_a_cancel_is_a_noun(answer: Answer) -> None:
    """Cancelled only if a 2xx says so."""
    result = read_cancel(answer)
    assert isinstance(result, CancelResult)
    assert result is CancelResult.UNKNOWN or 200 <= answer.status < 300
