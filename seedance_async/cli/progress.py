"""What a command shows while it works: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from seedance_async.cli import words
from seedance_async.cli.block import Block
from seedance_async.cli.cleaning import one_line
from seedance_async.cli.voice import Voice

__all__ = ["Progress"]


class Progress:
    """A command's words on stderr.

    Attributes:
        voice: Says what stays.
        expect: Returns what is to be expected, in a few words; asked at each redraw.

    Args:
        as_json: Whether what is no terminal gets JSON Lines instead of words.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.voice = Voice(as_json=as_json)
        self.expect: Callable[[], str] = str
        self._now = ""
        self._last_line = ""
        self._spinner = Spinner("dots")
        self._block = Block(self._render, self.voice.console, redraws=8)

    def __enter__(self) -> Progress:
        if self.voice.live:
            self._block.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._block.stop()

    def change(self, text: str) -> None:
        """Say what is going on now: in the live line, or as a line with the time."""
        if not self.voice.live and text != self._last_line:
            self._last_line = text
            expected = self.expect()
            if self.voice.as_json:
                event = {"event": "progress", "text": text, "expected": expected or None}
                self.voice.event(event)
            else:
                more = f" ({expected})" if expected else ""
                self.voice.note(f"{text}{more}")
        self._now = text

    def _render(self) -> Table | Text:
        if not self._now:
            return Text("")
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        times = words.seconds(self.voice.elapsed)
        grid.add_row(
            self._spinner,
            Text(one_line(self._now)),
            Text(times, style="dim"),
            Text(self.expect(), style="dim"),
        )
        return grid
