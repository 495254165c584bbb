"""The owner of a session's tasks: none outlives it, none is left without someone who awaits it.

It is a task of its own, so that a session may be opened in one task and closed in another, and
so that no ExceptionGroup reaches those who use it.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any

__all__ = ["Supervisor"]

logger = logging.getLogger("seedance_async")


class Supervisor:
    """Starts tasks and sees each of them end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
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

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Start a task that this supervisor owns; an error in it is logged, never raised."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(work, name=name, context=self._context)
        self._tasks.add(task)
        self._idle.clear()
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._idle.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error(
                "%s ended by an error of our own; please report it", task.get_name(), exc_info=error
            )

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
            while self._tasks:
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(set(self._tasks))
