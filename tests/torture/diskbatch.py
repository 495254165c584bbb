"""A batch on a disk in trouble: run, judged, healed, and run to its end."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from seedance_async import LedgerError, ProFastTextToVideo, SeedanceError
from seedance_async.batch.report import BatchReport
from seedance_async.cli.batchexit import batch_exit
from seedance_async.cli.exits import Exit
from tests.batch.night import Night
from tests.session.scene import run
from tests.torture.judge import Figures, judge

__all__ = [
    "attempt",
    "check_end",
    "check_said",
    "check_told",
    "fill",
    "foxes",
    "given_up",
    "in_memory",
    "mounted",
    "remount",
    "start",
    "unwritten",
]

_TOKEN: Final = "simulator-token"
_LIMIT: Final = 24 * 3600.0
"""Seconds of virtual time after which a run counts as hanging."""
_MEMORY: Final = Path("/dev/shm")
_PATIENCE: Final = 60.0
"""Seconds after which a process counts as hanging."""
_ADVICE: Final = re.compile(r"[Ff]ree space|[Mm]end |[Uu]se another|[Rr]emove |name a folder")

Ended: TypeAlias = BatchReport | SeedanceError


@contextmanager
def in_memory(otherwise: Path) -> Iterator[Path]:
    """Make an empty folder, in memory where there is such a disk, for thousands of syncs."""
    if not os.access(_MEMORY, os.W_OK):
        yield otherwise
        return
    with tempfile.TemporaryDirectory(dir=_MEMORY) as name:
        yield Path(name)


def foxes(number: int, padding: str = "") -> list[dict[str, Any]]:
    """Return rows, and one that breaks the rules, so that there is an errors.jsonl."""
    model = ProFastTextToVideo.model_id
    rows: list[dict[str, Any]] = [
        {"key": f"fox-{n}", "model": model, "text": f"fox {n}{padding}", "resolution": "480p"}
        for n in range(1, number + 1)
    ]
    return [*rows, {"key": "no fox"}]


def attempt(night: Night, rows: list[dict[str, Any]], **wishes: Any) -> Ended:
    """Run the batch as it goes, within a bounded time; a refusal is returned."""

    async def main() -> Ended:
        try:
            async with asyncio.timeout(_LIMIT):
                return await night.run(rows, skip_invalid=True, **wishes)
        except SeedanceError as error:
            return error

    return run(main)


def unwritten(caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    """Return the jobs of which the log says last that their id could not be written, by key."""
    ids: dict[str, str] = {}
    for record in caplog.records:
        text = record.getMessage()
        if record.levelno == logging.CRITICAL:
            ids |= given_up(text)
        elif text.endswith("is in the journal now"):
            written = text.split()[1]
            ids = {key: job for key, job in ids.items() if job != written}
    return ids


def check_told(ended: Ended, night: Night) -> bool:
    """Return whether a run says that the disk is in trouble; assert that it does so usefully."""
    if isinstance(ended, SeedanceError):
        assert isinstance(ended, LedgerError), repr(ended)
        told = [str(ended)]
    elif batch_exit(ended) == Exit.UNWRITABLE:
        told = [ended.stop.message] if ended.stop else []
        told += [ended.storage_trouble] if ended.storage_trouble else []
    else:
        assert batch_exit(ended) == Exit.FAILED, ended  # one row is invalid, the others are over
        assert set(run(night.states).values()) == {"downloaded"}
        assert {line["state"] for line in night.results()} == {"downloaded", "invalid"}
        return False
    assert told
    for text in told:
        check_said(text, night.folder)
    return True


def check_said(text: str, folder: Path) -> None:
    """Assert that a text names the folder in trouble, and what to do."""
    assert str(folder) in text, text
    assert _ADVICE.search(text), text


def check_end(
    night: Night, rows: list[dict[str, Any]], posts_under_way: int
) -> tuple[Figures, Counter[str]]:
    """Run the batch on a disk that is well, and assert that it comes to its just end."""
    ended = attempt(night, rows)
    assert isinstance(ended, BatchReport), ended
    figures = judge(night.folder, night.simulator.books, posts_under_way=posts_under_way)
    states = run(night.states)
    wanted = Exit.PERSON if figures.doubts else Exit.FAILED
    assert batch_exit(ended) == wanted, (ended, states)
    assert set(states.values()) <= {"downloaded", "in_doubt"}, states
    results = {line["key"]: line["state"] for line in night.results()}
    assert results == {**states, "no fox": "invalid"}
    problems = (night.folder / "errors.jsonl").read_text().splitlines()
    assert {json.loads(line)["key"] for line in problems} == {"no fox"}
    assert not list(night.folder.rglob("*.part"))
    assert not list(night.folder.glob("ledger.staging*"))
    return figures, Counter(states.values())


@contextmanager
def mounted(point: Path, *options: str) -> Iterator[None]:
    """Mount a file system in memory; skip where that is not allowed."""
    point.mkdir(exist_ok=True)
    if not remount(point, *options):
        pytest.skip("no file system can be mounted here (it takes root)")
    try:
        yield
    finally:
        subprocess.run(["umount", str(point)], check=True)


def remount(point: Path, *options: str) -> bool:
    """Mount a file system, or give the one that is there other options; False if not allowed."""
    if shutil.which("mount") is None:
        return False
    words = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(point)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def fill(point: Path) -> None:
    """Take all that is left of a file system, as a program would that knows nothing of ours."""
    with (point / "ballast").open("wb", buffering=0) as file:
        for size in (4096, 512, 1):
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                while True:
                    file.write(bytes(size))


def start(base_url: str, *words: str, **how: Any) -> subprocess.Popen[str]:
    """Start a command in a process of its own; it is killed if it never ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "seedance_async", *words],
        env={
            **os.environ,
            "RUNCOMFY_MODEL_API_BASE": base_url,
            "RUNCOMFY_TOKEN": _TOKEN,
            "COVERAGE_PROCESS_START": "",  # its own file would meet the full disk as well
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )
    guard = threading.Timer(_PATIENCE, process.kill)
    guard.daemon = True
    guard.start()
    return process


def given_up(said: str) -> dict[str, str]:
    """Return the jobs whose id a command said it could not write: the ids by the rows' keys."""
    found = re.findall(r"job (\S+) \((\S+)\) was accepted, but its id could not be written", said)
    return {key: request_id for request_id, key in found}
