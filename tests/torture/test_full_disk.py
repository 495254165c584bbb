"""A disk that is full, over quota, read-only or broken, at every single write of a batch.

The service and the clock are simulated; the failures come from the real kernel where it can be
brought to them, else from SQLite's and Python's own calls of the system (`failing.py`). The judge
is always the same: what was paid is known, nothing is paid twice, whoever runs the batch is told
where the trouble is and what to do, and with the disk healed the same batch comes to its end.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from seedance_async.cli.exits import Exit
from seedance_async.simulator import Simulator
from tests.batch.night import Night
from tests.session.scene import run
from tests.torture.diskbatch import (
    attempt,
    check_end,
    check_said,
    check_told,
    fill,
    foxes,
    given_up,
    mounted,
    remount,
    start,
    unwritten,
)
from tests.torture.failing import Disk, Failure, errors_of, reaches_sqlite
from tests.torture.judge import Figures, judge
from tests.torture.loopback import Loopback

IS_LONG: Final = "SEEDANCE_LONG" in os.environ

Tell = Callable[..., None]


# --- every write --------------------------------------------------------------------------


def count_writes(folder: Path) -> list[str]:
    """Return the writes of a batch that meets no trouble."""
    night, disk = Night(folder), Disk(folder)
    with disk.attached():
        assert not check_told(attempt(night, foxes(2)), night)
    shutil.rmtree(folder)
    return disk.writes


def failures(writes: list[str], chance: random.Random) -> Iterator[Failure]:
    """Yield how each write is to fail: in one way each that the seed chooses, or in all ways."""
    for at, what in enumerate(writes, 1):
        torn = (False, True) if what.startswith("write") else (False,)
        ways = [
            Failure(at, error, for_good=for_good, torn=half)
            for error in errors_of(what)
            for for_good in (False, True)
            for half in torn
        ]
        yield from ways if IS_LONG else [chance.choice(ways)]


KINDS: Final = (
    "create ledger.lock",
    "write ledger.lock",
    "create ledger.sqlite",
    "write ledger.sqlite",
    "sync ledger.sqlite",
    "create ledger.sqlite-wal",
    "write ledger.sqlite-wal",
    "sync ledger.sqlite-wal",
    "truncate ledger.sqlite-wal",
    "write ledger.sqlite-shm",
    "write ledger.staging",
    "rename errors.jsonl",
    "mkdir videos",
    "create fox-1.mp4.part",
    "write fox-1.mp4.part",
    "sync fox-1.mp4.part",
    "rename fox-1.mp4",
    "rename results.jsonl",
)
"""Without these, the disk would no longer stand between the product and its files."""


@pytest.mark.skipif(not reaches_sqlite(), reason="this SQLite's calls of the system are hidden")
def test_never_pays_twice_and_never_loses_what_was_paid_when_any_write_fails(
    place: Path, tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    """Each write in turn, once or for good: known, told, and done by the next run.

    One that fails once leaves no doubt at all. One that fails for good leaves a doubt for each id
    that was given up aloud, and where a sync failed: whether `submitting` is on the disk is then
    not known to anybody.
    """
    seed = int(os.environ.get("SEEDANCE_SEED", random.randrange(1 << 32)))
    chance = random.Random(seed)
    writes = count_writes(place / "out")
    assert set(KINDS) <= set(writes), set(KINDS) - set(writes)
    total, trials, told = Figures(), 0, 0
    for failure in failures(writes, chance):
        try:
            figures, was_told = _fail_once(place / "out", failure, caplog)
        except BaseException as error:
            error.add_note(f"SEEDANCE_SEED={seed}: {failure} ({writes[failure.at - 1]})")
            raise
        total += figures
        trials += 1
        told += was_told
    tell(total, seed=seed, writes=len(writes), trials=trials, told=told)
    assert told > trials / 2


def _fail_once(
    folder: Path, failure: Failure, caplog: pytest.LogCaptureFixture
) -> tuple[Figures, bool]:
    caplog.clear()
    night, disk, rows = Night(folder), Disk(folder), foxes(2)
    disk.fail(failure)
    with disk.attached():
        ended = attempt(night, rows)
    told = check_told(ended, night)
    unsure = len(rows) - 1 if failure.for_good and disk.refused[:1] == [_UNSURE] else 0
    allowed = len(unwritten(caplog)) + unsure if failure.for_good else 0
    figures, states = check_end(night, rows, allowed)
    assert states["downloaded"] + figures.doubts == len(rows) - 1
    shutil.rmtree(folder)
    return figures, told


_UNSURE: Final = "sync ledger.sqlite-wal"


# --- the real kernel, and SQLite's own limit -----------------------------------------------------


def _needed(point: Path) -> tuple[int, int]:
    """Return the pages and the files that a batch takes on a file system of its own."""
    most_pages = most_files = 0

    def look(_change: object) -> None:
        nonlocal most_pages, most_files
        found = os.statvfs(point)
        most_pages = max(most_pages, found.f_blocks - found.f_bfree)
        most_files = max(most_files, found.f_files - found.f_ffree)

    with mounted(point, "size=16m"):
        night = Night(point / "out")
        run(lambda: night.run(foxes(4), skip_invalid=True, on_change=look))
    return most_pages, most_files


@pytest.mark.parametrize("scarce", ["pages", "files"])
def test_never_loses_what_was_paid_on_a_file_system_that_is_full(
    scarce: str, tmp_path: Path, tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel itself says ENOSPC, wherever it is when its last page or file is taken."""
    point = tmp_path / "small"
    pages, files = _needed(point)
    most = pages if scarce == "pages" else files
    sizes = list(range(2, most + 1, 1 if IS_LONG else max(1, most // 12)))
    total, told = Figures(), 0
    for size in sizes:
        caplog.clear()
        option = f"size={size * os.sysconf('SC_PAGE_SIZE')}" if scarce == "pages" else "size=16m"
        with mounted(point, option, *([f"nr_inodes={size}"] if scarce == "files" else [])):
            night, rows = Night(point / "out"), foxes(4)
            told += check_told(attempt(night, rows), night)
            assert remount(point, "remount", "size=16m", "nr_inodes=1000")
            total += check_end(night, rows, len(unwritten(caplog)))[0]
    tell(total, sizes=len(sizes), told=told)
    assert told > len(sizes) / 2


def test_never_loses_what_was_paid_when_the_database_may_not_grow(
    place: Path, tell: Tell, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own SQLITE_FULL, at each size of the database that it could not exceed."""
    real = sqlite3.connect
    rows = foxes(25, " runs" * 80)

    def connect(limit: int, *arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = real(*arguments, **named)
        connection.execute(f"PRAGMA max_page_count = {limit}")
        return connection

    total, trials, told, limit = Figures(), 0, 0, 1
    while True:
        caplog.clear()
        night = Night(place / f"out-{limit}")
        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", partial(connect, limit))
            was_told = check_told(attempt(night, rows), night)
        total += check_end(night, rows, len(unwritten(caplog)))[0]
        trials, told = trials + 1, told + was_told
        if not was_told:
            break
        limit += 1 if IS_LONG else 5
    tell(total, trials=trials, told=told)
    assert told >= 4


def test_never_loses_what_was_paid_when_another_program_fills_the_disk(
    tmp_path: Path, tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel's ENOSPC at any step of a run: after each change that a row may go through."""
    point, rows = tmp_path / "shared", foxes(3)
    total, steps, told = Figures(), 0, 0
    while True:
        caplog.clear()
        seen = 0

        def fill_at_last(_change: object) -> None:
            nonlocal seen
            seen += 1
            if seen == steps + 1:  # noqa: B023  it is called in this round only
                fill(point)

        with mounted(point, "size=16m"):
            night = Night(point / "out")
            ended = attempt(night, rows, on_change=fill_at_last)
            if seen <= steps:
                break
            told += check_told(ended, night)
            (point / "ballast").unlink()
            total += check_end(night, rows, len(unwritten(caplog)))[0]
        steps += 1 if IS_LONG else 2
    tell(total, steps=steps, told=told)
    assert told >= 3


# --- the command ---------------------------------------------------------------------------------


@contextmanager
def limited(folder: Path, size: int) -> Iterator[dict[str, Any]]:
    """Let no file of a command grow beyond a size; Python turns the kernel's signal to EFBIG."""
    resource = pytest.importorskip("resource")
    folder.mkdir(exist_ok=True)
    limits = size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    yield {"preexec_fn": partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits)}


@contextmanager
def read_only(folder: Path) -> Iterator[dict[str, Any]]:
    """Make a folder that nobody may write to: by its rights, or for root by its file system."""
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield {}
        folder.chmod(0o755)
        return
    with mounted(folder, "ro"):
        yield {}


@contextmanager
def taken(folder: Path) -> Iterator[dict[str, Any]]:
    """Put a file where the folder belongs."""
    folder.write_text("mine")
    yield {}
    folder.unlink()


TROUBLES: Final[dict[str, Callable[[Path], AbstractContextManager[dict[str, Any]]]]] = {
    "no ledger can be made": partial(limited, size=20_000),
    "the ledger cannot grow": partial(limited, size=140_000),
    "read-only": read_only,
    "a file": taken,
}


@pytest.mark.skipif(os.name != "posix", reason="limits and rights of POSIX")
@pytest.mark.parametrize("trouble", TROUBLES)
def test_never_lies_the_command_ends_with_73_names_the_folder_and_goes_on(
    trouble: str, tmp_path: Path, tell: Tell
) -> None:
    """In a process of its own, on the real clock: what a person at a terminal sees."""
    folder, manifest = tmp_path / "out", tmp_path / "foxes.jsonl"
    manifest.write_text("".join(f"{json.dumps(fields)}\n" for fields in foxes(8)[:-1]))
    words = ["batch", str(manifest), "--out", str(folder), "--yes", "--poll-interval", "0.1"]
    simulator, loopback = Simulator(seed=7, speed=1000.0), Loopback()
    try:
        with loopback.serve(simulator):
            with TROUBLES[trouble](folder) as how:
                first = start(simulator.public_url, *words, **how)
                said = first.communicate()[1]
            assert first.returncode == Exit.UNWRITABLE, said
            check_said(said, folder)
            assert "Traceback" not in said
            allowed = len(given_up(said))
            again = start(simulator.public_url, *words)
            said = again.communicate()[1]
            figures = judge(folder, loopback.books(simulator), posts_under_way=allowed)
            assert again.returncode == (Exit.PERSON if figures.doubts else Exit.OK), said
    finally:
        loopback.close()
    tell(figures)
