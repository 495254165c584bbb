"""Exit codes (design, section 6), and which one an error stands for."""

from __future__ import annotations

from enum import IntEnum

from seedance_async.errors import (
    ApiError,
    AuthenticationError,
    BudgetExceededError,
    CredentialsError,
    DownloadError,
    InsufficientBalanceError,
    InvalidRequestError,
    JobTimeoutError,
    LedgerError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    SeedanceError,
    ServerError,
    SessionClosedError,
    StorageError,
    SubmissionInDoubtError,
    SubmittingStoppedError,
    TransportError,
)

__all__ = ["CommandError", "Exit", "exit_code", "hint"]


class Exit(IntEnum):
    """How a command ended; 130, 143 and 129 are interrupts, and outrank the others."""

    OK = 0
    FAILED = 1
    """Over: failed, cancelled, lost, or not downloadable."""
    USAGE = 64
    """A wrong flag or request, or no consent to spend."""
    DATA = 65
    """A file that cannot be read as what it should be."""
    UNREACHABLE = 69
    """The service does not answer, or not as documented."""
    BUG = 70
    """Ours."""
    UNWRITABLE = 73
    """The output cannot be written, or is taken."""
    AGAIN = 75
    """The same command makes progress later."""
    PERSON = 76
    """Only a person makes progress: a doubt, or a used-up budget."""
    ACCOUNT = 77
    """The token or the balance."""
    INTERRUPTED = 130


class CommandError(Exception):
    """What a command cannot do, said to its user.

    Attributes:
        code: The exit code.
    """

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        self.code = code
        super().__init__(message)


_ACCOUNT = (AuthenticationError, InsufficientBalanceError, PermissionDeniedError)

_CODES: tuple[tuple[type[SeedanceError] | tuple[type[SeedanceError], ...], Exit], ...] = (
    # the first that fits: subclasses before their bases
    (InvalidRequestError, Exit.USAGE),
    (CredentialsError, Exit.ACCOUNT),
    (_ACCOUNT, Exit.ACCOUNT),
    (RateLimitedError, Exit.AGAIN),
    (ServerError, Exit.UNREACHABLE),
    (ApiError, Exit.FAILED),
    ((TransportError, ProtocolError), Exit.UNREACHABLE),
    (JobTimeoutError, Exit.AGAIN),
    ((SubmissionInDoubtError, BudgetExceededError), Exit.PERSON),
    ((StorageError, LedgerError), Exit.UNWRITABLE),
    (SessionClosedError, Exit.BUG),
)


def exit_code(error: SeedanceError) -> Exit:
    """Return the exit code that an error stands for."""
    if isinstance(error, SubmittingStoppedError):
        account = error.cause.kind in {kind.__name__ for kind in _ACCOUNT}
        return Exit.ACCOUNT if account else Exit.PERSON
    if isinstance(error, DownloadError) and not isinstance(error, StorageError):
        return Exit.AGAIN if error.retryable else Exit.FAILED
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), Exit.FAILED)


def hint(error: SeedanceError) -> str:
    """Return what to do next where the error itself cannot know: a leading blank and a sentence."""
    if not isinstance(error, TransportError):
        return ""
    sent = "" if error.sent else " Nothing was sent."
    return f".{sent} Check the network and the base URL; `seedance-async doctor` looks at both."
