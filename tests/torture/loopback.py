"""Simulators on loopback, in a thread of the tests' process: they outlive whoever is killed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Final, TypeVar

from seedance_async.simulator import Books, Simulator
from seedance_async.simulator.web import serve

__all__ = ["Loopback"]

T = TypeVar("T")

_PATIENCE: Final = 60.0
"""Seconds after which the thread counts as hanging."""


class Loopback:
    """Serves simulators, and has their books at hand."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    @contextmanager
    def serve(self, simulator: Simulator) -> Iterator[None]:
        """Serve one inside the block."""
        stack = AsyncExitStack()
        self._call(stack.enter_async_context(serve(simulator)))
        try:
            yield
        finally:
            self._call(stack.aclose())

    def books(self, simulator: Simulator) -> Books:
        """Return the books after all that dead clients had sent has arrived."""

        async def arrived() -> None:
            # It is in this machine's sockets; each pass of the loop takes it a step further.
            for _ in range(100):
                await asyncio.sleep(0)

        self._call(arrived())
        return simulator.books

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
