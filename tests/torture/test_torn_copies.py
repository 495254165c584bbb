"""A ledger that was copied file by file while it lived, cut short, or damaged.

Opening it works and knows all that was committed before the damage, or it says that it is damaged
and what to do; a row that the copy knows as more than planned is never submitted again. Rows that
the copy cannot know of are no promise of a copy: whoever goes on from one pays for those anew.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from seedance_async import BackoffPolling, LedgerError, SeedanceError
from seedance_async.batch.report import BatchReport
from tests.batch.night import Night
from tests.session.scene import run
from tests.torture.diskbatch import attempt, check_said, foxes
from tests.torture.judge import Figures

IS_LONG: Final = "SEEDANCE_LONG" in os.environ
ROWS: Final = foxes(8)

Tell = Callable[..., None]
Ended = BatchReport | SeedanceError


@attrs.frozen
class Copy:
    """A ledger's bytes: the database and its log."""

    database: bytes
    log: bytes

    @classmethod
    def of(cls, folder: Path) -> Copy:
        log = folder / "ledger.sqlite-wal"
        whole = log.read_bytes() if log.exists() else b""
        return cls((folder / "ledger.sqlite").read_bytes(), whole)

    def put(self, folder: Path) -> None:
        """Lay it into a new folder."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "ledger.sqlite").write_bytes(self.database)
        if self.log:
            (folder / "ledger.sqlite-wal").write_bytes(self.log)

    def commits(self) -> list[int]:
        """Return where in the log each transaction ends, the log's header first."""
        size = struct.unpack(">I", self.log[8:12])[0] + 24
        ends = range(32 + size, len(self.log) + 1, size)
        in_full = (end for end in ends if struct.unpack(">I", self.log[end - size + 4 :][:4])[0])
        return [32, *in_full]

    def frames(self) -> list[int]:
        """Return where in the log each frame begins, and where the last ends."""
        size = struct.unpack(">I", self.log[8:12])[0] + 24
        return list(range(32, len(self.log) + 1, size))

    def before(self, damage: int) -> Copy:
        """Return the copy as it was committed before an offset in the log."""
        return attrs.evolve(
            self, log=self.log[: max(c for c in [0, *self.commits()] if c <= damage)]
        )


def flipped(content: bytes, bit: int) -> bytes:
    """Return bytes of which one bit is another."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def known(copy: Copy, folder: Path) -> dict[str, str]:
    """Return what a copy knows as more than planned, read with SQL: a state or an id, by key."""
    found: dict[str, str] = {}
    copy.put(folder)
    for query in (
        "SELECT key, state FROM row WHERE state <> 'planned'",
        "SELECT key, coalesce(request_id, '') FROM attempt a JOIN row r ON r.id = a.row",
    ):
        with (
            suppress(sqlite3.Error, UnicodeDecodeError),
            closing(sqlite3.connect(folder / "ledger.sqlite")) as connection,
        ):
            connection.text_factory = partial(str, encoding="utf-8", errors="replace")
            found |= {key: value for key, value in connection.execute(query) if key}
    return found


class Trial:
    """A batch whose ledger was copied, and runs that go on from damaged copies."""

    def __init__(self, place: Path) -> None:
        self.night = Night(place / "out")
        self.look = place / "look"
        self.ends: Counter[str] = Counter()

    def go_on(self, copy: Copy, must_know: dict[str, str]) -> None:
        """Run the batch from a copy; assert that it submits nothing that the copy must know.

        What SQLite itself finds to be damaged must be called so, and nothing is sent.
        """
        copy.put(self.look)
        whole = is_whole(self.look / "ledger.sqlite")
        copy.put(self.night.folder)
        self.night.wire.posts.clear()
        try:
            ended: Ended | None = attempt(self.night, ROWS)
        except (TypeError, ValueError, ArithmeticError):
            ended = None  # a value no longer makes sense
        self._check(ended, must_know, whole=whole)
        again = posted(self.night) & must_know.keys()
        assert not again, f"submitted again: {again}"

    def _check(self, ended: Ended | None, must_know: dict[str, str], *, whole: bool) -> None:
        if isinstance(ended, BatchReport) and whole:
            self.ends["opened"] += 1
            if ended.stop is None and ended.storage_trouble is None:
                states = run(self.night.states)
                assert {states[key] for key in must_know} <= _JUST, states
        elif isinstance(ended, LedgerError) and not whole:
            check_said(str(ended), self.night.folder)
            assert "damaged" in str(ended), ended
            self.ends["damaged"] += 1
        else:
            assert whole, ended
            says_so = isinstance(ended, LedgerError) and "damaged" in str(ended)
            self.ends["damaged" if says_so else "a value was damaged"] += 1
        assert whole or not self.night.wire.posts

    def figures(self) -> Figures:
        """Return those of the first life, which is what the copies are of."""
        return Figures(accepted=len(ROWS) - 1)


_JUST: Final = {"downloaded", "in_doubt"}


def is_whole(path: Path) -> bool:
    """Tell whether SQLite finds no damage in a database."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            ((found,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
        except (sqlite3.Error, UnicodeDecodeError):
            return False
    return bool(found == "ok")


def posted(night: Night) -> set[str]:
    """Return the keys of the rows that were submitted."""
    return {json.loads(body)["text"].replace(" ", "-") for body in night.wire.posts}


def lived(place: Path, *, answers: int) -> tuple[Trial, Copy]:
    """Run a batch to its end, and return a copy of its ledger after so many answers."""
    trial, copies = Trial(place), list[Copy]()

    def after(_method: str, _path: str, answer: Any) -> Any:
        if len(copies) < answers:
            copies.append(Copy.of(trial.night.folder))
        return answer

    trial.night.wire.after = after
    # Learned polls are few: the copy is to hold many commits.
    attempt(trial.night, ROWS, session={"max_in_flight": 2, "polling": BackoffPolling()})
    trial.night.wire.after = lambda _method, _path, answer: answer
    return trial, copies[-1]


# --- the log ---------------------------------------------------------------------------------


def offsets(copy: Copy, chance: random.Random) -> list[int]:
    """Return where a log may be torn: around each frame, in its header, its page, the log's own."""
    frames = copy.frames()
    size = frames[1] - frames[0]
    around = {frame + step for frame in frames for step in (-1, 0, 1, 8, 12, 24, size // 2)}
    found = sorted({0, 1, 16, 31} | {place for place in around if 0 <= place <= len(copy.log)})
    return sorted(chance.sample(found, 300 if IS_LONG else 17))


@pytest.mark.parametrize("tail", ["cut", "zeroed", "garbled"])
def test_never_pays_twice_from_a_log_that_is_torn_anywhere(
    tail: str, place: Path, chance: random.Random, tell: Tell
) -> None:
    """All that was committed before the tear is known, and not one row of it is submitted again."""
    trial, copy = lived(place, answers=60)
    assert len(copy.commits()) > 20
    for offset in offsets(copy, chance):
        rest = len(copy.log) - offset
        ends = {"cut": b"", "zeroed": bytes(rest), "garbled": chance.randbytes(rest)}
        torn = attrs.evolve(copy, log=copy.log[:offset] + ends[tail])
        with told(f"the log is {tail} at {offset} of {len(copy.log)}"):
            trial.go_on(torn, known(copy.before(offset), trial.look))
    tell(trial.figures(), **trial.ends)
    assert set(trial.ends) == {"opened"}


def test_never_pays_twice_from_a_log_with_a_flipped_bit(
    place: Path, chance: random.Random, tell: Tell
) -> None:
    """What was committed before the frame with the bit is known: its checksum ends the log."""
    trial, copy = lived(place, answers=60)
    for _ in range(300 if IS_LONG else 20):
        bit = chance.randrange(len(copy.log) * 8)
        frame = max([0, *(place for place in copy.frames() if place <= bit // 8)])
        with told(f"bit {bit} of the log"):
            trial.go_on(
                attrs.evolve(copy, log=flipped(copy.log, bit)),
                known(copy.before(frame), trial.look),
            )
    tell(trial.figures(), **trial.ends)
    assert set(trial.ends) == {"opened"}


# --- the database ------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [True, False], ids=["closed in order", "alive"])
def test_never_pays_twice_from_a_database_with_a_flipped_bit(
    closed: bool, place: Path, chance: random.Random, tell: Tell
) -> None:
    """One bit in an index can hide a row that is paid for: whoever opens it looks first."""
    trial, copy = lived(place, answers=60)
    if closed:
        attempt(trial.night, ROWS)
        copy = Copy.of(trial.night.folder)
        assert not copy.log
    used = [place for place, byte in enumerate(copy.database) if byte]
    hidden = [] if not closed else index_bits(copy)
    for bit in [*hidden, *(8 * chance.choice(used) + chance.randrange(8) for _ in range(FLIPS))]:
        damaged = attrs.evolve(copy, database=flipped(copy.database, bit))
        with told(f"bit {bit} of the database"):
            trial.go_on(damaged, known(damaged, trial.look))
    tell(trial.figures(), **trial.ends)
    assert trial.ends["opened"]
    assert trial.ends["damaged"]


FLIPS: Final = 600 if IS_LONG else 30


def index_bits(copy: Copy) -> list[int]:
    """Return a bit in each place of the file where a key stands: in its table and its index."""
    keys = [fields["key"].encode() for fields in ROWS[:-1]]
    places = [found.start() for key in keys for found in re.finditer(key, copy.database)]
    assert len(places) >= 2 * len(keys)
    return [8 * place for place in places]


# --- copies of a live folder ---------------------------------------------------------------------


@pytest.mark.parametrize("pages", [None, 1], ids=["log is kept", "checkpoint at each commit"])
def test_never_pays_twice_from_copies_that_were_made_file_by_file(
    pages: int | None,
    place: Path,
    chance: random.Random,
    tell: Tell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a backup tool copies that knows nothing: the log and the database of different moments."""
    if pages is not None:
        real = sqlite3.connect

        def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = real(*arguments, **named)
            connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
            return connection

        monkeypatch.setattr(sqlite3, "connect", connect)
    trial, copies = Trial(place), list[Copy]()
    older: list[Copy] = []

    def after(_method: str, _path: str, answer: Any) -> Any:
        now = Copy.of(trial.night.folder)
        if older:
            then = chance.choice(older)
            copies.append(chance.choice([now, Copy(then.database, now.log)]))
            copies.append(Copy(now.database, then.log))
        older.append(now)
        return answer

    trial.night.wire.after = after
    attempt(trial.night, ROWS, session={"max_in_flight": 2})
    trial.night.wire.after = lambda _method, _path, answer: answer
    for copy in copies if IS_LONG else chance.sample(copies, 15 if pages is None else 45):
        with told(f"{len(copy.database)} bytes and a log of {len(copy.log)}"):
            trial.go_on(copy, known(copy, trial.look))
    tell(trial.figures(), copies=len(copies), **trial.ends)
    assert trial.ends["opened"]


@contextmanager
def told(note: str) -> Iterator[None]:
    """Add to a failure what repeats it."""
    try:
        yield
    except BaseException as error:
        error.add_note(note)
        raise
