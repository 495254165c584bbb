"""The owner of a session's tasks: none outlives it, none is left without someone who awaits it.

It is a task of its own, so that a session may be opened in one task and closed in another, and
so that no ExceptionGroup reaches those who use it.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar, TypeVarTuple, Unpack

import anyio

__all__ = ["Supervisor", "in_thread", "is_cancelled", "see_through", "stop_and_see_through"]

logger = logging.getLogger("seedance_async")

_CutOff: TypeAlias = Callable[[asyncio.Task[None]], object]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_LAST_WORDS = 10.0
"""Seconds for which tasks that were cancelled by others may finish what they write."""


class Supervisor:
    """Starts tasks and sees each of them end."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], _CutOff | None] = {}
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()
        self._closing: asyncio.Event = asyncio.Event()
        self._context = contextvars.copy_context()
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name="seedance_async supervisor"
        )

    @property
    def tasks(self) -> int:
        """How many tasks it owns now."""
        return len(self._tasks)

    def start(
        self, work: Coroutine[Any, Any, None], *, name: str, cut_off: _CutOff | None = None
    ) -> asyncio.Task[None]:
        """Start a task that this supervisor owns; an error in it is logged, never raised.

        Args:
            work: What it does.
            name: The task's.
            cut_off: Called with a task that ends cancelled. Others may cancel it before its first
                step, as whoever cancels `asyncio.all_tasks()` does: then no line of `work` runs,
                not even a `finally`.
        """
        loop = asyncio.get_running_loop()
        # A copy each: an eager task of a task that is running would enter one context twice.
        task = loop.create_task(work, name=name, context=self._context.copy())
        self._tasks[task] = cut_off
        self._idle.clear()
        task.add_done_callback(self._ended, context=self._context)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        cut_off = self._tasks.pop(task)
        if not self._tasks:
            self._idle.set()
        if task.cancelled():
            if cut_off is not None:
                cut_off(task)
        elif (error := task.exception()) is not None:
            logger.error(
                "%s ended by an error of our own; please report it", task.get_name(), exc_info=error
            )

    def owns_current_task(self) -> bool:
        """Tell whether the task that runs now is one of its own."""
        return asyncio.current_task() in self._tasks

    async def idle(self) -> None:
        """Wait until it owns no task."""
        await self._idle.wait()

    async def aclose(self) -> None:
        """Cancel what is left and wait for it; cancelled, it leaves the rest to the supervisor."""
        self._closing.set()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            await self._closing.wait()
        finally:
            # Who is cancelled already, as by the end of the event loop, may be writing down an id.
            for task in self._tasks:
                if not task.cancelling():
                    task.cancel()
            if self._tasks:
                await asyncio.wait(set(self._tasks), timeout=_LAST_WORDS)
            while self._tasks:
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(set(self._tasks))


def is_cancelled() -> bool:
    """Tell whether the running task itself was cancelled.

    A CancelledError may also come out of something that it awaits and that somebody else
    cancelled: that is an error like any other, and must not pass for a cancellation.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def see_through(
    future: asyncio.Future[T], on_cancel: Callable[[], object] = lambda: None
) -> T:
    """Wait until `future` is done however often the caller is cancelled; pass that on afterwards.

    The shield keeps anyio from cancelling again at every step; asyncio's own cancellations, which
    no shield stops, are counted out one by one.

    Args:
        future: What must come to its end; bounded in time by itself.
        on_cancel: Called at each cancellation, to make it end sooner.
    """
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not future.done():
            try:
                await asyncio.wait({future})
            except asyncio.CancelledError as error:
                cancelled = error
                on_cancel()
    if cancelled is not None:
        if not future.cancelled():
            future.exception()  # what broke matters no more
        raise cancelled
    return future.result()


async def stop_and_see_through(future: asyncio.Future[T], stop: Callable[[], object]) -> T:
    """Wait until `future` is done; cancelled, tell it to stop, then see it through.

    For work that may take hours: the shield of `see_through` would keep a cancelled anyio scope
    from being heard until all of it is done.

    Args:
        future: What must come to its end, soon once it is told to stop.
        stop: Called at each cancellation.
    """
    try:
        await asyncio.wait({future})
    except asyncio.CancelledError:
        stop()
        with suppress(Exception):  # what broke matters no more
            await see_through(future, stop)
        raise
    return future.result()


async def in_thread(work: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
    """Run short blocking work in a thread, to its end even if the caller is cancelled."""
    return await see_through(asyncio.get_running_loop().run_in_executor(None, work, *args))
