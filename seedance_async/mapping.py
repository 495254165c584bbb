"""Fan-out: many requests through one session, outcomes as values."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
)
from contextlib import aclosing
from types import TracebackType
from typing import Any, Generic, TypeVar

import attrs

from seedance_async.errors import (
    BudgetExceededError,
    LedgerError,
    SeedanceError,
    SessionClosedError,
    SubmissionInDoubtError,
    SubmittingStoppedError,
)
from seedance_async.handle import Job
from seedance_async.jobs import Failed, InDoubt, Outcome, TimedOut
from seedance_async.models import Request
from seedance_async.state import SessionState, closed_error
from seedance_async.submitting import Submitter
from seedance_async.supervisor import is_cancelled

__all__ = ["Done", "Fanout"]

R = TypeVar("R", bound=Request)
K = TypeVar("K")

_STOPPING = (SubmittingStoppedError, BudgetExceededError, LedgerError, SessionClosedError)
_MAX_UNREAD = 1000
"""Results that may wait for a slow consumer before feeding waits for it."""


@attrs.frozen
class Done(Generic[R, K]):
    """One request of a fan-out and how it ended.

    Attributes:
        index: Its place in the input, from 0.
        key: What `key` made of it; the index where no `key` was given.
        request: The request.
        outcome: How it ended.
    """

    index: int
    key: K
    request: R
    outcome: Outcome


class Fanout(Generic[R, K]):
    """What `Session.map` gives: submits while it is entered, yields each `Done`.

    Left by an exception or a cancellation, it makes the session's `on_abort` attempt for the jobs
    that run; left otherwise, they run on and the session tracks them. A POST under way is treated
    as that of any caller who leaves: the session makes one cancel attempt.
    """

    def __init__(
        self,
        state: SessionState,
        submitter: Submitter,
        requests: Iterable[R] | AsyncIterable[R],
        *,
        key: Callable[[R], K] | None,
        ordered: bool,
    ) -> None:
        self._state = state
        self._submitter = submitter
        self._requests = requests
        self._key = key
        self._results: _Results[R, K] = _Results(ordered=ordered)
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: set[Job] = set()
        self._entered = False
        self._feeder: asyncio.Task[None] | None = None
        self._fed = False
        self._error: Exception | None = None

    async def __aenter__(self) -> Fanout[R, K]:
        """Begin to submit."""
        if self._entered:
            raise RuntimeError("a map is entered once; call session.map again")
        self._entered = True
        self._state.fanouts.add(self)
        self._feeder = self._start(self._feed(), "map")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Submit no more; POSTs under way are finished by the session."""
        if error is not None and self._state.settings.on_abort == "cancel":
            for job in self._jobs:
                self._submitter.cancel_in_session(job)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def __aiter__(self) -> AsyncIterator[Done[R, K]]:
        return self

    async def __anext__(self) -> Done[R, K]:
        """Return the next result, in the order of completion, or of the input if `ordered`.

        Raises:
            SubmittingStoppedError: Submitting stopped; all that ran has been yielded before.
            BudgetExceededError: The same for the budget.
            Exception: What the input, a request or `key` raised, after all that ran has been
                yielded.
        """
        if not self._entered:
            raise RuntimeError("use `async with session.map(...) as results:` before iterating")
        while True:
            over = self._fed and not self._tasks
            done = self._results.take(flush=over)
            if done is not None:
                return done
            if over:
                break
            await self._results.change()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        raise StopAsyncIteration

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = self._state.supervisor.start(work, name=f"seedance_async {name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # perhaps before its first step, so that it could not say so itself
            self._error = self._error or RuntimeError("a task of the map was cancelled")
            self._fed = self._fed or task is self._feeder
        self._tasks.discard(task)
        self._results.tell()

    def stop_feeding(self) -> None:
        """Read no more of the input; what runs is still yielded, then the error."""
        if not self._fed:
            self._error = self._error or closed_error()
            if self._feeder is not None:
                self._feeder.cancel()

    async def _feed(self) -> None:
        try:
            index = 0
            async with aclosing(_each(self._requests)) as requests:
                async for request in requests:
                    if self._error is not None:
                        break
                    await self._feed_one(index, request)
                    index += 1
        except asyncio.CancelledError:
            self._error = self._error or RuntimeError("the input of the map was cancelled")
            if is_cancelled():
                raise
        except Exception as error:  # noqa: BLE001  the input's own; raised to the consumer
            self._error = self._error or error
        finally:
            self._fed = True

    async def _feed_one(self, index: int, request: R) -> None:
        """Start one request and wait until it has its slot: the input is read no faster."""
        while self._results.unread >= _MAX_UNREAD:
            await self._results.change()
        key: Any = index if self._key is None else self._key(request)
        granted = asyncio.Event()
        self._results.unread += 1
        task = self._start(self._run(index, key, request, granted), f"map {index}")
        task.add_done_callback(lambda _task: granted.set())
        await granted.wait()

    async def _run(self, index: int, key: K, request: R, granted: asyncio.Event) -> None:
        try:
            outcome = await self._outcome(request, granted)
        except asyncio.CancelledError:
            self._results.unread -= 1
            self._error = self._error or RuntimeError(f"request {index} of the map was cancelled")
            if is_cancelled():
                raise
            return
        except Exception as error:  # noqa: BLE001  submitting stopped, or a bug; for the consumer
            self._error = self._error or error
            self._results.unread -= 1
            return
        self._results.put(Done(index, key, request, outcome))

    async def _outcome(self, request: R, granted: asyncio.Event) -> Outcome:
        try:
            job = await self._submitter.submit(request, None, on_slot=granted.set)
        except _STOPPING:
            raise
        except SubmissionInDoubtError as doubt:
            return InDoubt(
                error=doubt.error, model_id=doubt.model_id, candidate_id=doubt.candidate_id
            )
        except SeedanceError as error:
            return Failed(error=error.info(), model_id=request.model_id)
        self._jobs.add(job)
        try:
            return await job.wait()
        except SeedanceError as error:  # it is no longer tracked, and runs on
            return TimedOut(request_id=job.request_id, reason=str(error), model_id=request.model_id)
        finally:
            if job.done():
                self._jobs.discard(job)


class _Results(Generic[R, K]):
    """The results that nobody has taken yet, in the order in which they may be taken."""

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._ready: deque[Done[R, K]] = deque()
        self._held: dict[int, Done[R, K]] = {}
        self._next_index = 0
        self._changed = asyncio.Event()
        self.unread = 0

    def put(self, done: Done[R, K]) -> None:
        """Add a result."""
        if self._ordered:
            self._held[done.index] = done
        else:
            self._ready.append(done)
        self.tell()

    def take(self, *, flush: bool) -> Done[R, K] | None:
        """Return the next result; `flush` passes over indices that will never come."""
        if self._ordered:
            if flush and self._held:
                self._next_index = min(self._held)
            if self._next_index not in self._held:
                return None
            done = self._held.pop(self._next_index)
            self._next_index += 1
        elif self._ready:
            done = self._ready.popleft()
        else:
            return None
        self.unread -= 1
        self.tell()
        return done

    async def change(self) -> None:
        """Wait until something was put, taken or told."""
        self._changed.clear()
        await self._changed.wait()

    def tell(self) -> None:
        """Wake those who wait for a change."""
        self._changed.set()


async def _each(requests: Iterable[R] | AsyncIterable[R]) -> AsyncGenerator[R, None]:
    if isinstance(requests, AsyncGenerator):
        async with aclosing(requests):
            async for request in requests:
                yield request
    elif isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
