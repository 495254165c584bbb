"""A trial: one batch that is killed and run again, its service, and what must hold each time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from seedance_async import LedgerError
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import RowEntry
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.lock import FolderLock
from seedance_async.simulator import Simulator
from seedance_async.simulator.faults import SUBMIT_AFTER, SUBMIT_BEFORE
from tests.torture.judge import Figures, judge
from tests.torture.killing import Ending, Zygote
from tests.torture.loopback import Loopback
from tests.torture.points import key_of

__all__ = ["Tally", "Trial", "copy_ledger", "told"]

_STRAY: Final = """
SELECT id FROM attempt WHERE state IN ('submitting', 'in_doubt') AND NOT EXISTS
(SELECT 1 FROM row WHERE row.attempt = attempt.id AND row.state = attempt.state)
"""
_UNKNOWN: Final = frozenset({RowState.SUBMITTING, RowState.IN_DOUBT})
_NO_NEWS: Final = {*SUBMIT_BEFORE, *SUBMIT_AFTER} - {"429", "429-bare", "refused-in-200"}
"""The service's faults after which nobody can know what became of a POST."""


@contextmanager
def told(note: str) -> Iterator[None]:
    """Add to a failure what repeats it."""
    try:
        yield
    except BaseException as error:
        error.add_note(note)
        raise


@attrs.define
class Tally:
    """What a series of trials came to.

    Attributes:
        kills: How many processes died by SIGKILL.
        runs: How many there were.
        hits: What each killed process was about, by its last point.
        figures: The judge's; the doubts are all that ever were.
    """

    kills: int = 0
    runs: int = 0
    hits: Counter[str] = attrs.field(factory=Counter)
    figures: Figures = attrs.field(factory=Figures)

    def add(self, other: Tally) -> None:
        """Count another series in."""
        self.kills += other.kills
        self.runs += other.runs
        self.hits += other.hits
        self.figures += other.figures


def _about(doing: str, point: str) -> str:
    """Say what a process was about when it was killed, given its last point."""
    if doing != "batch":
        return f"inside {doing}"
    for words, about in (
        ("ledger.sqlite", "between two writes of the ledger"),
        ("a video", "during a download"),
        ("a POST", "during a POST"),
        ("before the commit", "before a commit"),
        ("after the commit", "after a commit"),
        ("telling", "after a commit"),
    ):
        if words in point:
            return about
    return "elsewhere"


class Trial:
    """One batch's folder, its service, and the judge of both; made by `Ground.trial`."""

    def __init__(
        self,
        folder: Path,
        zygote: Zygote,
        loopback: Loopback,
        simulator: Simulator,
        *,
        rows: int,
        max_in_flight: int,
        max_submitting: int,
        **settings: Any,
    ) -> None:
        self.folder = folder / "out"
        self.manifest = folder / "foxes.jsonl"
        self.simulator = simulator
        self.tally = Tally()
        self._zygote = zygote
        self._loopback = loopback
        self._rows = rows
        self._max_submitting = max_submitting
        self._posts: Counter[str] = Counter()
        self._unclear: set[str] = set()
        self._troubles = 0
        self._doubtful: set[str] = set()
        self._doubted: set[str] = set()
        self._videos: dict[Path, str] = {}
        self._doing = "batch"
        self._order = {
            "base_url": simulator.public_url,
            "manifest": str(self.manifest),
            "max_in_flight": max_in_flight,
            "max_submitting": max_submitting,
            **settings,
        }

    # --- what happens to it ----------------------------------------------------------------

    def start(self, folder: Path | None = None, *, doing: str = "batch", **how: Any) -> None:
        """Let a child begin; `finish` must follow. See `Zygote.start` for how it dies."""
        self._doing = doing
        self._zygote.start(folder=str(folder or self.folder), **self._order, **how)

    def finish(self) -> Ending:
        """Wait for the child's end, and count it."""
        ending = self._zygote.finish()
        self.tally.runs += 1
        self.tally.kills += ending.killed
        self.tally.hits.update([_about(self._doing, ending.point)] if ending.killed else [])
        self._note_posts(ending)
        return ending

    def batch(self, **how: Any) -> Ending:
        """Run the batch in a child: to its end, or to its death as `how` says."""
        self.start(**how)
        ending = self.finish()
        self.judge()
        return ending

    def command(self, *words: str, **how: Any) -> Ending:
        """Run another command in a child."""
        self.start(doing=words[0], command=words, **how)
        ending = self.finish()
        self.judge()
        return ending

    def resolve(self, **how: Any) -> Ending | None:
        """Settle all doubts as a person would who sees the service's side; None: there are none."""
        jobs = {key: ids[0] for key, ids in self.accepted().items()}
        lines = ["key,request_id,not_billed"]
        for key in self.in_doubt():
            lines.append(f"{key},{jobs[key]}," if key in jobs else f"{key},,yes")
        if len(lines) == 1:
            return None
        decisions = self.manifest.with_name("decisions.csv")
        decisions.write_text("\n".join(lines))
        ending = self.command("resolve", str(self.folder), "--from", str(decisions), **how)
        assert ending.killed or ending.told in (0, 69), ending.log  # 69: the service is in trouble
        return ending

    def settle(self) -> None:
        """Settle all doubts and run to the end, until there is no doubt."""
        self.end()
        while self.resolve() is not None:
            self.end()

    # --- what is known of it ---------------------------------------------------------------

    def accepted(self) -> dict[str, list[str]]:
        """Return the ids of the jobs that the service accepted, by the key of their row."""
        found: dict[str, list[str]] = {}
        for entry in self._loopback.books(self.simulator).accepted:
            found.setdefault(key_of(entry.body), []).append(entry.request_id)
        return found

    def entries(self) -> dict[str, RowEntry]:
        """Read the ledger as it lies there; from a copy, for a reader closes a dead one's log."""
        return _read_copy(self.folder)

    def states(self) -> Counter[str]:
        """Count the rows by state."""
        return Counter(entry.state.value for entry in self.entries().values())

    def in_doubt(self) -> set[str]:
        """Return the keys of the rows that are in doubt, or will be when the next run begins."""
        return {key for key, entry in self.entries().items() if entry.state in _UNKNOWN}

    # --- the judge -------------------------------------------------------------------------

    def _note_posts(self, ending: Ending) -> None:
        """Take down which rows may be in doubt after a child's life, and why."""
        course = ending.under_way()
        most = max(map(len, course))
        assert most <= self._max_submitting, f"{most} POSTs under way at once"
        self._unclear = set(ending.said("unclear"))
        self._troubles += len(ending.said("unclear"))
        self._doubtful |= self._unclear | course[-1]
        self._posts.update(ending.said("begun"))

    def judge(self) -> None:
        """Assert what holds after any run and any kill."""
        books = self._loopback.books(self.simulator)
        accepted, entries = self.accepted(), self.entries()
        doubts = {key for key, entry in entries.items() if entry.state in _UNKNOWN}
        # By name: a row may be in doubt for a POST of its own only.
        assert doubts <= self._doubtful, f"needless doubts: {doubts - self._doubtful}"
        assert doubts >= self._unclear, f"not in doubt: {self._unclear - doubts}"
        figures = judge(self.folder, books, posts_under_way=len(self._doubtful))
        for key, ids in accepted.items():
            # Known, or set aside: a row that could be submitted again would be paid twice.
            assert entries[key].request_id in ids or key in doubts, entries[key]
            assert self._posts[key] >= len(ids), f"{key} was posted without a word before"
        for entry in entries.values():
            assert entry.request_id in (None, *accepted.get(entry.key, ())), entry
        assert not (stray := _stray_attempts(self.folder)), f"in doubt with no row: {stray}"
        self._judge_troubles()
        self._judge_files()
        if self.folder.exists():
            FolderLock(self.folder / "ledger.lock", now=0).release()
        self._doubtful = doubts  # what was settled is a reason for a later doubt no more
        self._doubted |= doubts
        faults = len(self.simulator.faults_log)
        self.tally.figures = attrs.evolve(figures, doubts=len(self._doubted), faults=faults)

    def _judge_troubles(self) -> None:
        """Assert that a child found no answer unclear, and sent no POST, but for cause."""
        faults = sum(fault.name in _NO_NEWS for fault in self.simulator.faults_log)
        assert self._troubles <= faults, f"{self._troubles} unclear answers, {faults} faults"
        arrived = self.simulator.books.requests("submit")
        assert arrived <= self._posts.total(), f"{arrived} of {self._posts.total()} POSTs arrived"

    def _judge_files(self) -> None:
        for name, lines in (("results.jsonl", self._rows + 1), ("errors.jsonl", 1)):
            path = self.folder / name
            if path.exists():
                text = path.read_text()
                assert text.endswith("\n")
                assert len([json.loads(line) for line in text.splitlines()]) == lines
        for path in self.folder.glob("videos/*.mp4"):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert self._videos.setdefault(path, digest) == digest, "a video was there in part"

    def end(self) -> None:
        """Run to the end and assert that every row is where it belongs, or in doubt for cause."""
        for _ in range(8):  # a download that failed is tried again by the next run
            report = self.batch().told
            assert isinstance(report, dict), report
            if not report["counts"].get("succeeded"):
                break
        entries, ends = self.entries(), self._ends()
        for entry in entries.values():
            if entry.state is RowState.IN_DOUBT:
                continue
            assert entry.request_id is not None, entry
            assert entry.state == ends[entry.request_id], entry
            if entry.state is RowState.DOWNLOADED:
                assert entry.file is not None
                content = (self.folder / entry.file).read_bytes()
                assert hashlib.sha256(content).hexdigest() == entry.sha256
        lines = map(json.loads, (self.folder / "results.jsonl").read_text().splitlines())
        found = {line["key"]: line["state"] for line in lines}
        assert found.pop("no fox") == "invalid"
        assert found == {key: entry.state.value for key, entry in entries.items()}
        assert not list(self.folder.rglob("*.part"))
        assert not list(self.folder.glob("ledger.staging*"))

    def _ends(self) -> Mapping[str, str]:
        """Return how each job ended, by its id, as the service's books tell."""
        books = self.simulator.books
        billed = books.billed_by_body()
        ends = {
            entry.request_id: "downloaded" if billed.get(entry.body) else "failed"
            for entry in books.accepted
        }
        return ends | dict.fromkeys(books.cancelled, "cancelled")


# --- ledgers -----------------------------------------------------------------------------------


@contextmanager
def _copied(folder: Path) -> Iterator[Path]:
    """Copy a ledger that nobody holds, so that looking at it leaves all its files alone."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as copy:
        copy_ledger(folder, Path(copy))
        yield Path(copy)


def _read_copy(folder: Path) -> dict[str, RowEntry]:
    """Return a ledger's rows by key, as the product reads them."""

    async def read(copy: Path) -> dict[str, RowEntry]:
        try:
            async with await Ledger.read(copy) as ledger:
                return {entry.key: entry async for entry in ledger.rows()}
        except LedgerError as error:  # killed before there was one
            if "there is no ledger" not in str(error):
                raise
            return {}

    with _copied(folder) as copy:
        return asyncio.run(read(copy))


def _stray_attempts(folder: Path) -> list[int]:
    """Return the attempts that are under way or in doubt while their rows are not."""
    with _copied(folder) as copy, closing(sqlite3.connect(copy / "ledger.sqlite")) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'attempt'").fetchone():
            return [number for (number,) in connection.execute(_STRAY)]
        return []


def copy_ledger(folder: Path, into: Path) -> None:
    """Copy a ledger that nobody writes to."""
    for path in folder.glob("ledger.sqlite*"):
        shutil.copy(path, into)
