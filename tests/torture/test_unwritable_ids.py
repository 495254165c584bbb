"""A job was accepted, and its id cannot be written down: in a batch, a journal, a job file.

It is shouted with the id, nothing more is submitted, and the writing is tried until the end. With
the disk healed in time there is no doubt at all; without, the row or the entry is in doubt, is
never submitted again, and the shouted id settles it.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import random
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from seedance_async import (
    FileJournal,
    Journal,
    LedgerError,
    Output,
    SubmittingStoppedError,
    Succeeded,
)
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.report import BatchReport
from seedance_async.batch.stops import StopReason
from seedance_async.cli.exits import Exit
from seedance_async.cli.jobfile import JobFile, JobRecord, job_file_of, read_record
from seedance_async.cli.journal import JobFileJournal
from seedance_async.handle import Job
from seedance_async.simulator import Simulator
from tests.batch.ledgers import URL
from tests.batch.night import Night
from tests.session.scene import fox, run
from tests.torture.diskbatch import (
    attempt,
    check_end,
    check_told,
    foxes,
    given_up,
    start,
    unwritten,
)
from tests.torture.failing import ERRORS, Disk, reaches_sqlite
from tests.torture.judge import Figures, judge
from tests.torture.loopback import Loopback

IS_LONG: Final = "SEEDANCE_LONG" in os.environ
TRIALS: Final = 60 if IS_LONG else 6
SUBMITTING: Final = 8
"""POSTs at once; what is posted already cannot be stopped."""

Tell = Callable[..., None]


@attrs.define
class Accident:
    """A disk that breaks down while the answer to a POST is on its way.

    Attributes:
        disk: Which.
        night: Whose POST it is.
        at: The number of the POST that is answered.
        error: How it refuses.
        torn: Whether it takes half of what it refuses.
        heals_after: Seconds; None: never by itself.
        posts: How many POSTs had left when it happened.
    """

    disk: Disk
    night: Night
    at: int
    error: int
    torn: bool
    heals_after: float | None
    posts: int = 0
    _answers: int = 0

    def arrange(self) -> None:
        self.night.wire.after = self._answered

    def _answered(self, method: str, path: str, answer: Any) -> Any:
        if method == "POST" and not path.endswith("/cancel"):
            self._answers += 1
            if self._answers == self.at:
                self.posts = len(self.night.wire.posts)
                self.disk.break_down(self.error, torn=self.torn)
                if self.heals_after is not None:
                    asyncio.get_running_loop().call_later(self.heals_after, self.disk.heal)
        return answer


def accident(
    night: Night, chance: random.Random, *, heals: bool, errors: tuple[int, ...] = ERRORS
) -> Accident:
    """Arrange an accident in the way that the seed chooses."""
    happens = Accident(
        Disk(night.folder),
        night,
        at=chance.randint(1, 4),
        error=chance.choice(errors),
        torn=chance.random() < 0.5,
        heals_after=chance.uniform(0.0, 5.0) if heals else None,
    )
    happens.arrange()
    return happens


def accepted(night: Night) -> set[str]:
    return {entry.request_id for entry in night.simulator.books.accepted}


def shouted(caplog: pytest.LogCaptureFixture) -> set[str]:
    """Return the ids that the log names as accepted and unwritten, whatever came of them later."""
    records = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    return {job for record in records for job in given_up(record.getMessage()).values()}


# --- in a batch --------------------------------------------------------------------------------


@pytest.mark.skipif(not reaches_sqlite(), reason="this SQLite's calls of the system are hidden")
@pytest.mark.parametrize("heals", [True, False], ids=["heals", "stays"])
def test_never_pays_twice_what_a_batch_could_not_write_down(
    heals: bool,
    place: Path,
    chance: random.Random,
    tell: Tell,
    caplog: pytest.LogCaptureFixture,
) -> None:
    total, ids = Figures(), 0
    for number in range(TRIALS):
        caplog.clear()
        night, rows = Night(place / f"out-{number}"), foxes(20)
        happens = accident(night, chance, heals=heals)
        with happens.disk.attached():
            ended = attempt(night, rows)
        happens.disk.heal()
        assert shouted(caplog)
        assert shouted(caplog) <= accepted(night)
        assert check_told(ended, night)
        assert isinstance(ended, BatchReport)
        assert ended.stop is not None
        assert ended.stop.reason is StopReason.LEDGER
        assert len(night.wire.posts) <= happens.posts + SUBMITTING, "it went on submitting"
        doubts = {} if heals else unwritten(caplog)
        ids += len(shouted(caplog))
        figures, states = check_end(night, rows, len(doubts))
        assert figures.doubts == len(doubts)
        assert states["downloaded"] == len(rows) - 1 - len(doubts)
        if doubts:
            total += _settle(night, rows, doubts)
        else:
            total += figures
        shutil.rmtree(night.folder)
    tell(total, trials=TRIALS, ids_unwritten_at_first=ids)


def _settle(night: Night, rows: list[dict[str, Any]], doubts: dict[str, str]) -> Figures:
    """Give each doubt the id that was shouted; then nothing is missing, nothing is paid anew."""

    async def resolve() -> None:
        async with await Ledger.open(night.folder, origin=None) as ledger:
            for key, request_id in doubts.items():
                await ledger.resolve(key, request_id=request_id)

    run(resolve)
    figures, states = check_end(night, rows, 0)
    assert states["downloaded"] == figures.accepted == len(rows) - 1
    return figures


# --- in a journal, and in job files -------------------------------------------------------


@attrs.frozen
class Shelf:
    """Where ids are kept: a journal for each tag, and what it says of each: a state and an id."""

    journal: Callable[[str], Journal]
    read: Callable[[], dict[str, tuple[str, str | None]]]
    ended: str


def one_journal(folder: Path) -> Shelf:
    journal = FileJournal(folder / "journal.jsonl")

    def read() -> dict[str, tuple[str, str | None]]:
        return {entry.tag: (entry.state, entry.request_id) for entry in journal.entries()}

    return Shelf(lambda _tag: journal, read, ended="finished")


def job_files(folder: Path) -> Shelf:
    def journal(tag: str) -> Journal:
        record = JobRecord(base_url="https://model-api.example", file=f"{tag}.mp4")
        return JobFileJournal(JobFile(job_file_of(folder / f"{tag}.mp4"), record))

    def read() -> dict[str, tuple[str, str | None]]:
        found = {}
        for path in folder.glob("*.job.json"):
            record = read_record(path)
            assert record is not None
            found[path.name.partition(".")[0]] = record.state, record.request_id
        return found

    return Shelf(journal, read, ended="succeeded")


@pytest.mark.parametrize("heals", [True, False], ids=["heals", "stays"])
@pytest.mark.parametrize("make", [one_journal, job_files], ids=lambda make: make.__name__)
def test_never_loses_what_was_paid_an_id_that_no_journal_takes_is_shouted_and_tried_again(
    make: Callable[[Path], Shelf],
    heals: bool,
    place: Path,
    chance: random.Random,
    tell: Tell,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Several jobs at once: all are followed to their end, whatever could be written of them."""
    total, ids = Figures(), 0
    for number in range(TRIALS):
        caplog.clear()
        folder = place / f"{number}"
        folder.mkdir()
        night, shelf = Night(folder), make(folder)
        happens = accident(night, chance, heals=heals)
        with happens.disk.attached():
            run(partial(_submit_all, night, shelf))
        missing = shouted(caplog)
        assert missing
        known = shelf.read()
        in_doubt = {tag for tag, (state, _id) in known.items() if state == "submitting"}
        lost = accepted(night) - {request_id for _state, request_id in known.values()}
        assert lost <= missing
        assert len(lost) == len(in_doubt)
        if heals:
            assert not in_doubt
            assert not unwritten(caplog), "the id came only with the job's end"
            assert {state for state, request_id in known.values() if request_id} == {shelf.ended}
        assert not night.simulator.books.paid_twice()
        total += Figures(accepted=len(accepted(night)), doubts=len(in_doubt))
        ids += len(missing)
    tell(total, trials=TRIALS, ids_unwritten_at_first=ids)


async def _submit_all(night: Night, shelf: Shelf) -> None:
    async with night.session(exit_timeout=None) as session:

        async def submit(number: int) -> Job:
            tag = f"t{number}"
            return await session.submit(fox(number), tag=tag, journal=shelf.journal(tag))

        jobs = await asyncio.gather(*(submit(number) for number in range(4)))
        posts = len(night.wire.posts)
        with pytest.raises(SubmittingStoppedError, match="could not be written"):
            await submit(4)
        await asyncio.gather(*(job for job in jobs))
        assert len(night.wire.posts) == posts == 4


@pytest.mark.parametrize("make", [one_journal, job_files], ids=lambda make: make.__name__)
def test_never_lies_an_id_that_is_written_late_does_not_undo_the_end(
    make: Callable[[Path], Shelf], place: Path
) -> None:
    """The disk heals between the job's end and the next try to write its id."""
    shelf, disk = make(place), Disk(place)
    video = Succeeded(request_id="id-1", video_url=URL, output=Output(video=URL))

    async def main() -> None:
        journal = shelf.journal("t")
        await journal.submitting("t", fox())
        disk.break_down(errno.ENOSPC)
        with pytest.raises(LedgerError):
            await journal.accepted("t", "id-1")
        disk.heal()
        await journal.finished("t", video)
        await journal.accepted("t", "id-1")

    with disk.attached():
        run(main)
    assert shelf.read() == {"t": (shelf.ended, "id-1")}


# --- the command ---------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process from outside")
@pytest.mark.parametrize("heals", [True, False], ids=["heals", "stays"])
def test_never_pays_twice_what_the_command_could_not_write_down(
    heals: bool, tmp_path: Path, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real process whose files may not grow from its first accepted job on: EFBIG.

    The clock is real, for the process, its disk and its terminal are the point.
    """
    import resource  # here, for it is POSIX's

    folder, manifest = tmp_path / "out", tmp_path / "foxes.jsonl"
    manifest.write_text("".join(f"{json.dumps(fields)}\n" for fields in foxes(6)[:-1]))
    words = ["batch", str(manifest), "--out", str(folder), "--yes", "--poll-interval", "0.1"]
    words += ["--max-in-flight", "4"]
    simulator, loopback = Simulator(seed=7, speed=50.0), Loopback()
    note = simulator.books.note_accepted
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    def accept(job: Any) -> None:
        note(job)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, hard))

    try:
        with loopback.serve(simulator), monkeypatch.context() as patch:
            patch.setattr(simulator.books, "note_accepted", accept)
            process = start(simulator.public_url, *words)
            assert process.stderr is not None
            said = ""
            while "could not be written" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            if heals:
                patch.undo()
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
            said += process.communicate()[1]
            assert process.returncode == Exit.UNWRITABLE, said
            assert len(loopback.books(simulator).accepted) <= 4
            patch.undo()
            doubts = {} if heals else given_up(said)
            code, said = _again(simulator, *words)
            figures = judge(folder, loopback.books(simulator), posts_under_way=len(doubts))
            assert figures.doubts == len(doubts)
            assert code == (Exit.PERSON if doubts else Exit.OK), said
            decisions = tmp_path / "decisions.csv"
            lines = [f"{key},{request_id}\n" for key, request_id in doubts.items()]
            decisions.write_text("key,request_id\n" + "".join(lines))
            if doubts:
                code, said = _again(simulator, "resolve", str(folder), "--from", str(decisions))
                assert code == Exit.OK, said
            code, said = _again(simulator, *words)
            assert code == Exit.OK, said
            figures = judge(folder, loopback.books(simulator), posts_under_way=0)
    finally:
        loopback.close()
    assert figures.accepted == 6
    tell(figures, ids_given_up=len(doubts))


def _again(simulator: Simulator, *words: str) -> tuple[int, str]:
    process = start(simulator.public_url, *words)
    said = process.communicate()[1]
    return process.returncode, said
