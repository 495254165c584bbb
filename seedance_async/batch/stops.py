"""Why a run submits no more (design, section 6). Pure."""

from __future__ import annotations

from enum import StrEnum

import attrs

from seedance_async.errors import (
    ApiError,
    AuthenticationError,
    BudgetExceededError,
    InsufficientBalanceError,
    LedgerError,
    RateLimitedError,
    SeedanceError,
    SessionClosedError,
    SubmittingStoppedError,
    TransportError,
)
from seedance_async.jobs import ErrorInfo

__all__ = ["Stop", "StopReason", "is_account_trouble", "stop_of", "worse"]


class StopReason(StrEnum):
    """What stopped submitting."""

    INTERRUPTED = "interrupted"
    """Somebody asked for it."""
    ACCOUNT = "account"
    """The token, or the balance."""
    BRAKE = "brake"
    """Doubts or equal refusals in a row."""
    BUDGET = "budget"
    """The next row does not fit into it."""
    MAX_VIDEOS = "max_videos"
    """As many videos as were allowed are paid for."""
    UNREACHABLE = "unreachable"
    """No connection could be made; nothing was sent."""
    LIMITED = "limited"
    """429s went on for too long; nothing was accepted."""
    LEDGER = "ledger"
    """What must be written down could not be."""
    BUG = "bug"
    """An error of our own."""


@attrs.frozen
class Stop:
    """Why no more was submitted in a run; what ran, ran on.

    Attributes:
        reason: The kind.
        message: A sentence for a person.
        error: What it came from, if it was an error.
    """

    reason: StopReason
    message: str
    error: ErrorInfo | None = None


_WORST_FIRST = (
    StopReason.BUG,
    StopReason.ACCOUNT,
    StopReason.LEDGER,
    StopReason.UNREACHABLE,
    StopReason.LIMITED,
    StopReason.BRAKE,
    StopReason.BUDGET,
    StopReason.MAX_VIDEOS,
    StopReason.INTERRUPTED,
)


def worse(known: Stop | None, new: Stop) -> Stop:
    """Return the one of two stops that a person must hear of first."""
    if known is None:
        return new
    return min(known, new, key=lambda stop: _WORST_FIRST.index(stop.reason))


_ACCOUNT = frozenset({AuthenticationError.__name__, InsufficientBalanceError.__name__})


def is_account_trouble(error: ErrorInfo) -> bool:
    """Tell whether an error is about the token or the balance, and so about no row."""
    return error.kind in _ACCOUNT


def stop_of(error: Exception) -> Stop | None:
    """Return what an error of one submission means for all others; None: nothing."""
    if not isinstance(error, SeedanceError):
        return Stop(
            StopReason.BUG,
            f"an error of our own: {error!r}; please report it",
            ErrorInfo(type(error).__name__, repr(error)),
        )
    reason = _reason(error)
    if reason is None:
        return None
    told = str(error)
    if isinstance(error, SubmittingStoppedError):  # its way out, reopen(), is none for a batch
        told = error.cause.sentence
    if reason is StopReason.BRAKE:
        told = (
            f"too many submissions in a row were in doubt (--max-in-doubt), or refused for the "
            f"same reason (ten). The last: {told}"
        )
    return Stop(reason, told, error.info())


_REASONS: tuple[tuple[type[SeedanceError], StopReason | None], ...] = (
    # the first that fits: subclasses before their bases
    (AuthenticationError, StopReason.ACCOUNT),
    (InsufficientBalanceError, StopReason.ACCOUNT),
    (RateLimitedError, StopReason.LIMITED),
    (ApiError, None),  # it is about this row
    (BudgetExceededError, StopReason.BUDGET),
    (LedgerError, StopReason.LEDGER),
    (SessionClosedError, StopReason.INTERRUPTED),
)


def _reason(error: SeedanceError) -> StopReason | None:
    if isinstance(error, SubmittingStoppedError):
        if is_account_trouble(error.cause):
            return StopReason.ACCOUNT
        unwritten = error.cause.kind == LedgerError.__name__
        return StopReason.LEDGER if unwritten else StopReason.BRAKE
    if isinstance(error, TransportError) and not error.sent:
        return StopReason.UNREACHABLE
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), StopReason.BUG)
