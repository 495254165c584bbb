"""The states of a ledger's row and the edges between them (design, section 6). Pure.

Whoever wants to change a state asks here first; an edge that is not listed does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from types import MappingProxyType
from typing import Final

from seedance_async.errors import LedgerError

__all__ = ["EDGES", "Cause", "RowState", "check_retry", "passes"]


class RowState(StrEnum):
    """Where a row stands."""

    PLANNED = "planned"
    SUBMITTING = "submitting"
    IN_DOUBT = "in_doubt"
    SUBMITTED = "submitted"
    TIMED_OUT = "timed_out"
    SUCCEEDED = "succeeded"
    DOWNLOADED = "downloaded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    __hash__ = str.__hash__  # an enum's own is written in Python, and a row asks for dozens


class Cause(Enum):
    """Who moves a row."""

    RUN = auto()
    """The session's journal and the downloads."""
    RESOLVE = auto()
    """A person who settles a doubt."""
    RETRY = auto()
    """A person who asks for another attempt."""
    FILE_GONE = auto()
    """The video is no longer on the disk."""
    DEAD_RUNNER = auto()
    """The runner that held the row is dead."""
    DEAD_SIMULATOR = auto()
    """It is dead, and the simulator inside it."""


_S = RowState
_ENDS: Final = frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELLED, _S.TIMED_OUT, _S.LOST})
_AGAIN: Final = frozenset({_S.PLANNED})

EDGES: Final[Mapping[Cause, Mapping[RowState, frozenset[RowState]]]] = MappingProxyType(
    {
        Cause.RUN: {
            _S.PLANNED: frozenset({_S.SUBMITTING}),
            _S.SUBMITTING: frozenset({_S.PLANNED, _S.FAILED, _S.SUBMITTED, _S.IN_DOUBT}),
            _S.SUBMITTED: _ENDS,
            _S.TIMED_OUT: _ENDS,
            _S.SUCCEEDED: frozenset({_S.DOWNLOADED}),
        },
        Cause.RESOLVE: {_S.IN_DOUBT: frozenset({_S.PLANNED, _S.SUBMITTED})},
        Cause.RETRY: {_S.FAILED: _AGAIN, _S.CANCELLED: _AGAIN, _S.LOST: _AGAIN},
        Cause.FILE_GONE: {_S.DOWNLOADED: frozenset({_S.SUCCEEDED})},
        Cause.DEAD_RUNNER: {_S.SUBMITTING: frozenset({_S.IN_DOUBT})},
        Cause.DEAD_SIMULATOR: {
            _S.SUBMITTING: _AGAIN,
            _S.SUBMITTED: _AGAIN,
            _S.TIMED_OUT: _AGAIN,
            _S.SUCCEEDED: _AGAIN,
        },
    }
)

_ADVICE: Final[Mapping[RowState, str]] = {
    _S.PLANNED: "it has not been submitted",
    _S.SUBMITTING: "its POST is under way",
    _S.IN_DOUBT: "it may be paid for: settle the doubt with `resolve`",
    _S.SUBMITTED: "its job may be running: attach its request id",
    _S.TIMED_OUT: "its job may be running: the same batch command attaches it again",
    _S.SUCCEEDED: "its video is paid for: download it",
    _S.DOWNLOADED: "its video is on disk",
    _S.FAILED: "ask for another attempt with `--retry failed`",
    _S.CANCELLED: "ask for another attempt with `--retry cancelled`",
    _S.LOST: "it may be paid for; another attempt needs `--retry lost`",
}


def passes(key: str, before: RowState, after: RowState, cause: Cause = Cause.RUN) -> bool:
    """Return whether there is an edge to take; False if the row is there already.

    Args:
        key: The row's, for the error.
        before: Where the row stands.
        after: Where it shall go.
        cause: Who moves it.

    Raises:
        LedgerError: There is no such edge.
    """
    if after in EDGES[cause].get(before, ()):
        return True
    if before is after:
        return False
    raise LedgerError(f"row {key!r} is {before} and cannot become {after}: {_ADVICE[before]}")


def check_retry(states: frozenset[RowState]) -> None:
    """Refuse to retry what may still run, what may be paid for, and what is not over.

    Raises:
        LedgerError: With the reason for each state that cannot be retried.
    """
    wrong = sorted(states - EDGES[Cause.RETRY].keys())
    if wrong:
        reasons = "; ".join(f"{state}: {_ADVICE[state]}" for state in wrong)
        can = ", ".join(EDGES[Cause.RETRY])
        raise LedgerError(f"no retry of {', '.join(wrong)} ({reasons}). Only {can} can be retried")
