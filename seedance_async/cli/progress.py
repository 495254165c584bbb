"""What a command shows while it works: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from seedance_async.cli import words
from seedance_async.cli.terminal import console, is_live, tell

__all__ = ["Progress"]


class Progress:
    """A command's words on stderr.

    Attributes:
        live: Whether there is a line that is redrawn.
    """

    def __init__(self) -> None:
        self.live = is_live()
        self._console = console()
        self._began = time.monotonic()
        self._now = ""
        self._last_line = ""
        self._spinner = Spinner("dots")
        # stdout stays untouched: the results go there.
        self._display = Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> Progress:
        if self.live:
            self._display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._display.stop()

    @property
    def elapsed(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self._began

    def line(self, text: str, *, label: str = "", style: str = "") -> None:
        """Print a line that stays."""
        tell(text, label=label, style=style, on=self._console)

    def change(self, text: str) -> None:
        """Say what is going on now: in the live line, or as a line with the time."""
        if not self.live and text != self._last_line:
            self.line(f"{words.seconds(self.elapsed):>6}  {text}")
            self._last_line = text
        self._now = text

    def _render(self) -> Table | Text:
        if not self._now:
            return Text("")
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_column(no_wrap=True)
        grid.add_row(self._spinner, self._now, Text(words.seconds(self.elapsed), style="dim"))
        return grid
