"""Where words go: results to stdout, everything else to stderr, colours where they are wanted."""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.text import Text

from seedance_async.cli.cleaning import clean

__all__ = ["console", "explain", "help_console", "is_live", "print_json", "tell", "write"]


def is_live() -> bool:
    """Tell whether stderr is a terminal that can redraw a line."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}


class _Console(Console):
    """Prints one thread's words as a whole, and only then another's: a block moves with each.

    rich's console would leave the program when its reader has gone; what is paid must run on.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._turn = threading.RLock()

    def __enter__(self) -> Self:
        self._turn.acquire()
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            super().__exit__(kind, error, traceback)
        finally:
            self._turn.release()

    def on_broken_pipe(self) -> None:
        self.quiet = True


def console(*, stderr: bool = True) -> Console:
    """Return a console on stderr (or stdout); rich itself obeys NO_COLOR and TERM."""
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return _Console(stderr=stderr)
    # A pipe has no width: each line and row stays whole, for grep.
    return _Console(stderr=stderr, force_terminal=False, width=1000)


def help_console() -> Console:
    """Return a console on stdout for help: it has a width everywhere; `| head` is no failure."""
    return _Console()


def tell(text: str, *, label: str = "", style: str = "", on: Console | None = None) -> None:
    """Print a line on stderr; long ones are wrapped by the terminal, so that they copy whole.

    Whoever wrote parts of the text, it does nothing to the terminal but begin new lines.
    """
    line = _line(text, label, style)
    with suppress(OSError):  # a terminal that was closed must not end what runs
        (on or console()).print(line, soft_wrap=True, highlight=False)


def explain(text: str, *, label: str = "", style: str = "", on: Console) -> None:
    """Print prose on stderr as `tell` does, but wrapped between words: nobody copies it."""
    line = _line(text, label, style)
    with suppress(OSError):
        on.print(line, highlight=False)


def _line(text: str, label: str, style: str) -> Text:
    words = clean(text)
    return Text.assemble((f"{label}: ", style), words) if label else Text(words, style=style)


def write(text: str) -> None:
    """Write text to stderr as it is: it keeps up with hundreds of lines a second."""
    with suppress(OSError, ValueError):  # a reader that has gone must not end what runs
        sys.stderr.write(text)
        sys.stderr.flush()


def print_json(value: Any) -> None:
    """Print one JSON object on stdout: indented for a person, on one line for a program."""
    print(json.dumps(value, indent=2 if sys.stdout.isatty() else None, default=str))
