"""What a command says on stderr while it works: words for a person, JSON Lines for a program."""

from __future__ import annotations

import time
from typing import Any

from seedance_async.cli.cleaning import clean
from seedance_async.cli.eventlines import event_line, interrupted_event, message_event
from seedance_async.cli.standing import Standing, standing_lines
from seedance_async.cli.terminal import console, explain, is_live, tell, write
from seedance_async.cli.words import seconds

__all__ = ["Voice"]


class Voice:
    """Says what stays, how a run stands at an interrupt, and how long it has taken.

    Args:
        as_json: Whether what is no terminal gets JSON Lines instead of words.

    Attributes:
        live: Whether stderr is a terminal on which lines are redrawn.
        as_json: Whether it speaks JSON.
        console: Where words go.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.live = is_live()
        self.as_json = as_json and not self.live
        self.console = console()
        self.begin()

    def begin(self) -> None:
        """Let the time begin now; may be repeated."""
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def event(self, event: dict[str, Any]) -> None:
        """Write an event as JSON."""
        write(event_line(event, elapsed=self.elapsed))

    def note(self, text: str) -> None:
        """Write a plain line with the time, where nothing is redrawn."""
        write(clean(f"{seconds(self.elapsed):>6}  {text}\n"))

    def line(self, text: str, *, label: str = "", style: str = "") -> None:
        """Print a line that stays."""
        if self.as_json:
            self.event(message_event(text, label=label))
        else:
            tell(text, label=label, style=style, on=self.console)

    def interrupted(
        self, stage: int, text: str, standing: Standing, *, then: str = "", again: str
    ) -> None:
        """Say what an interrupt does and how the run stands.

        Args:
            stage: Which interrupt in the row: 1 or 2.
            text: What it does.
            standing: Rows, or jobs, and money.
            then: What leads to the command below the table; empty: the text names it.
            again: The command that goes on.
        """
        if self.as_json:
            self.event(interrupted_event(standing, stage=stage, text=text, again=again))
            return
        explain(text, label="interrupted", style="yellow", on=self.console)
        for row in standing_lines(standing):
            self.line(row)
        if then:
            explain(then, on=self.console)
            self.line(f"  {again}")

    def last_words(
        self, text: str, standing: Standing | None, *, then: str = "", again: str
    ) -> str:
        """Return what is said when a third interrupt leaves at once; it waits for nothing."""
        if self.as_json:
            event = interrupted_event(standing, stage=3, text=text, again=again)
            return event_line(event, elapsed=self.elapsed).rstrip()
        table = [] if standing is None else standing_lines(standing)
        return "\n".join([f"interrupted: {text}", *table, *([then] if then else [])])
