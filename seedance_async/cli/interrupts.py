"""Interrupts in stages: the first two are told to the command, the third leaves at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Self

from seedance_async.cli.cleaning import clean
from seedance_async.cli.dropped import raise_dropped
from seedance_async.cli.takeover import SIGNALS, Takeover

__all__ = ["Interrupts", "Unwelcome"]

_LEAVES_AT_ONCE = 3
_SHOW_CURSOR = b"\x1b[?25h\r\n"


class Interrupts(Takeover):
    """Takes SIGINT, SIGTERM and SIGHUP inside the block, in the main thread.

    Enter it before the event loop starts: asyncio's own handler would cancel whatever runs first.
    The loop is told by its thread-safe call, which works on all systems.

    Raises:
        KeyboardInterrupt: On entering, if there was an interrupt before that Python dropped.
    """

    def __init__(self) -> None:
        super().__init__(*SIGNALS)
        self._last_words: Callable[[], str] = lambda: "interrupted: left at once."
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stages: asyncio.Queue[int] = asyncio.Queue()
        self._count = 0
        self._first: int | None = None

    @property
    def code(self) -> int | None:
        """The exit code of the first signal, None if there was none."""
        return None if self._first is None else 128 + self._first

    @property
    def came(self) -> bool:
        """Whether there was a signal."""
        return self._count > 0

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            raise_dropped()  # from here on none is: signals no longer raise
        except KeyboardInterrupt:
            self.give_back()
            raise
        return self

    def bind(self, last_words: Callable[[], str]) -> None:
        """Begin to hand signals to the running loop.

        Args:
            last_words: Said when a third signal leaves at once; must not wait for anything.
        """
        self._last_words = last_words
        self._loop = asyncio.get_running_loop()

    async def stage(self) -> int:
        """Wait for the next signal and return its number in the row: 1, then 2."""
        return await self._stages.get()

    async def follow(
        self, work: asyncio.Task[Any], on_stage: Callable[[int], Awaitable[object]]
    ) -> None:
        """Wait until `work` is over, and tell of each signal until then.

        Args:
            work: Ends sooner once it is told to; its result is for the caller to take.
            on_stage: Awaited with the number of each signal in the row: 1, then 2.
        """
        while not work.done():
            stage = asyncio.create_task(self.stage())
            await asyncio.wait({work, stage}, return_when=asyncio.FIRST_COMPLETED)
            if stage.done():
                await on_stage(stage.result())
            else:
                stage.cancel()

    def _take(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._count += 1
        self._first = self._first or number
        if self._count >= _LEAVES_AT_ONCE:
            self._leave(128 + self._first)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stages.put_nowait, self._count)

    def _leave(self, code: int) -> None:
        # Runs in the signal handler: the loop may be stuck, and the display holds locks.
        try:
            if sys.stderr.isatty():
                os.write(2, _SHOW_CURSOR)
            os.write(2, f"{clean(self._last_words())}\n".encode(errors="backslashreplace"))
        finally:
            os._exit(code)  # whether or not anybody can still read why


class Unwelcome(Takeover):
    """Ends work that costs nothing yet: SIGTERM and SIGHUP do what SIGINT does, inside the block.

    So what was opened is closed, and what was half written is removed. Later ones are waited out:
    a terminal that closes sends more than one.

    Attributes:
        code: The exit code of the first signal; 130 if there was none but SIGINT.
    """

    def __init__(self) -> None:
        super().__init__("SIGTERM", "SIGHUP")
        self.code = 128 + signal.SIGINT
        self._ends = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no signal comes elsewhere
            super().__enter__()
        return self

    def heed(self) -> None:
        """Raise KeyboardInterrupt if a signal came that something swallowed."""
        if self._ends:
            raise KeyboardInterrupt

    def _take(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._ends:
            return
        self._ends = True
        self.code = 128 + number
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts `command &`
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)
