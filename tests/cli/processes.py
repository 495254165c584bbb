"""Real processes: commands that are started, watched, interrupted and killed.

Time is real here, for signals and sockets are; nothing sleeps for long, conditions are polled.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

DEADLINE = 60.0
"""Seconds after which a condition counts as never coming true."""

WATCHED = {
    "PYTHONPATH": str(Path(__file__).parent / "startup"),
    "COVERAGE_PROCESS_START": "",  # its own start imports, and swallows what interrupts it
}
"""The environment of a process that says `ready` when it begins to import the command line."""

_started: list[subprocess.Popen[Any]] = []


def guard(process: subprocess.Popen[Any]) -> None:
    """Kill a process that outlives the deadline by far, so that no read of it hangs for ever."""
    _started.append(process)
    timer = threading.Timer(3 * DEADLINE, process.kill)
    timer.daemon = True
    timer.start()


def kill_leftovers() -> None:
    """End what a failed test left running."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command with both outputs captured."""
    process = subprocess.Popen(
        [sys.executable, "-m", "seedance_async", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    guard(process)
    return process


@attrs.frozen
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def finish(process: subprocess.Popen[str]) -> Finished:
    out, err = process.communicate(timeout=DEADLINE)
    return Finished(process.returncode, out, err)


def command(*arguments: str, **environment: str) -> Finished:
    """Run a command to its end."""
    return finish(start(*arguments, **environment))


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition on the real clock, for another process brings it about."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def job_file(path: str | Path) -> dict[str, Any]:
    """Read a job file; empty while there is none. It is replaced as a whole, so never torn."""
    try:
        document: dict[str, Any] = json.loads(Path(path).read_text())
    except FileNotFoundError:
        return {}
    return document


def until_state(path: str | Path, state: str) -> dict[str, Any]:
    until(lambda: job_file(path).get("state") == state)
    return job_file(path)


@attrs.define
class Simulation:
    """A running `simulate`."""

    process: subprocess.Popen[str]
    base_url: str

    @property
    def environment(self) -> dict[str, str]:
        return {"RUNCOMFY_MODEL_API_BASE": self.base_url, "RUNCOMFY_TOKEN": "simulator-token"}

    def books(self) -> dict[str, Any]:
        """End it as a person would, and return the books that it prints."""
        self.process.send_signal(signal.SIGINT)
        ended = finish(self.process)
        assert ended.code == 0, ended.err
        books: dict[str, Any] = ended.json
        return books


@contextmanager
def simulation(*arguments: str) -> Iterator[Simulation]:
    process = start("simulate", "--port", "0", "--json", *arguments)
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        yield Simulation(process, first.split()[2].rstrip(","))
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
