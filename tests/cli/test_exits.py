"""Every error has its exit code (design, section 6)."""

import pytest

from seedance_async import errors
from seedance_async.cli.exits import Exit, exit_code
from seedance_async.jobs import ErrorInfo

INFO = ErrorInfo("RejectedError", "no")


def api(kind: type[errors.ApiError]) -> errors.ApiError:
    return kind("no", status=400)


def ended(kind: type[errors.JobError]) -> errors.JobError:
    return kind("no", request_id="a", model_id=None)


CASES: list[tuple[errors.SeedanceError, Exit]] = [
    (errors.InvalidRequestError([], model_id="m"), Exit.USAGE),
    (errors.CredentialsError("no token"), Exit.ACCOUNT),
    (api(errors.AuthenticationError), Exit.ACCOUNT),
    (api(errors.InsufficientBalanceError), Exit.ACCOUNT),
    (api(errors.PermissionDeniedError), Exit.ACCOUNT),
    (api(errors.NotFoundError), Exit.FAILED),
    (api(errors.RejectedError), Exit.FAILED),
    (api(errors.RateLimitedError), Exit.AGAIN),
    (api(errors.ServerError), Exit.UNREACHABLE),
    (errors.TransportError("no", sent=False), Exit.UNREACHABLE),
    (errors.ProtocolError("no", status=200), Exit.UNREACHABLE),
    (ended(errors.JobFailedError), Exit.FAILED),
    (ended(errors.JobCancelledError), Exit.FAILED),
    (ended(errors.JobLostError), Exit.FAILED),
    (ended(errors.JobTimeoutError), Exit.AGAIN),
    (errors.SubmissionInDoubtError(INFO, model_id="m"), Exit.PERSON),
    (errors.BudgetExceededError("no"), Exit.PERSON),
    (errors.SubmittingStoppedError("no", cause=INFO), Exit.PERSON),
    (
        errors.SubmittingStoppedError("no", cause=ErrorInfo("AuthenticationError", "no")),
        Exit.ACCOUNT,
    ),
    (errors.DownloadError("no", url="u", retryable=True), Exit.AGAIN),
    (errors.DownloadError("no", url="u", retryable=False), Exit.FAILED),
    (errors.StorageError("no", url="u", retryable=True), Exit.UNWRITABLE),
    (errors.LedgerError("no"), Exit.UNWRITABLE),
    (errors.LedgerClosedError("no"), Exit.UNWRITABLE),
    (errors.IdTakenError("no"), Exit.UNWRITABLE),
    (errors.SessionClosedError("no"), Exit.BUG),
]


@pytest.mark.parametrize(("error", "code"), CASES, ids=lambda case: type(case).__name__)
def test_an_error_has_its_exit_code(error: errors.SeedanceError, code: Exit) -> None:
    """One code for one kind of trouble, so that scripts can tell them apart."""
    assert exit_code(error) is code


def test_the_table_names_every_public_error() -> None:
    """A new error must be given a code, not fall through to 1 unnoticed."""
    bases = {"SeedanceError", "ApiError", "JobError"}
    kinds = {
        name
        for name in errors.__all__
        if isinstance(kind := getattr(errors, name), type)
        and issubclass(kind, errors.SeedanceError)
    }
    assert kinds - bases == {type(error).__name__ for error, _ in CASES}
