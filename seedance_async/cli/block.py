"""A block of lines at the end of a terminal that is redrawn where it stands."""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, cast

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.control import Control
from rich.file_proxy import FileProxy
from rich.segment import ControlType, Segment

__all__ = ["Block", "next_pause"]

_PART: Final = 0.01
"""Of a core, that redrawing may take."""
_LONGEST: Final = 2.0
"""Seconds from redraw to redraw, however dear they are."""
_FREE: Final = 3
"""Columns at the end of each line: the terminal writes ^C there, which must not begin a row."""

logger = logging.getLogger(__name__)


class Block(RenderHook):
    """Redraws itself a few times a second from a thread; what is printed meanwhile goes above it.

    So does what others write to stderr; stdout is left alone, for the results go there. A terminal
    that becomes narrower wraps the lines that stand on it, and they are taken away all the same.

    Args:
        draw: Returns what is to be seen.
        screen: Where.
        redraws: How often a second; less often if that takes more than 1% of a core.
    """

    def __init__(
        self, draw: Callable[[], RenderableType], screen: Console, *, redraws: float
    ) -> None:
        self._draw = draw
        self._screen = screen
        self._usual_pause = 1.0 / redraws
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._stderr: Any = None
        self._standing: list[int] = []
        self._broke = False
        self._lock = threading.RLock()

    def start(self) -> None:
        """Show the block until `stop`."""
        self._over.clear()
        self._screen.show_cursor(False)
        self._screen.push_render_hook(self)
        self._stderr, sys.stderr = (
            sys.stderr,
            cast("io.TextIOBase", FileProxy(self._screen, sys.stderr)),
        )
        self._thread = threading.Thread(target=self._redraw, name="seedance_async block")
        self._thread.daemon = True
        self._thread.start()

    def stop(self) -> None:
        """Take the block away; nothing happens if there is none, or no terminal any more."""
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        sys.stderr = self._stderr
        with suppress(OSError):
            try:
                self._screen.print(Control())  # without the block, now that it is over
            finally:
                self._screen.pop_render_hook()
                self._screen.show_cursor(True)

    def _redraw(self) -> None:
        began, spent = time.monotonic(), time.thread_time()
        pause = self._usual_pause
        while True:
            self._screen.print(Control())
            if self._over.wait(pause):
                return
            taken = time.thread_time() - spent
            pause = next_pause(self._usual_pause, taken, time.monotonic() - began)

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Return what is printed with the block behind it, instead of where it stands now."""
        with self._lock:
            erased = _erase(_rows(self._standing, self._screen.width))
            self._standing = []
            return [erased, *renderables, _Lines(self._lines)]

    def _lines(self, options: ConsoleOptions) -> list[list[Segment]]:
        """Return the block's lines, and remember how long they are."""
        if self._over.is_set():
            return []
        try:
            narrower = options.update(width=max(options.max_width - _FREE, 1))
            lines = self._screen.render_lines(self._draw(), narrower, pad=False)
        except Exception:
            if not self._broke:
                self._broke = True
                logger.exception("what happens cannot be shown; please report it")
            return []
        lines = lines[: max(1, self._screen.height - 1)]
        with self._lock:
            self._standing = [Segment.get_line_length(line) for line in lines]
        return lines


class _Lines:
    """Lines that are asked for when they are printed, without an end of the last one."""

    def __init__(self, lines: Callable[[ConsoleOptions], list[list[Segment]]]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        for number, line in enumerate(self._lines(options)):
            if number:
                yield Segment.line()
            yield from line


def next_pause(usual: float, taken: float, elapsed: float) -> float:
    """Return the seconds until the next redraw, so that all of them take a bounded part of a core.

    Args:
        usual: The least.
        taken: Seconds of CPU that they have taken so far.
        elapsed: Seconds since the first one.
    """
    return min(max(usual, taken / _PART - elapsed), max(usual, _LONGEST))


def _rows(lengths: list[int], width: int) -> int:
    """Return how many rows lines take on a screen of this width, which may wrap them."""
    return sum(max(1, -(-length // max(width, 1))) for length in lengths)


def _erase(rows: int) -> Control:
    """Return what takes so many rows away, from the one the cursor is in upwards."""
    if not rows:
        return Control()
    up = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2))
    return Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *(up * (rows - 1)))
