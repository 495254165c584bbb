"""A copy of the folder, taken while it ran: what it knows as submitted is not submitted again.

Real processes, files and time: what a copy holds depends on when each file was read.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.torture.ground import Ground, open_ground
from tests.torture.judge import Figures
from tests.torture.trial import copy_ledger, told

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the children are forked")

IS_LONG = "SEEDANCE_LONG" in os.environ


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with open_ground() as ground:
        yield ground


def copy_at_random(folder: Path, into: Path, chance: random.Random) -> None:
    """Copy a live ledger's files one after another, as a backup tool would that knows nothing."""
    into.mkdir()
    names = ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"][: chance.choice([2, 3])]
    chance.shuffle(names)
    for name in names:
        with suppress(FileNotFoundError):
            shutil.copy(folder / name, into)
        time.sleep(chance.choice([0.0, 0.03]))
    log = into / "ledger.sqlite-wal"
    if log.exists() and chance.random() < 0.3:
        os.truncate(log, chance.randrange(log.stat().st_size + 1))


def known_to(folder: Path) -> set[str]:
    """Return the keys that a copy knows as more than planned, in whatever of it can be read."""
    found: set[str] = set()
    with tempfile.TemporaryDirectory() as copy:
        copy_ledger(folder, Path(copy))
        for query in (
            "SELECT key FROM row WHERE state <> 'planned'",
            "SELECT key FROM attempt a JOIN row r ON r.id = a.row",
        ):
            with (
                suppress(sqlite3.Error),
                closing(sqlite3.connect(Path(copy) / "ledger.sqlite")) as connection,
            ):
                found.update(key for (key,) in connection.execute(query))
    return found


def test_never_pays_twice_for_what_a_copy_of_the_folder_knows(
    ground: Ground, tmp_path: Path, tell: Callable[..., None]
) -> None:
    """A copy opens or says that it is damaged; what it does not know is beyond any promise."""
    seed = int(os.environ.get("SEEDANCE_SEED") or random.randrange(1 << 32))
    chance = random.Random(seed)
    ends = Counter[str]()
    figures = Figures()
    for pages in [None, 1] * 15 if IS_LONG else [None, 1]:
        how: dict[str, Any] = {"rows": 40, "padding": " 🦊" * 240, "max_in_flight": 6}
        how |= {"checkpoint_pages": pages, "service": {"speed": 1000.0}}
        with told(f"SEEDANCE_SEED={seed}"), ground.trial(**how) as trial:
            copies = [tmp_path / f"copy-{number}" for number in range(3)]
            trial.start(after=0.8)
            for copy in copies:
                time.sleep(chance.uniform(0.02, 0.15))  # any moment will do
                copy_at_random(trial.folder, copy, chance)
            trial.finish()
            trial.judge()
            figures += trial.tally.figures
            for copy in copies:
                known, before = known_to(copy), trial.accepted()
                trial.start(copy)
                report = trial.finish().told
                after = trial.accepted()
                for key in known:
                    assert before.get(key) == after.get(key), (key, report)
                damaged = isinstance(report, str)
                assert not damaged or "damaged" in report, report
                ends["damaged" if damaged else "opened"] += 1
                shutil.rmtree(copy)
    tell(figures, copies=ends.total(), opened=ends["opened"], damaged=ends["damaged"])
    assert ends["opened"]
