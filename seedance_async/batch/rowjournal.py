"""The ledger as a run's sessions see it: words go to the disk first, then to the runner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import assert_never

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.stops import is_account_trouble
from seedance_async.errors import IdTakenError, LedgerError
from seedance_async.jobs import (
    Cancelled,
    Failed,
    InDoubt,
    Lost,
    Outcome,
    Succeeded,
    TimedOut,
)
from seedance_async.models import Request

__all__ = ["RowJournal", "Step", "state_of"]


@attrs.frozen
class Step:
    """A row's new state, which is on disk.

    Attributes:
        key: The row's.
        state: Where it stands now.
        detail: What a person wants to know of it.
        request_id: The job's, once known.
        outcome: How the job ended, if it did.
    """

    key: str
    state: RowState
    detail: str = ""
    request_id: str | None = None
    outcome: Outcome | None = None


class RowJournal:
    """The `Journal` of a run; a tag is a row's key.

    A refusal for the account's sake is no row's fault: the row is planned again.

    Args:
        ledger: Open for writing.
        begins: Asked just before a POST leaves, which can be taken back no more; a text refuses.
        moved: Told of each step, once it is on disk.
        trouble: Told when a word could not be written.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        begins: Callable[[str], str | None],
        moved: Callable[[Step], None],
        trouble: Callable[[LedgerError], None],
    ) -> None:
        self._ledger = ledger
        self._begins = begins
        self._moved = moved
        self._trouble = trouble

    async def submitting(self, tag: str, request: Request) -> None:
        """Write down that a POST is about to leave.

        Raises:
            LedgerError: The run refuses it, or the disk: nothing may be sent.
        """
        if (refusal := self._begins(tag)) is not None:
            raise LedgerError(refusal)
        try:
            await self._write(self._ledger.submitting(tag, request))
        except asyncio.CancelledError:
            # It may be on disk, and no POST follows: left so, the next run would be in doubt.
            with suppress(LedgerError):
                await self._ledger.not_sent(tag, "nothing was sent: the ledger took too long")
            raise
        self._moved(Step(tag, RowState.SUBMITTING))

    async def not_sent(self, tag: str, why: str) -> None:
        """Write down that nothing was accepted."""
        await self._write(self._ledger.not_sent(tag, why))
        self._moved(Step(tag, RowState.PLANNED, why))

    async def accepted(self, tag: str, request_id: str) -> None:
        """Write down the id of a job that may be billed; one that is another row's is a doubt."""
        try:
            await self._write(self._ledger.accepted(tag, request_id))
        except IdTakenError as error:
            await self.in_doubt(tag, str(error))
        else:
            self._moved(Step(tag, RowState.SUBMITTED, request_id=request_id))

    async def in_doubt(self, tag: str, why: str) -> None:
        """Write down that nobody knows whether there is a job."""
        await self._write(self._ledger.in_doubt(tag, why))
        self._moved(Step(tag, RowState.IN_DOUBT, why))

    async def finished(self, tag: str, outcome: Outcome) -> None:
        """Write down how it ended, and what it cost."""
        refused = isinstance(outcome, Failed) and outcome.request_id is None
        if isinstance(outcome, Failed) and refused and is_account_trouble(outcome.error):
            await self.not_sent(tag, outcome.error.message)
            return
        await self._write(self._ledger.finished(tag, outcome))
        state, detail = state_of(outcome)
        self._moved(Step(tag, state, detail, outcome.request_id, outcome))

    async def _write(self, word: Awaitable[None]) -> None:
        try:
            await word
        except IdTakenError:
            raise
        except LedgerError as error:
            self._trouble(error)
            raise


def state_of(outcome: Outcome) -> tuple[RowState, str]:
    """Return a row's state after an outcome, and what a person wants to know of it."""
    match outcome:
        case Succeeded():
            return RowState.SUCCEEDED, outcome.video_url
        case Failed():
            return RowState.FAILED, outcome.error.message
        case Cancelled():
            return RowState.CANCELLED, ""
        case TimedOut():
            return RowState.TIMED_OUT, outcome.reason
        case Lost():
            return RowState.LOST, outcome.error.message
        case InDoubt():
            return RowState.IN_DOUBT, outcome.error.message
        case _:
            assert_never(outcome)
