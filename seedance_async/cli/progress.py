"""What a command shows while it works: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from seedance_async.cli import words
from seedance_async.cli.block import Block
from seedance_async.cli.cleaning import one_line
from seedance_async.cli.eventlines import event_line, interrupted_event, message_event
from seedance_async.cli.standing import Standing, standing_lines
from seedance_async.cli.terminal import console, explain, is_live, tell, write

__all__ = ["Progress"]


class Progress:
    """A command's words on stderr.

    Attributes:
        live: Whether there is a line that is redrawn.
        expect: Returns what is to be expected, in a few words; asked at each redraw.

    Args:
        as_json: Whether what is no terminal gets JSON Lines instead of words.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.live = is_live()
        self.expect: Callable[[], str] = str
        self._as_json = as_json and not self.live
        self._console = console()
        self._began = time.monotonic()
        self._now = ""
        self._last_line = ""
        self._spinner = Spinner("dots")
        self._block = Block(self._render, self._console, redraws=8)

    def __enter__(self) -> Progress:
        if self.live:
            self._block.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._block.stop()

    @property
    def elapsed(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self._began

    def line(self, text: str, *, label: str = "", style: str = "") -> None:
        """Print a line that stays."""
        if self._as_json:
            write(event_line(message_event(text, label=label), elapsed=self.elapsed))
        else:
            tell(text, label=label, style=style, on=self._console)

    def interrupted(self, stage: int, text: str, standing: Standing, *, again: str) -> None:
        """Say what an interrupt does and how the job stands.

        Args:
            stage: Which interrupt in the row: 1 or 2.
            text: What it does, and what comes next.
            standing: Jobs and money.
            again: The command that goes on.
        """
        if self._as_json:
            event = interrupted_event(standing, stage=stage, text=text, again=again)
            write(event_line(event, elapsed=self.elapsed))
            return
        explain(text, label="interrupted", style="yellow", on=self._console)
        for row in standing_lines(standing):
            self.line(row)

    def last_words(self, text: str, standing: Standing, *, again: str) -> str:
        """Return what is said when a third interrupt leaves at once; it waits for nothing."""
        if self._as_json:
            event = interrupted_event(standing, stage=3, text=text, again=again)
            return event_line(event, elapsed=self.elapsed).rstrip()
        return "\n".join([f"interrupted: {text}", *standing_lines(standing)])

    def change(self, text: str) -> None:
        """Say what is going on now: in the live line, or as a line with the time."""
        if not self.live and text != self._last_line:
            self._last_line = text
            expected = self.expect()
            if self._as_json:
                event = {"event": "progress", "text": text, "expected": expected or None}
                write(event_line(event, elapsed=self.elapsed))
            else:
                more = f" ({expected})" if expected else ""
                self.line(f"{words.seconds(self.elapsed):>6}  {text}{more}")
        self._now = text

    def _render(self) -> Table | Text:
        if not self._now:
            return Text("")
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        times = words.seconds(self.elapsed)
        grid.add_row(
            self._spinner,
            Text(one_line(self._now)),
            Text(times, style="dim"),
            Text(self.expect(), style="dim"),
        )
        return grid
