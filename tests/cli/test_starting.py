"""An interrupt in the middle of an import, where Python loses it: nothing is paid after it."""

import io
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from seedance_async.batch.runner import Wishes
from seedance_async.cli.app import run
from seedance_async.cli.batchrun import BatchRun
from seedance_async.cli.dropped import Dropped
from seedance_async.cli.interrupts import Unwelcome
from seedance_async.cli.spending import ask
from seedance_async.simulator import Simulator
from seedance_async.testing import SimulatorServer, running_simulator

from .folders import states
from .processes import WATCHED, Finished, command

COMMANDS: Final = {
    "generate": ("generate", "pro-fast", "--prompt", "A fox", "-o", "fox.mp4", "--yes"),
    "batch": ("batch", "films.jsonl", "--out", "run", "--yes"),
}


@pytest.fixture
def service() -> Iterator[SimulatorServer]:
    """Its jobs last longer than any start of a command."""
    with running_simulator(Simulator(speed=8)) as server:
        yield server


def interrupted_in(
    module: str, name: str, service: SimulatorServer, *, by: signal.Signals, lost: str
) -> Finished:
    """Run a paid command and interrupt it where a module is imported."""
    Path("films.jsonl").write_text('{"model": "pro-fast", "text": "A fox"}\n')
    cut = {"INTERRUPT_AT": module, "INTERRUPT_BY": str(int(by)), "INTERRUPT_LOST": lost}
    return command(*COMMANDS[name], **service.environ | WATCHED | cut)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("generate", "cyclopts"),
        ("generate", "seedance_async.cli.generate"),
        ("generate", "seedance_async.cli.jobfile"),
        ("batch", "seedance_async.cli.batch"),
    ],
)
def test_never_pays_after_an_interrupt_in_an_import_of_the_command(
    name: str, module: str, by: signal.Signals, service: SimulatorServer
) -> None:
    """Even code that catches everything cannot swallow it: the process leaves at once."""
    ended = interrupted_in(module, name, service, by=by, lost="caught")
    assert ended.err.splitlines()[-2:] == [
        "interrupted in an import",
        "interrupted: nothing was paid",
    ]
    assert (ended.code, ended.out) == (128 + by, "")
    assert not service.books.accepted


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("generate", "seedance_async.cli.connection"),
        ("generate", "seedance_async.images"),
        ("generate", "seedance_async.cli.errand"),
        ("generate", "seedance_async.http"),
        ("batch", "seedance_async.batch.planning"),
        ("batch", "sqlite3"),
        ("batch", "seedance_async.cli.batchrun"),
        ("batch", "aiohttp"),
        ("batch", "seedance_async.http"),
    ],
)
def test_never_pays_after_an_interrupt_that_a_callback_of_an_import_dropped(
    name: str, module: str, service: SimulatorServer
) -> None:
    """A command goes on importing while it reads and asks: before it pays, it leaves."""
    ended = interrupted_in(module, name, service, by=signal.SIGINT, lost="dropped")
    assert "interrupted in an import" in ended.err
    assert "Exception ignored" not in ended.err
    assert "Traceback" not in ended.err
    assert ended.code == 130, ended.err
    assert not service.books.accepted


def test_never_pays_after_an_interrupt_just_before_a_batch_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is made ready last is made while nobody waits for a signal yet."""
    real = BatchRun._wishes

    def interrupted(batch_run: BatchRun) -> Wishes:
        signal.raise_signal(signal.SIGINT)
        return real(batch_run)

    monkeypatch.setattr(BatchRun, "_wishes", interrupted)
    Path("films.jsonl").write_text('{"key": "fox", "model": "pro-fast", "text": "A fox"}\n')
    assert run([*COMMANDS["batch"], "--simulate", "--speed", "1000"]) == 130
    assert states(Path("run")) == {"fox": "planned"}


def test_a_dropped_interrupt_is_not_followed_by_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers who has left; each is heeded once."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("y\ny\n"))
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Dropped() as dropped:
        dropped.came = True
        with pytest.raises(KeyboardInterrupt):
            ask("This is paid.")
        ask("This is paid.")


@pytest.mark.skipif(sys.platform == "win32", reason="its shells ignore no signal")
def test_where_a_shell_ignores_interrupts_the_others_are_heeded_still() -> None:
    """`command &` in a script starts with SIGINT ignored; its `kill` must not be lost."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Unwelcome() as unwelcome, pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)
    assert unwelcome.code == 128 + signal.SIGTERM


@pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGHUP")
def test_a_terminal_that_closes_may_say_so_more_than_once() -> None:
    """What the first one began, such as removing what is half written, is not broken off."""
    closed = False
    with Unwelcome() as unwelcome:
        try:
            signal.raise_signal(signal.SIGHUP)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
            closed = True
    assert closed
    assert unwelcome.code == 128 + signal.SIGHUP
    with pytest.raises(KeyboardInterrupt):
        unwelcome.heed()  # whatever swallowed the first
