"""A manifest's rows beside the ledger, before they are its plan."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, Final, Protocol, TypeVar

from seedance_async.batch.entries import Conflict, Derive, RowProblem, Staged, StagedRow
from seedance_async.batch.keys import derived_key
from seedance_async.batch.staging import Staging
from seedance_async.supervisor import in_thread

__all__ = ["Draft"]

T = TypeVar("T")

_PAGE: Final = 1000


class _InThread(Protocol):
    """Runs work in the thread that reads the ledger; `on_cancel` makes it end sooner."""

    def __call__(
        self, work: Callable[..., T], *args: Any, on_cancel: Callable[[], object] | None = None
    ) -> Coroutine[Any, Any, T]: ...


class Draft:
    """What a manifest holds, and what of it cannot be planned.

    Args:
        staging: The file that it is in.
        in_thread: Runs work in the ledger's thread.
    """

    def __init__(self, staging: Staging, in_thread: _InThread) -> None:
        self._staging = staging
        self._in_thread = in_thread

    async def stage(
        self,
        rows: Iterable[StagedRow | RowProblem],
        *,
        derive: Derive = derived_key,
        leave: Callable[[], object] = lambda: None,
    ) -> Staged:
        """Write a manifest's rows beside the ledger and find those that cannot be planned.

        Cancelled, it stops at the next row; the ledger is as before.

        Args:
            rows: Valid rows, and what is wrong with the others. Consumed in a thread; what it
                raises comes out, and the ledger is as before.
            derive: Makes the keys of rows without one.
            leave: Called at a cancellation: makes `rows` end that wait for somebody.

        Raises:
            LedgerError: The disk refuses, or two rows have the same line.
        """
        staging = self._staging
        staging.stop.clear()

        def stop() -> None:
            staging.stop.set()
            leave()

        try:
            return await self._in_thread(staging.fill, rows, derive, on_cancel=stop)
        except BaseException:
            await in_thread(staging.discard)
            raise

    async def conflicts(self) -> AsyncIterator[Conflict]:
        """Stream the staged rows that cannot be planned, by line."""
        after = -1
        while page := await self._in_thread(self._staging.conflicts, after, _PAGE):
            for conflict in page:
                yield conflict
            after = page[-1].line

    async def problems(self) -> AsyncIterator[RowProblem]:
        """Stream all that keeps staged lines out of the plan, conflicts included, by line."""
        after = (-1, 0)
        while page := await self._in_thread(self._staging.problems, after, _PAGE):
            for number, problem in page:
                yield problem
                after = (problem.line, number)
