"""Errors are part of the interface: what happened, to which job, and what to do next."""

from __future__ import annotations

import asyncio
import pickle
import re

import pytest

from seedance_async import errors, heads
from seedance_async.errors import (
    ApiError,
    AuthenticationError,
    BudgetExceededError,
    CredentialsError,
    DownloadError,
    InsufficientBalanceError,
    InvalidRequestError,
    JobCancelledError,
    JobError,
    JobFailedError,
    JobLostError,
    JobTimeoutError,
    LedgerError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    RejectedError,
    SeedanceError,
    ServerError,
    StorageError,
    SubmissionInDoubtError,
    SubmittingStoppedError,
    TransportError,
    Violation,
)
from seedance_async.handle import error_of
from seedance_async.jobs import Cancelled, ErrorInfo, Failed, InDoubt, Lost, TimedOut

MODEL = "bytedance/seedance-1-0/pro/fast/text-to-video"
URL = "https://a.runcomfy.net/fox.mp4"
SEEN = ErrorInfo("ServerError", "the service answered HTTP 502: Bad Gateway.", None, 502, "<html>")
CODED = ErrorInfo("RejectedError", "Validation failed.", 422001, 422, "duration")

MESSAGES: list[tuple[SeedanceError, str]] = [
    (
        InvalidRequestError(
            [
                Violation("text", "", "must not be empty"),
                Violation("duration", 99, "must be at most 12"),
            ],
            model_id=MODEL,
        ),
        (
            f"invalid request for {MODEL}: text must not be empty (given: ''); duration must be at "
            f"most 12 (given: 99). Nothing was sent."
        ),
    ),
    (
        AuthenticationError("Unauthorized", status=400, code=401001),
        (
            "Unauthorized [HTTP 400, error_code 401001]. Check the token (`seedance-async doctor` "
            "shows which one is used) and the account; jobs that run are not affected."
        ),
    ),
    (
        InsufficientBalanceError("no balance left", status=400, code=400002),
        (
            "no balance left [HTTP 400, error_code 400002]. Top up the account, then submit again; "
            "jobs that run are not affected."
        ),
    ),
    (
        PermissionDeniedError("not yours", status=403, code=403003, request_id="6f21"),
        (
            "not yours [HTTP 403, error_code 403003] for job 6f21. Use the token of the account "
            "that submitted the job."
        ),
    ),
    (
        NotFoundError("no such model", status=400, code=400001),
        (
            "no such model [HTTP 400, error_code 400001]. Check the model's id: ids change "
            "(`seedance-async models` lists the known ones)."
        ),
    ),
    (
        NotFoundError("expired", status=404, code=404001, request_id="6f21"),
        (
            "expired [HTTP 404, error_code 404001] for job 6f21. Check the id; if it is right, the "
            "service has forgotten the job, and its video may still be among your generations on "
            "RunComfy's site."
        ),
    ),
    (
        RateLimitedError("slow down", status=429, retry_after=3.0),
        "slow down [HTTP 429]. Wait, then submit again; nothing was accepted.",
    ),
    (
        RejectedError("Validation failed", status=422, code=422001, detail="duration: too long"),
        (
            "Validation failed (duration: too long) [HTTP 422, error_code 422001]. Mend the "
            "request; nothing was accepted."
        ),
    ),
    (
        RejectedError("too long", status=422, detail="too long"),
        "too long [HTTP 422]. Mend the request; nothing was accepted.",
    ),
    (
        ServerError("Bad Gateway", status=502),
        (
            "Bad Gateway [HTTP 502]. This is usually passing: a read may be tried again, a "
            "submission must not be."
        ),
    ),
    (
        ProtocolError("unreadable", status=200, excerpt="<html>\n", request_id="6f21"),
        "unreadable [HTTP 200] for job 6f21: '<html>\\n'",
    ),
    (TransportError("no answer to POST /v1/x: reset", sent=True), "no answer to POST /v1/x: reset"),
    (
        SubmissionInDoubtError(SEEN, model_id=MODEL, candidate_id="6f21"),
        (
            f"submission to {MODEL} is in doubt: the service answered HTTP 502: Bad Gateway. It "
            f"may have been accepted and billed, so it is not sent again. The answer named the id "
            f"6f21. Look for it among your generations on RunComfy's site: if it is there, attach "
            f"its request id; if not, submit again."
        ),
    ),
    (
        error_of(Failed(error=CODED, request_id="6f21", model_id=MODEL)),
        "job 6f21 failed: Validation failed.",
    ),
    (error_of(Failed(error=CODED)), "the submission failed: Validation failed."),
    (
        error_of(Cancelled(request_id="6f21")),
        "job 6f21 was cancelled, says the server; whether it is billed is not documented",
    ),
    (
        error_of(TimedOut(request_id="6f21", reason="its 1800 s are over")),
        (
            "job 6f21 is no longer tracked: its 1800 s are over. It is not over and may be billed; "
            "attach('6f21') or `seedance-async wait 6f21` comes back to it"
        ),
    ),
    (
        error_of(Lost(request_id="6f21", error=ErrorInfo("NotFoundError", "expired."))),
        (
            "job 6f21 was accepted and may have been billed, but the service no longer knows it: "
            "expired."
        ),
    ),
    (
        error_of(InDoubt(error=SEEN)),
        (
            "submission to an unknown model is in doubt: the service answered HTTP 502: Bad "
            "Gateway. It may have been accepted and billed, so it is not sent again. Look for it "
            "among your generations on RunComfy's site: if it is there, attach its request id; "
            "if not, submit again."
        ),
    ),
]


@pytest.mark.parametrize(
    ("error", "message"), MESSAGES, ids=[type(error).__name__ for error, _ in MESSAGES]
)
def test_messages(error: SeedanceError, message: str) -> None:
    """Each message word by word: it is read by people, quoted in issues and searched for."""
    assert str(error) == message


@pytest.mark.parametrize("error", [error for error, _ in MESSAGES], ids=lambda e: type(e).__name__)
def test_info_is_the_error_as_a_value(error: SeedanceError) -> None:
    """`info()` keeps kind, message, code, status and detail, for ledgers and reports."""
    info = error.info()
    assert (info.kind, info.message) == (type(error).__name__, str(error))
    assert (info.code, info.status, info.detail) == (error.code, error.status, error.detail)
    assert str(info) == str(error)


def test_errors_of_a_cause_pass_its_numbers_on() -> None:
    """The raised form of an outcome says code, status and detail of what the service said."""
    for error in (
        JobFailedError("x", request_id="6f21", model_id=MODEL, error=CODED),
        SubmissionInDoubtError(CODED, model_id=MODEL),
        SubmittingStoppedError("x", cause=CODED),
    ):
        info = error.info()
        assert (info.code, info.status, info.detail) == (422001, 422, "duration")


def test_jobs_errors_bear_id_and_model() -> None:
    """Each raised outcome carries request id and model; a doubt has no id, by nature."""
    for outcome in (
        Failed(error=CODED, request_id="6f21", model_id=MODEL),
        Cancelled(request_id="6f21", model_id=MODEL),
        TimedOut(request_id="6f21", model_id=MODEL, reason="late"),
        Lost(request_id="6f21", model_id=MODEL, error=CODED),
    ):
        error = error_of(outcome)
        assert isinstance(error, JobError)
        assert (error.request_id, error.model_id) == ("6f21", MODEL)
    doubt = error_of(InDoubt(error=SEEN, model_id=MODEL, candidate_id="6f21"))
    assert isinstance(doubt, SubmissionInDoubtError)
    assert (doubt.request_id, doubt.model_id, doubt.candidate_id) == (None, MODEL, "6f21")


def test_each_outcome_has_its_error() -> None:
    """The pairs of the design, section 4."""
    pairs = [
        (error_of(Failed(error=CODED)), JobFailedError),
        (error_of(Cancelled(request_id="x")), JobCancelledError),
        (error_of(TimedOut(request_id="x", reason="late")), JobTimeoutError),
        (error_of(Lost(request_id="x", error=CODED)), JobLostError),
        (error_of(InDoubt(error=CODED)), SubmissionInDoubtError),
    ]
    for error, kind in pairs:
        assert type(error) is kind


# --- the tree ------------------------------------------------------------------------------


def all_errors() -> dict[str, type[SeedanceError]]:
    found = {name: getattr(errors, name) for name in errors.__all__ if name != "Violation"}
    return {**found, "PrivateAddressError": heads.PrivateAddressError}


def test_the_door_lists_every_error_of_the_module() -> None:
    """Every class that the module defines stands in `__all__`."""
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert defined == set(errors.__all__)


@pytest.mark.parametrize("kind", all_errors().values(), ids=lambda kind: kind.__name__)
def test_one_root(kind: type[SeedanceError]) -> None:
    """One `except SeedanceError` catches all, and no cancellation or timeout is among them."""
    assert issubclass(kind, SeedanceError)
    assert issubclass(kind, Exception)
    assert not issubclass(kind, asyncio.CancelledError | TimeoutError | OSError)


def test_the_printed_tree_is_the_real_one() -> None:
    """The tree at the top of the module shows the real parents."""
    parents: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([| `-]*)(\w+Error)\b", line)
        if match is None:
            continue
        depth, name = len(match[1]) // 3, match[2]
        parents = [*parents[:depth], (depth, name)]
        if depth:
            assert issubclass(getattr(errors, name), getattr(errors, parents[depth - 1][1])), name


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        *[(kind, ApiError) for kind in (AuthenticationError, InsufficientBalanceError)],
        *[(kind, ApiError) for kind in (PermissionDeniedError, NotFoundError, RejectedError)],
        *[(kind, ApiError) for kind in (RateLimitedError, ServerError)],
        *[(kind, JobError) for kind in (JobFailedError, JobCancelledError, JobTimeoutError)],
        (JobLostError, JobError),
        (StorageError, DownloadError),
        (heads.PrivateAddressError, TransportError),
        (InvalidRequestError, ValueError),
        (CredentialsError, ValueError),
    ],
)
def test_branches(kind: type[Exception], parent: type[Exception]) -> None:
    """What code in the wild catches: the branches of the design, section 4."""
    assert issubclass(kind, parent)


def test_what_is_not_a_failed_job() -> None:
    """A failed download, a doubt, a full budget and a broken ledger are no failed generations."""
    for kind in (DownloadError, SubmissionInDoubtError, BudgetExceededError, LedgerError):
        assert not issubclass(kind, JobError)
    error = DownloadError("x", url=URL, retryable=True, status=404)
    assert (error.url, error.retryable, error.status) == (URL, True, 404)


def test_violations() -> None:
    """A violation is a clause with the value, which is shortened; an error lists all of them."""
    long = Violation("text", "x" * 5000, "must be at most 2000 characters long")
    assert str(long).startswith("text must be at most 2000 characters long (given: 'xxx")
    assert len(str(long)) < 150
    error = InvalidRequestError([long, Violation("seed", None, "must be an integer")], model_id="m")
    assert [violation.field for violation in error.violations] == ["text", "seed"]
    assert error.model_id == "m"


def test_errors_hold_their_values_apart() -> None:
    """Attributes are there for code, so that nobody parses a message."""
    limited = RateLimitedError("x", status=429, retry_after=2.5)
    assert (limited.retry_after, limited.status) == (2.5, 429)
    assert TransportError("x", sent=False).sent is False
    protocol = ProtocolError("x", status=200, excerpt="y")
    assert (protocol.excerpt, protocol.detail) == ("y", "y")


def test_infos_can_be_kept() -> None:
    """The value form can be pickled and compared; ledgers and other processes get it."""
    info = RejectedError("x", status=422, code=422001).info()
    assert pickle.loads(pickle.dumps(info)) == info
