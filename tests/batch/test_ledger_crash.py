"""What a crash leaves: everything that was acknowledged, and a ledger that opens.

Real processes, disks and time: virtual time cannot kill a process.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from seedance_async import LedgerError
from seedance_async.batch.entries import StagedRow
from tests.batch.ledgers import ORIGIN, entries, fox, opened, plan, staged, states, submit
from tests.session.scene import run

ROOT = Path(__file__).parents[2]

WRITE = """
import asyncio, os, sys
from pathlib import Path
from seedance_async.batch.ledger import Ledger
from tests.batch.ledgers import ORIGIN, fox, succeeded

def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

async def one(ledger, keys):
    for key in keys:
        say("began", key)
        await ledger.submitting(key, fox())
        say("submitting", key)
        await ledger.accepted(key, f"id-{key}")
        say("submitted", key)
        await ledger.finished(key, succeeded(f"id-{key}"))
        say("succeeded", key)

async def main():
    async with await Ledger.open(Path(sys.argv[1]), origin=ORIGIN) as ledger:
        say("open")
        keys = iter([row.key for row in await ledger.next_planned(20_000)])
        await asyncio.gather(*(one(ledger, keys) for _ in range(8)))
asyncio.run(main())
"""

STEPS = ["began", "submitting", "submitted", "succeeded"]


def plan_many(folder: Path) -> None:
    def rows() -> list[StagedRow]:
        return [staged(line, f"k{line}") for line in range(1, 20_001)]

    async def main() -> None:
        async with await opened(folder) as ledger:
            await ledger.draft.stage(rows())
            await ledger.plan()

    run(main)


def killed(folder: Path, after: int) -> dict[str, str]:
    """Let a process write, kill it after so many words, and return the last word on each row."""
    told: dict[str, str] = {}
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, str(folder)], stdout=subprocess.PIPE, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        for number, line in enumerate(child.stdout):
            if number == after:
                child.kill()
            word, *key = line.decode().split()
            if key:
                told[key[0]] = word
    return told


def test_never_loses_what_was_paid_after_kill_9(tmp_path: Path) -> None:
    """Each row is where it was said to be, or one step on: at most eight were under way."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    plan_many(tmp_path)
    certain: dict[str, str] = {}

    async def judge(told: dict[str, str]) -> None:
        async with await opened(tmp_path, ORIGIN) as ledger:
            found = await states(ledger)
        under_way = 0
        for key, word in told.items():
            next_one = STEPS[min(STEPS.index(word) + 1, 3)]
            allowed = {word, next_one}
            expected = {{"began": "planned", "submitting": "in_doubt"}.get(w, w) for w in allowed}
            assert found[key] in expected, (seed, key, word, found[key])
            under_way += found[key] == "in_doubt"
        assert under_way <= 8
        for key, state in certain.items():
            assert found[key] == state
        certain.update({key: found[key] for key in told if found[key] != "planned"})

    for _ in range(5):
        told = killed(tmp_path, chance.randrange(1, 3000))
        run(lambda told=told: judge(told))  # type: ignore[misc]


def test_a_torn_log_opens_with_what_came_before(tmp_path: Path) -> None:
    """A power failure may cut or garble the end of the log: whole commits before it count."""
    chance = random.Random(7)
    folder = tmp_path / "out"

    async def write() -> None:
        async with await opened(folder) as ledger:
            await plan(ledger, "abcdefgh")
            for key in "abcdefgh":
                await submit(ledger, key)
            for number in range(20):
                copy = tmp_path / f"copy{number}"
                shutil.copytree(folder, copy)

    async def look(copy: Path) -> None:
        async with await opened(copy) as ledger:
            found = list((await states(ledger)).values())
            assert found == sorted(found, key=["submitted", "in_doubt", "planned"].index)
            assert found.count("in_doubt") <= 1
            for entry in (await entries(ledger)).values():
                assert (entry.state == "submitted") == (entry.request_id is not None)
            for row in await ledger.next_planned(1):
                await ledger.submitting(row.key, fox())

    run(write)
    lengths = set()
    for copy in sorted(tmp_path.glob("copy*")):
        log = copy / "ledger.sqlite-wal"
        (copy / "ledger.sqlite-shm").unlink()
        whole = log.read_bytes()
        cut = chance.randrange(len(whole))
        log.write_bytes(whole[:cut] + chance.choice([b"", os.urandom(100), bytes(5000)]))
        lengths.add(cut)
        run(lambda copy=copy: look(copy))  # type: ignore[misc]
    assert len(lengths) == 20


FULL = """
import asyncio, resource, sys
from pathlib import Path
from seedance_async import LedgerError
from seedance_async.batch.ledger import Ledger
from tests.batch.ledgers import ORIGIN, fox

async def main():
    folder = Path(sys.argv[1])
    async with await Ledger.open(folder, origin=ORIGIN) as ledger:
        keys = [row.key for row in await ledger.next_planned(20_000)]
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        size = (folder / "ledger.sqlite-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, hard))
        written = 0
        try:
            for key in keys:
                await ledger.submitting(key, fox())
                written += 1
            raise SystemExit("the disk was never full")
        except LedgerError as error:
            print(error)
        refused = await asyncio.gather(
            *(ledger.submitting(key, fox()) for key in keys[-5:]), return_exceptions=True
        )
        assert all(isinstance(error, LedgerError) for error in refused), refused
        counts = await ledger.counts()
        assert counts["submitting"] == written, (counts, written)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await ledger.submitting(keys[written], fox())
        assert (await ledger.counts())["submitting"] == written + 1
        print("went on after", written)
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is POSIX's")
def test_a_full_disk_stops_submitting_and_nothing_that_was_told_is_lost(tmp_path: Path) -> None:
    """A real write fails: nobody is told that it is written, and with space it goes on."""
    plan_many(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "Free space on the disk, then run the same command again" in done.stdout
    assert "went on after" in done.stdout


def test_two_processes_on_one_folder(tmp_path: Path) -> None:
    """The second is told who holds it, whoever comes after a kill is let in."""
    plan_many(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"

        async def refused() -> None:
            with pytest.raises(LedgerError, match=f"in use by process {child.pid} on"):
                await opened(tmp_path)

        run(refused)
        child.kill()
        child.stdout.read()
        child.wait()

    async def let_in() -> None:
        await (await opened(tmp_path)).aclose()

    run(let_in)
    check = sqlite3.connect(tmp_path / "ledger.sqlite")
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()
