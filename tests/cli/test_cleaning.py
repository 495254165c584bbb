"""Strangers' words do nothing to a terminal, wherever they are said."""

from __future__ import annotations

import io
import os
import signal

import pytest
from rich.console import Console

from seedance_async.cli.batchboard import Board
from seedance_async.cli.cleaning import clean, one_line
from seedance_async.cli.interrupts import Interrupts
from seedance_async.cli.progress import Progress
from seedance_async.cli.terminal import explain, tell
from seedance_async.cli.words import describe
from seedance_async.jobs import ErrorInfo, Failed

from .test_batchboard import Seen, change

TITLE = "\x1b]0;owned\x07"
CLEAR = "\x1b[2J\x9b1;1H"


def obeyed(text: str) -> bool:
    """Tell whether a terminal would do anything but begin new lines."""
    return any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text.replace("\n", ""))


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        (f"{CLEAR}a fox", " [2J 1;1Ha fox"),
        (TITLE, " ]0;owned "),
        ("over\rwritten\b\t\0\x7f", "over written    "),
        ("two\nlines", "two\nlines"),
        ("drow\u202edrow\u2066", "drow drow "),
        ("one\u2028two\u0085three", "one two three"),
        ("Füchse, 狐\u3000狸, 👩\u200d🚀, a\u00a0b", "Füchse, 狐\u3000狸, 👩\u200d🚀, a\u00a0b"),
    ],
)
def test_what_a_terminal_would_obey_is_a_blank(text: str, harmless: str) -> None:
    """All else stays as it is, for names and commands are copied from what is said."""
    assert clean(text) == harmless
    assert one_line(text) == harmless.replace("\n", " ")


@pytest.mark.parametrize("label", ["", "error"])
def test_what_is_told_begins_new_lines_and_does_nothing_else(
    label: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of the service, a prompt, the name of a file: nobody knows who wrote a part."""
    tell(f"{CLEAR}no such [red]file\nsecond line{TITLE}", label=label)
    explain(f"{CLEAR}why{TITLE}", label=label, on=Console(stderr=True, width=80))
    said = capsys.readouterr().err
    assert not obeyed(said)
    assert "no such [red]file\nsecond line" in said
    assert "why ]0;owned" in said
    assert said.startswith("error: " if label else " [2J")


def test_keys_and_models_of_a_batch_are_told_on_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    board = Board(download=True)
    board.bind(Seen())
    board.change(change("submitting", key=f"fox\n{CLEAR}", model=f"a/b{TITLE}"))
    (line,) = capsys.readouterr().err.splitlines()
    assert not obeyed(line)


def test_what_a_live_line_says_is_neither_markup_nor_obeyed() -> None:
    """A state that the service has just made up is shown as it calls it."""
    progress = Progress()
    progress.change(f"in progress (the service says [/bold]{CLEAR})")
    screen = io.StringIO()
    Console(file=screen, width=100, color_system=None).print(progress._render())
    assert "says [/bold] [2J" in screen.getvalue()
    assert not obeyed(screen.getvalue())


def test_the_last_words_of_an_interrupt_are_harmless_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """They name the folder and the command, and are written past all else that cleans."""
    written: list[bytes] = []
    monkeypatch.setattr(os, "write", lambda _file, data: written.append(data))
    monkeypatch.setattr(os, "_exit", lambda _code: None)
    interrupts = Interrupts()
    interrupts._last_words = lambda: f"left at once\n`batch {CLEAR}` goes on"
    for _ in range(3):
        interrupts._take(signal.SIGINT, None)
    said = written[-1].decode()
    assert said == "left at once\n`batch  [2J 1;1H` goes on\n"


def test_a_state_is_one_line_whatever_the_service_says() -> None:
    failed = Failed(error=ErrorInfo("ApiError", f"no\nerror: all is paid{CLEAR}"))
    assert describe(failed) == "failed: no error: all is paid [2J 1;1H"
