"""Ctrl-C in three stages, with real signals to real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .processes import (
    DEADLINE,
    WATCHED,
    command,
    finish,
    guard,
    job_file,
    simulation,
    start,
    until,
    until_state,
)

FOX = ("generate", "pro-fast", "--prompt", "A red fox", "-o", "fox.mp4", "--yes")

DETACHED = {"submitted", "timed_out"}
"""Not over, and to be come back to: whether the session wrote its detaching down or not."""

QUICK = ("--poll-interval", "0.1")


def interrupt(process: subprocess.Popen[str], number: int = signal.SIGINT) -> str:
    """Send a signal and wait for what the command says to it; return its lines until then."""
    process.send_signal(number)
    assert process.stderr is not None
    seen = ""
    while "interrupted:" not in (line := process.stderr.readline()):
        assert line, seen
        seen += line
    return line


def until_says(process: subprocess.Popen[str], words: str) -> None:
    """Wait until the command says it: its own view counts, the job file is ahead of it."""
    assert process.stderr is not None
    while words not in (line := process.stderr.readline()):
        assert line, f"it ended without saying {words!r}"


def test_once_it_waits_on_and_downloads() -> None:
    """What is paid is not thrown away; 130 all the same, so that a chain of commands stops."""
    with simulation("--speed", "10") as running:
        process = start(*FOX, *QUICK, **running.environment)
        until_says(process, "accepted: job")
        said = interrupt(process)
        assert "may be billed" in said
        assert "seedance-async wait fox.mp4.job.json" in said
        done = finish(process)
        assert (done.code, done.out) == (130, "fox.mp4\n")
        assert job_file("fox.mp4.job.json")["state"] == "downloaded"
        assert running.books()["cancelled"] == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_twice_it_leaves_a_running_job(number: int, code: int) -> None:
    """In progress it cannot be cancelled: detached, and `wait` comes back to it."""
    with simulation("--speed", "8") as running:
        process = start(*FOX, *QUICK, **running.environment)
        until_says(process, "in progress")
        interrupt(process, number)
        assert "comes back to it" in interrupt(process, number)
        assert finish(process).code == code
        assert job_file("fox.mp4.job.json")["state"] in DETACHED
        assert command("wait", "fox.mp4.job.json", *QUICK, **running.environment).code == 0
        books = running.books()
        assert (books["accepted"], books["cancelled"]) == (1, 0)


def test_twice_it_cancels_a_queued_job() -> None:
    """Nothing has begun, so the money comes back; the server says so before the file does."""
    with simulation("--speed", "1", "--capacity", "1") as running:
        other = start(*FOX[:-3], "-o", "other.mp4", "--yes", **running.environment)
        until_state("other.mp4.job.json", "submitted")
        process = start(*FOX, *QUICK, **running.environment)
        until_says(process, "accepted: job")
        interrupt(process)
        assert "cancelling" in interrupt(process)
        assert finish(process).code == 130
        assert job_file("fox.mp4.job.json")["state"] == "cancelled"
        other.kill()
        finish(other)
        assert running.books()["cancelled"] == 1


def test_three_times_it_leaves_at_once_with_the_job_file_intact() -> None:
    """Even while a cancel or a POST is under way: here the answer to the POST takes 5 s."""
    with simulation("--fault", "slow=1") as running:
        process = start(*FOX, **running.environment)
        until_state("fox.mp4.job.json", "submitting")
        assert "cannot be recalled" in interrupt(process)
        assert "leaving as soon as" in interrupt(process)
        process.send_signal(signal.SIGINT)
        done = finish(process)
        assert done.code == 130
        assert "in doubt" in done.err
        assert job_file("fox.mp4.job.json")["state"] == "submitting"
        assert command("wait", "fox.mp4.job.json", **running.environment).code == 76


def test_twice_during_the_post_it_leaves_with_the_id() -> None:
    """The answer is waited for, the id written down, the queued job cancelled or left."""
    with simulation("--fault", "slow,nth=1", "--speed", "1") as running:
        process = start(*FOX, **running.environment)
        until_state("fox.mp4.job.json", "submitting")
        interrupt(process)
        interrupt(process)
        assert finish(process).code == 130
        record = job_file("fox.mp4.job.json")
        assert record["state"] in {*DETACHED, "cancelled"}
        assert record["request_id"]


def test_before_anything_was_accepted_it_leaves_at_once() -> None:
    """Between two 429s nothing is under way: nothing is paid, and nothing more is sent."""
    with simulation("--fault", "429=1") as running:
        process = start(*FOX, **running.environment)
        until(lambda: bool(job_file("fox.mp4.job.json").get("error")))
        assert "nothing is paid" in interrupt(process)
        assert finish(process).code == 130
        assert job_file("fox.mp4.job.json")["state"] == "planned"
        assert running.books()["accepted"] == 0


def test_wait_leaves_at_the_first_one() -> None:
    """It holds nothing that could be lost; the job is not its own to cancel."""
    with simulation("--speed", "1") as running:
        process = start(*FOX, **running.environment)
        record = until_state("fox.mp4.job.json", "submitted")
        process.kill()
        finish(process)
        process = start("wait", record["request_id"], *QUICK, **running.environment)
        until_says(process, "in progress")
        assert f"seedance-async wait {record['request_id']}" in interrupt(process)
        assert finish(process).code == 130
        assert running.books()["cancelled"] == 0


def test_a_simulated_job_ends_with_its_process() -> None:
    """No promise is made that nobody could keep."""
    process = start(*FOX, "--simulate", "--speed", "1")
    until_says(process, "accepted: job")
    interrupt(process)
    interrupt(process)
    done = finish(process)
    assert done.code == 130
    assert command(*FOX, "--simulate", "--speed", "60").code == 0


def test_never_pays_after_an_interrupt_at_the_start() -> None:
    """From the command line's first import on, Ctrl-C is never swallowed, whenever it comes.

    The sleeps are real: they sweep over the start of a process, imports and all. The jobs last
    longer than any of them. Before that import Python itself starts, and no code of ours runs.
    """
    noted = 0
    with simulation("--speed", "8") as running:
        for step in range(10):
            path = f"fox-{step}.mp4"
            environment = running.environment | WATCHED
            process = start(*FOX[:5], path, "--yes", *QUICK, **environment)
            assert process.stderr is not None
            assert process.stderr.readline() == "ready\n"
            time.sleep(0.05 * step)
            process.send_signal(signal.SIGINT)
            done = finish(process)
            assert done.code == 130, done.err
            assert "Exception ignored" not in done.err
            assert "Traceback" not in done.err
            if Path(f"{path}.job.json").exists():
                noted += job_file(f"{path}.job.json")["request_id"] is not None
        assert running.books()["accepted"] == noted


def test_three_times_leaves_though_nobody_reads_what_it_says() -> None:
    """With the terminal gone its last words cannot be written, and the exit code is the same."""
    with simulation("--fault", "slow=1") as running:
        process = start(*FOX, **running.environment)
        until_state("fox.mp4.job.json", "submitting")
        interrupt(process)
        interrupt(process)
        assert process.stderr is not None
        process.stderr.close()
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(DEADLINE) == 130
        assert job_file("fox.mp4.job.json")["state"] == "submitting"  # it waited for nothing


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")
@pytest.mark.parametrize("interrupted", [True, False])
def test_a_closed_terminal_is_no_bug(interrupted: bool) -> None:
    """What is to be printed can go nowhere; the code is the signal's, if one came."""
    import pty

    ours, its = pty.openpty()
    words = ("simulate", "--port", "0") if interrupted else ("models",)
    if not interrupted:
        os.close(ours)
    process = subprocess.Popen(
        [sys.executable, "-m", "seedance_async", *words],
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | WATCHED,
    )
    guard(process)
    os.close(its)
    if interrupted:
        told = b""
        while not told.endswith(b"prints its books.\r\n"):
            told += os.read(ours, 1000)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
    done = finish(process)
    assert done.code == (128 + signal.SIGHUP if interrupted else 73)
    assert done.err.splitlines()[-1] == "error: the output cannot be written: Input/output error"
