"""The block at the end of a terminal: it is taken away whole, whatever the terminal does."""

from __future__ import annotations

import io
import re
import sys
import threading
import time

import pytest
from rich.console import Console
from rich.text import Text

from seedance_async.cli.block import Block, next_pause
from seedance_async.cli.terminal import console

UP = "\x1b[1A\x1b[2K"


def screen(width: int = 40) -> Console:
    return Console(file=io.StringIO(), width=width, height=10, force_terminal=True)


def written(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    text = file.getvalue()
    file.seek(0)
    file.truncate()
    return text


def shown(block: Block, console: Console) -> str:
    console.push_render_hook(block)
    console.print("above")
    console.pop_render_hook()
    return written(console)


def test_what_is_printed_goes_above_it() -> None:
    console = screen()
    block = Block(lambda: Text("one\ntwo"), console, redraws=4)
    assert shown(block, console).endswith("above\none\ntwo")
    again = shown(block, console)
    assert again.startswith(f"\r\x1b[2K{UP}above")
    assert again.count(UP) == 1


def test_two_threads_that_print_at_once_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes the block away that stands there when its own words come."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen = console()
    other = threading.Thread(target=screen.print, args=("second",))

    def draw() -> Text:
        if other.ident is None:
            other.start()
            other.join(0.1)  # it comes through now, or waits for its turn
        return Text("block")

    screen.push_render_hook(Block(draw, screen, redraws=4))
    screen.print("first")
    other.join()
    assert written(screen) == "first\nblock\r\x1b[2Ksecond\nblock"


def test_lines_that_a_narrower_terminal_wraps_are_taken_away_too() -> None:
    """30 columns of text on a screen of 12 take three rows."""
    console = screen(40)
    block = Block(lambda: Text("x" * 30 + "\nshort"), console, redraws=4)
    shown(block, console)
    console.width = 12
    assert shown(block, console).split("above")[0].count(UP) == 3


def test_the_end_of_a_line_stays_free_for_the_echo_of_ctrl_c() -> None:
    """A ^C that began a row of its own would leave the row above it behind."""
    console = screen(20)
    block = Block(lambda: Text("x" * 100, no_wrap=True, overflow="crop"), console, redraws=4)
    assert len(shown(block, console).splitlines()[-1]) == 17


def test_it_never_fills_more_than_the_screen() -> None:
    console = screen()
    block = Block(lambda: Text("\n".join(map(str, range(50)))), console, redraws=4)
    assert len(shown(block, console).splitlines()) == 1 + 9


@pytest.mark.parametrize(
    ("taken", "elapsed", "pause"),
    [(0.001, 1.0, 0.25), (0.02, 1.0, 1.0), (0.02, 1.9, 0.25), (5.0, 10.0, 2.0)],
)
def test_redraws_take_one_percent_of_a_core(taken: float, elapsed: float, pause: float) -> None:
    """Dear ones come less often, and never so seldom that nothing seems to move."""
    assert next_pause(0.25, taken, elapsed) == pytest.approx(pause)


def test_a_block_that_breaks_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What runs is paid: it must not end because of its display; it is told once."""
    console = screen()
    block = Block(lambda: Text(str(1 // 0)), console, redraws=4)
    assert shown(block, console).endswith("above\n")
    shown(block, console)
    assert len(caplog.records) == 1


def test_in_the_end_nothing_of_it_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread is real; what others write to stderr meanwhile stays, above it."""
    console = screen()
    before = sys.stderr
    block = Block(lambda: Text("block"), console, redraws=100)
    block.start()
    deadline = time.monotonic() + 10
    while "block" not in console.file.getvalue():  # type: ignore[attr-defined]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    print("by others", file=sys.stderr)
    block.stop()
    block.stop()
    assert sys.stderr is before
    text = re.sub("\x1b\\[[0-9?]*[a-zA-Z]", "", written(console))
    assert "by others\n" in text
    assert text.rstrip("\n\r").endswith("block\r") or "block" in text
    assert not text.endswith("block")
