"""`batch` as a person runs it: real signals, a terminal that is asked, rows on standard input."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from seedance_async.cli.app import run

from .folders import states
from .processes import (
    DEADLINE,
    Finished,
    Simulation,
    command,
    finish,
    guard,
    simulation,
    start,
    until,
)

MANIFEST = Path("films.jsonl")
RUN = Path("run")
BATCH = ("batch", "films.jsonl", "--out", "run", "--poll-interval", "0.1", "--yes")
AGAIN = f"`seedance-async {' '.join(BATCH)}`"


def write(number: int) -> None:
    rows = ({"key": f"r{n}", "model": "pro-fast", "text": f"take {n}"} for n in range(number))
    MANIFEST.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def until_says(process: subprocess.Popen[str], words: str) -> str:
    """Read on until the command says it, and return that line."""
    assert process.stderr is not None
    while words not in (line := process.stderr.readline()):
        assert line, f"it ended without saying {words!r}"
    return line


def interrupt(process: subprocess.Popen[str], number: int = signal.SIGINT) -> str:
    process.send_signal(number)
    return until_says(process, "interrupted:")


# --- interrupts ----------------------------------------------------------------------------


def test_once_it_waits_for_what_runs() -> None:
    """Nothing more is submitted, what runs is downloaded, and the same command goes on."""
    write(5)
    with simulation("--speed", "25") as running:
        process = start(*BATCH, "--max-in-flight", "2", **running.environment)
        until_says(process, "in progress")
        said = interrupt(process)
        assert "no more is submitted" in said
        assert "may be billed whether or not anybody waits" in said
        until_says(process, "rows")
        assert "committed  $0." in until_says(process, "running")
        assert "not spent  $0." in until_says(process, "in doubt")
        until_says(process, "Again: cancel what is still queued")
        assert f"  {AGAIN[1:-1]} --max-in-flight 2" in until_says(process, "seedance-async batch")
        done = finish(process)
        assert done.code == 130
        last = f"{AGAIN[:-1]} --max-in-flight 2` goes on"
        assert done.err.splitlines()[-1].endswith(last)
        assert set(states(RUN).values()) == {"downloaded", "planned"}
        assert command(*BATCH, **running.environment).code == 0
        assert set(states(RUN).values()) == {"downloaded"}
        books = running.books()
        assert (books["submissions"], books["paid_twice"]) == (5, [])


def test_twice_it_cancels_and_leaves() -> None:
    """One job runs, which is left; the others wait in the queue and are cancelled."""
    write(4)
    with simulation("--speed", "3", "--capacity", "1") as running:
        process = start(*BATCH, "--max-in-flight", "3", **running.environment)
        until_says(process, "in progress")
        interrupt(process, signal.SIGTERM)
        interrupt(process, signal.SIGTERM)
        assert "3  committed" in until_says(process, "running")
        until_says(process, "A third time: leave at once")
        done = finish(process)
        assert done.code == 143
        found = sorted(states(RUN).values())
        assert found.count("planned") >= 1
        assert found.count("cancelled") >= 1
        assert {"submitted", "timed_out"} & set(found)
        assert "--retry cancelled`" in done.err
        assert "goes on" in done.err.splitlines()[-1]
        assert (RUN / "results.jsonl").is_file()
        books = running.books()
        assert (books["cancelled"], books["paid_twice"]) == (found.count("cancelled"), [])


def test_three_times_it_leaves_at_once() -> None:
    """A POST under way is in doubt then, and its last words say what to do."""
    write(2)
    with simulation("--fault", "slow=1") as running:
        process = start(*BATCH, "--price", "0.05", **running.environment)
        until_says(process, "submitting")
        interrupt(process)
        interrupt(process)
        process.send_signal(signal.SIGINT)
        done = finish(process)
        assert done.code == 130
        assert done.err.splitlines()[-1].endswith("--price 0.05` goes on")
        assert "the ledger is intact" in done.err
        assert "are in doubt: `seedance-async resolve run`" in done.err
        table = done.err[done.err.index("left at once") :]
        assert "running     0  committed  $0.50" in table
        assert "in doubt    2" in table
        assert "submitting" in states(RUN).values()
    assert run(["resolve", "run"]) == 76


# --- the terminal --------------------------------------------------------------------------


class Seat:
    """A person at a terminal of a command whose standard input may be a file."""

    def __init__(self, *arguments: str, rows: bytes | None = None, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        # The command's own session, so that the terminal is its own and Ctrl-C comes from it.
        code = (
            "import fcntl, os, sys, termios; os.setsid();"
            "fcntl.ioctl(2, termios.TIOCSCTTY, 0);"
            "os.execv(sys.executable, [sys.executable, '-m', 'seedance_async', *sys.argv[1:]])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=theirs if rows is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, **environment},
        )
        guard(self.process)
        os.close(theirs)
        if rows is not None:
            assert self.process.stdin is not None
            self.process.stdin.write(rows)
            self.process.stdin.close()
            self.process.stdin = None
        self.shown = ""

    def type(self, text: str, *, at: str = "[y/N]") -> None:
        """Wait for a prompt and answer it."""
        while at not in self.shown:
            self.shown += os.read(self._ours, 4096).decode(errors="replace")
        os.write(self._ours, text.encode())

    def leave(self) -> Finished:
        """Wait for the end; what is shown must be taken away, or the command could not write."""
        try:
            while shown := os.read(self._ours, 4096):
                self.shown += shown.decode(errors="replace")
        except OSError:  # the other side is closed
            pass
        out, _ = self.process.communicate(timeout=DEADLINE)
        os.close(self._ours)
        return Finished(self.process.returncode, out.decode(), self.shown)


ASKED = BATCH[:-1]


@pytest.mark.parametrize(
    ("answer", "code", "submitted"), [("y\n", 0, 1), ("\n", 64, 0), ("\x03", 130, 0)]
)
def test_consent_on_a_terminal(
    answer: str, code: int, submitted: int, simulated: Simulation
) -> None:
    """Only a yes spends; Ctrl-C at the question leaves with nothing sent."""
    write(1)
    seat = Seat(*ASKED)
    seat.type(answer)
    done = seat.leave()
    assert done.code == code, done.err
    assert "This submits up to 1 paid generation on http://127.0.0.1" in done.err
    assert ("nothing was submitted" in done.err) is (code == 130)
    assert simulated.books()["submissions"] == submitted
    assert states(RUN) == {"r0": "downloaded" if submitted else "planned"}


def test_rows_on_standard_input_leave_the_terminal_for_the_question(
    simulated: Simulation,
) -> None:
    """The manifest is data, so the terminal itself is asked."""
    write(2)
    seat = Seat("batch", "-", "--out", "run", *BATCH[4:6], rows=MANIFEST.read_bytes())
    seat.type("y\n")
    done = seat.leave()
    assert (done.code, done.out) == (0, "run/results.jsonl\n"), done.err
    assert "standard input: 2 rows, 2 new" in done.err
    assert set(states(RUN).values()) == {"downloaded"}


def test_rows_on_standard_input_without_a_terminal_are_refused(simulated: Simulation) -> None:
    """Nobody can be asked, nothing is sent."""
    write(1)
    with MANIFEST.open() as rows:
        done = subprocess.run(
            [sys.executable, "-m", "seedance_async", "batch", "-", "--out", "run"],
            stdin=rows,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            start_new_session=True,
            check=False,
        )
    assert done.returncode == 64
    assert "add --yes to spend" in done.stderr
    assert simulated.books()["submissions"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_the_manifest_is_read_leaves_nothing_half_done(number: int) -> None:
    """The code is the signal's, the last line names the command, and no staging file stays."""
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("ignored where the tests run, as under nohup")
    rows = (f'{{"model": "pro-fast", "text": "take {take}"}}\n' for take in range(300_000))
    Path("many.jsonl").write_text("".join(rows))
    process = start("batch", "many.jsonl", "--out", "run", "--json", RUNCOMFY_TOKEN="x")
    until(Path("run/ledger.staging").exists)
    process.send_signal(number)
    ended = finish(process)
    assert ended.code == 128 + number
    assert ended.err.splitlines()[-1] == (
        "interrupted: nothing was submitted. `seedance-async batch many.jsonl --out run --json` "
        "goes on"
    )
    assert ended.json["exit_code"] == ended.code
    assert not list(Path("run").glob("ledger.staging*"))
    assert not Path("run/ledger.sqlite-wal").exists()


# --- a manifest that arrives as it is written ----------------------------------------------

ROW = b'{"model": "pro-fast", "text": "a fox"}\n'
ARRIVING = Path("arriving.jsonl")


@contextmanager
def nobody_writes() -> Iterator[None]:
    """Nobody has opened the FIFO yet: opening it waits."""
    yield


@contextmanager
def somebody_writes() -> Iterator[None]:
    """One row came and more may come: reading it waits."""
    with ARRIVING.open("r+b", buffering=0) as fifo:
        fifo.write(ROW)
        yield


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("writing", [nobody_writes, somebody_writes])
def test_one_signal_leaves_a_fifo_that_may_never_end(
    writing: Callable[[], AbstractContextManager[None]], number: int
) -> None:
    """At once, with its code and the command that goes on, whatever the other side does."""
    os.mkfifo(ARRIVING)
    with writing():
        process = start("batch", str(ARRIVING), "--out", "run", RUNCOMFY_TOKEN="x")
        until(Path("run/ledger.staging").exists)
        process.send_signal(number)
        ended = finish(process)
    assert ended.code == 128 + number
    assert ended.err == (
        f"interrupted: nothing was submitted. `seedance-async batch {ARRIVING} --out run` goes on\n"
    )
    assert not list(Path("run").glob("ledger.staging*"))
    assert not Path("run/ledger.sqlite-wal").exists()


@pytest.mark.parametrize("typed", [b"", ROW], ids=["nothing typed", "a row typed"])
def test_ctrl_c_leaves_a_manifest_that_is_typed(typed: bytes) -> None:
    """Once is enough, on a terminal that nobody closes."""
    seat = Seat("batch", "-", "--out", "run", RUNCOMFY_TOKEN="x")
    until(Path("run/ledger.staging").exists)
    seat.type(f"{typed.decode()}\x03", at="")
    done = seat.leave()
    assert done.code == 130, done.err
    assert "nothing was submitted. `seedance-async batch - --out run < ROWS" in done.err


def test_an_error_is_told_in_json_too() -> None:
    Path("bad.jsonl").write_text('{"model": "pro-fast"}\n')
    ended = command("batch", "bad.jsonl", "--out", "run", "--json")
    assert ended.code == ended.json["exit_code"] == 65
    assert "1 error in 1 row" in ended.json["error"]
