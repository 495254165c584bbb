"""Kill -9 at every step and at any moment: nothing is paid twice, nothing that was paid is lost.

Real processes, sockets, disks and time: virtual time cannot kill a process. What decides is
judged from the simulator's books and the ledger, never by how long something took.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from seedance_async import LedgerError, ProFastTextToVideo
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import RowEntry
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.lock import FolderLock
from seedance_async.simulator import FaultPlan, Simulator
from tests.batch.killing import Ending, Service, Zygote

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the children are forked")

IS_LONG = "SEEDANCE_LONG" in os.environ
LONG = pytest.mark.skipif(not IS_LONG, reason="minutes; SEEDANCE_LONG=1")

_UNKNOWN = {RowState.SUBMITTING, RowState.IN_DOUBT}


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    zygote = Zygote(tmp_path_factory.mktemp("zygote"))
    yield zygote
    zygote.close()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@contextmanager
def told(note: str) -> Iterator[None]:
    """Add to a failure what repeats it."""
    try:
        yield
    except BaseException as error:
        error.add_note(note)
        raise


@attrs.define
class Figures:
    """What a series of kills came to."""

    kills: int = 0
    runs: int = 0
    accepted: int = 0
    doubts: int = 0
    paid_twice: int = 0
    lost: int = 0

    def add(self, other: Figures) -> None:
        for name in attrs.fields_dict(Figures):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Trial:
    """One batch's folder, its service, and the judge of both."""

    def __init__(
        self,
        folder: Path,
        zygote: Zygote,
        service: Service,
        simulator: Simulator,
        *,
        rows: int,
        max_in_flight: int = 3,
        max_submitting: int = 2,
        checkpoint_pages: int | None = None,
        padding: str = "",
    ) -> None:
        self.folder = folder / "out"
        self.manifest = folder / "foxes.jsonl"
        self.simulator = simulator
        self.max_submitting = max_submitting
        self.figures = Figures()
        self._zygote = zygote
        self._service = service
        self._rows = rows
        self._videos: dict[Path, str] = {}
        self._doubted: set[str] = set()
        self._order: dict[str, Any] = {
            "base_url": simulator.public_url,
            "manifest": str(self.manifest),
            "max_in_flight": max_in_flight,
            "max_submitting": max_submitting,
            "checkpoint_pages": checkpoint_pages,
        }
        folder.mkdir(parents=True)
        lines = [{"key": f"fox-{n}", **_fields(f"fox-{n}{padding}")} for n in range(1, rows + 1)]
        lines.insert(1, {"key": "no fox"})  # invalid, so that there is an errors.jsonl
        self.manifest.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    # --- what happens to it ----------------------------------------------------------------

    def start(self, folder: Path | None = None, **how: Any) -> None:
        """Let a child run the batch; `finish` must follow."""
        self._zygote.start(folder=str(folder or self.folder), **self._order, **how)

    def finish(self) -> Ending:
        self.figures.runs += 1
        ending = self._zygote.finish()
        self.figures.kills += ending.killed
        return ending

    def batch(self, **how: Any) -> Ending:
        """Run the batch in a child: to its end, or to its death as `how` says."""
        self.start(**how)
        ending = self.finish()
        self.judge()
        return ending

    def command(self, *words: str, **how: Any) -> Ending:
        """Run another command in a child."""
        self._zygote.start(command=words, **self._order, **how)
        ending = self.finish()
        self.judge()
        return ending

    def resolve(self, **how: Any) -> Ending | None:
        """Settle all doubts as a person would who sees the service's side; None: there are none."""
        jobs = {key: ids[0] for key, ids in self.accepted().items()}
        lines = ["key,request_id,not_billed"]
        for key, entry in self.entries().items():
            if entry.state in _UNKNOWN:
                lines.append(f"{key},{jobs[key]}," if key in jobs else f"{key},,yes")
        if len(lines) == 1:
            return None
        decisions = self.manifest.with_name("decisions.csv")
        decisions.write_text("\n".join(lines))
        ending = self.command("resolve", str(self.folder), "--from", str(decisions), **how)
        assert ending.killed or ending.told in (0, 69), ending.log  # 69: the service is in trouble
        return ending

    # --- what is known of it ---------------------------------------------------------------

    def accepted(self) -> dict[str, list[str]]:
        """Return the ids of the jobs that the service accepted, by the key of their row."""
        found: dict[str, list[str]] = {}
        for entry in self._service.books(self.simulator).accepted:
            found.setdefault(json.loads(entry.body)["text"].split()[0], []).append(entry.request_id)
        return found

    def entries(self) -> dict[str, RowEntry]:
        """Read the ledger as it lies there; from a copy, for a reader closes a dead one's log."""
        return read_copy(self.folder)

    def states(self) -> Counter[str]:
        return Counter(entry.state.value for entry in self.entries().values())

    # --- the judge -------------------------------------------------------------------------

    def judge(self) -> None:
        """Assert what holds after any run and any kill."""
        accepted, entries = self.accepted(), self.entries()
        books = self.simulator.books
        assert not books.paid_twice()
        assert not books.token_leaks
        for key, ids in accepted.items():
            # Known, or set aside: a row that could be submitted again would be paid twice.
            assert entries[key].request_id in ids or entries[key].state in _UNKNOWN, entries[key]
        for entry in entries.values():
            assert entry.request_id in (None, *accepted.get(entry.key, ())), entry
        under_way = sum(entry.state is RowState.SUBMITTING for entry in entries.values())
        assert under_way <= self.max_submitting, entries
        self._doubted |= {key for key, entry in entries.items() if entry.state in _UNKNOWN}
        self._judge_files()
        if self.folder.exists():
            FolderLock(self.folder / "ledger.lock", now=0).release()

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

    def end(self, *, doubts: int = 0, wanted: str = "downloaded") -> None:
        """Run to the end and assert that every row is where it belongs.

        Args:
            doubts: How many rows may be in doubt.
            wanted: Where all others must be.
        """
        for _ in range(8):  # a download that failed is tried again by the next run
            report = self.batch().told
            assert isinstance(report, dict), report
            if not report["counts"].get("succeeded"):
                break
        entries = self.entries()
        in_doubt = [entry for entry in entries.values() if entry.state is RowState.IN_DOUBT]
        assert len(in_doubt) <= doubts, entries
        for entry in entries.values():
            assert entry.state.value == wanted or entry in in_doubt, entry
            if entry.state is RowState.DOWNLOADED:
                assert entry.file is not None
                content = (self.folder / entry.file).read_bytes()
                assert hashlib.sha256(content).hexdigest() == entry.sha256
        lines = [json.loads(line) for line in self._results().splitlines()]
        found = {line["key"]: line["state"] for line in lines}
        assert found.pop("no fox") == "invalid"
        assert found == {key: entry.state.value for key, entry in entries.items()}
        assert not list(self.folder.rglob("*.part"))
        assert not list(self.folder.glob("ledger.staging*"))
        self._count(entries)

    def _results(self) -> str:
        return (self.folder / "results.jsonl").read_text()

    def _count(self, entries: dict[str, RowEntry]) -> None:
        known = {entry.request_id for entry in entries.values()}
        doubts = {key for key, entry in entries.items() if entry.state is RowState.IN_DOUBT}
        accepted = self.accepted()
        self.figures.accepted = sum(map(len, accepted.values()))
        self.figures.doubts = len(self._doubted)
        self.figures.paid_twice = len(self.simulator.books.paid_twice())
        self.figures.lost = sum(
            not known.issuperset(ids) for key, ids in accepted.items() if key not in doubts
        )


def _fields(text: str) -> dict[str, Any]:
    model = ProFastTextToVideo.model_id
    return {"model": model, "text": text, "duration": 5, "resolution": "480p"}


def read_copy(folder: Path) -> dict[str, RowEntry]:
    """Return the rows of a ledger that nobody holds, by key, and leave all its files alone."""

    async def read(copy: Path) -> dict[str, RowEntry]:
        try:
            async with await Ledger.read(copy) as ledger:
                return {entry.key: entry async for entry in ledger.rows()}
        except LedgerError as error:  # killed before there was one
            if "there is no ledger" not in str(error):
                raise
            return {}

    with tempfile.TemporaryDirectory() as copy:
        copy_ledger(folder, Path(copy))
        return asyncio.run(read(Path(copy)))


def copy_ledger(folder: Path, into: Path) -> None:
    for path in folder.glob("ledger.sqlite*"):
        shutil.copy(path, into)


@pytest.fixture
def trials(tmp_path: Path, zygote: Zygote, service: Service) -> Any:
    """Return a context manager that makes a trial with a simulator of its own."""
    numbers = iter(range(1_000_000))

    @contextmanager
    def trial(
        *, rows: int = 3, speed: float = 1000.0, capacity: int = 8, faults: str = "", **how: Any
    ) -> Iterator[Trial]:
        plan = FaultPlan.parse(faults.split())
        number = next(numbers)
        with service.simulator(
            seed=number, speed=speed, capacity=capacity, faults=plan
        ) as simulator:
            folder = tmp_path / f"trial-{number}"
            yield Trial(folder, zygote, service, simulator, rows=rows, **how)
            shutil.rmtree(folder)

    return trial


def steps(survivor: Ending) -> list[dict[str, Any]]:
    """Return where to die: at the first point of each name, or at every point in long runs."""
    if IS_LONG:
        return [{"at": number} for number in range(1, len(survivor.points) + 1)]
    names = dict.fromkeys(name for name in survivor.points if not name.startswith("telling"))
    return [{"at": 1, "of": name} for name in names]


# --- every step ------------------------------------------------------------------------------


def test_never_pays_twice_and_never_loses_what_was_paid_killed_at_each_step(trials: Any) -> None:
    """Killed between any two writes, killed once more on resuming, then run to the end."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    with trials() as trial:
        survivor = trial.batch()
        trial.end()
    points: set[str] = set()
    total = Figures()
    for step in steps(survivor):
        again = {"at": chance.randrange(1, 70)}
        with told(f"seed {seed}: {step}, then {again}"), trials() as trial:
            first, second = trial.batch(**step), trial.batch(**again)
            points |= {first.point or "", second.point or ""}
            trial.end(doubts=2 * trial.max_submitting)
            assert trial.figures.lost == 0
            total.add(trial.figures)
    print(total)
    for name in (
        "taking the lock",
        "opening the ledger",
        "the commit of the tables",
        "the commit of a step of staging",
        "renaming errors.jsonl",
        "the commit of plan",
        "the checkpoint",
        "the commit of begin",
        "a POST left",
        "the answer to a POST",
        "the commit of accept",
        "the commit of finish",
        "renaming a video",
        "the commit of download",
        "writing lines",
        "renaming results.jsonl",
    ):
        assert any(name in point for point in points), (name, points)


def crash(trial: Trial) -> None:
    """Leave doubts of both kinds: a job that nobody knows, and a POST that never left."""
    assert trial.batch(at=1, of="before a POST").killed
    assert trial.batch(at=1, of="after a POST left").killed
    keys = {key for key, entry in trial.entries().items() if entry.state in _UNKNOWN}
    assert keys & trial.accepted().keys()
    assert keys - trial.accepted().keys()


def test_a_kill_while_a_dead_run_is_set_right_changes_nothing(trials: Any) -> None:
    """Recovery is one transaction: killed before or after it, the next run does the same."""
    with trials() as trial:
        crash(trial)
        survivor = trial.batch()
    early = [point for point in survivor.points if "of recover" in point or "opening" in point]
    assert len(early) == 4
    for step in early:
        with told(step), trials() as trial:
            crash(trial)
            before = trial.states()
            assert trial.batch(at=1, of=step).killed
            after = trial.states()
            if step != "after the commit of recover":
                assert after == before
            assert (
                after["submitting"] + after["in_doubt"] == before["submitting"] + before["in_doubt"]
            )
            trial.end(doubts=3)
            assert trial.resolve() is not None
            trial.end()
            assert trial.figures.accepted == 3


def test_a_kill_while_doubts_are_settled(trials: Any) -> None:
    """Each decision is written or not; whoever settles the rest loses and pays nothing twice."""
    with trials() as trial:
        crash(trial)
        survivor = trial.resolve()
    chosen = [step for step in steps(survivor) if IS_LONG or "resolve" in step["of"]]
    assert len(chosen) >= 4
    for step in chosen:
        with told(str(step)), trials() as trial:
            crash(trial)
            assert trial.resolve(**step).killed or IS_LONG
            trial.resolve()
            trial.end()
            assert (trial.figures.accepted, trial.figures.lost) == (3, 0)


def test_a_kill_while_a_batch_is_cancelled(trials: Any) -> None:
    """What the service cancelled is never submitted again; what it did not comes to its end."""

    def under_way(trial: Trial) -> None:
        assert trial.batch(at=3, of="telling that a row is submitted").killed
        assert len(trial.accepted()) == 3

    how: dict[str, Any] = {"capacity": 1, "speed": 30.0}  # one runs, two wait
    with trials(**how) as trial:
        under_way(trial)
        survivor = trial.command("cancel", str(trial.folder))
        assert trial.states()["cancelled"] > 0
    words = "a cancel", "the commit of finish"
    chosen = [step for step in steps(survivor) if IS_LONG or step["of"].endswith(words)]
    assert len(chosen) >= 4
    for step in chosen:
        with told(str(step)), trials(**how) as trial:
            under_way(trial)
            assert trial.command("cancel", str(trial.folder), **step).killed or IS_LONG
            trial.command("cancel", str(trial.folder))
            trial.batch()
            cancelled = set(trial.simulator.books.cancelled)
            for entry in trial.entries().values():
                ended = "cancelled" if entry.request_id in cancelled else "downloaded"
                assert entry.state == ended
            assert len(trial.simulator.books.accepted) == 3


# --- any moment --------------------------------------------------------------------------------


def die_at_random(trials: Any, kills: int) -> Figures:
    """Kill batches on a bad day, again and again, settle their doubts, and return the figures."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    total = Figures()
    faults = "drop-after-accept=0.05 drop-before-accept=0.03 poll-5xx=0.1 truncated-video=0.3"
    while total.kills < kills:
        pages = chance.choice([None, 1, 20])
        how = {"rows": 36, "max_in_flight": 6, "max_submitting": 3, "speed": 300.0}
        with (
            told(f"seed {seed}, after {total}"),
            trials(faults=faults, checkpoint_pages=pages, **how) as trial,
        ):
            while total.kills + trial.figures.kills < kills:
                if not trial.batch(after=chance.uniform(0.02, 0.4)).killed:
                    break
            trial.end(doubts=36)
            while trial.resolve(after=chance.uniform(0.01, 0.3)) is not None:
                trial.end(doubts=36)
            trial.end()
            assert trial.figures.accepted == 36
            total.add(trial.figures)
    assert (total.paid_twice, total.lost) == (0, 0)
    print(f"seed {seed}: {total}")
    return total


def test_never_pays_twice_and_never_loses_what_was_paid_killed_at_random(trials: Any) -> None:
    die_at_random(trials, 6)


@LONG
def test_a_hundred_kills(trials: Any) -> None:
    figures = die_at_random(trials, 100)
    assert figures.kills >= 100


# --- copies --------------------------------------------------------------------------------------


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


def test_never_pays_twice_from_a_copy_of_the_folder_taken_while_it_ran(
    trials: Any, tmp_path: Path
) -> None:
    """It opens or says that it is damaged; what it knows as submitted is not submitted again."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    ends = Counter[str]()
    for pages in [None, 1] * 15 if IS_LONG else [None, None]:
        how = {
            "rows": 40,
            "speed": 1000.0,
            "checkpoint_pages": pages,
            "padding": " 🦊" * 240,
            "max_in_flight": 6,
        }
        with told(f"seed {seed}"), trials(**how) as trial:
            copies = [tmp_path / f"copy-{number}" for number in range(3)]
            trial.start(after=0.8)
            for copy in copies:
                time.sleep(chance.uniform(0.02, 0.15))  # any moment will do
                copy_at_random(trial.folder, copy, chance)
            trial.finish()
            trial.judge()
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
    print(f"seed {seed}: {ends}")
    assert ends["opened"]
