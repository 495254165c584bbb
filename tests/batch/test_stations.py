"""What the ledger keeps of a job's way: written with its end, read by the report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from seedance_async import Outcome, Succeeded
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import FullRow, KnownJob, Stations
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.reading import LedgerReader
from seedance_async.jobs import Timings
from tests.session.scene import run

from .ledgers import NOON, failed, opened, plan, submit, succeeded, timed_out
from .night import Night, foxes

MADE = datetime.fromtimestamp(NOON + 1, UTC)
OVER = datetime.fromtimestamp(NOON + 60, UTC)
SEEN = Timings(
    submitted_at=NOON,
    accepted_at=NOON + 1,
    in_progress_at=NOON + 9,
    known_at=NOON + 62,
    created_at=MADE,
    finished_at=OVER,
    polls=7,
)
LATER = attrs.evolve(SEEN, submitted_at=None, in_progress_at=NOON + 50, polls=2)
"""What a run tells that has attached the job."""


def told(outcome: Outcome, timings: Timings) -> Outcome:
    return attrs.evolve(outcome, timings=timings)


async def jobs(ledger: LedgerReader) -> list[KnownJob]:
    return [job async for job in ledger.known_jobs()]


async def rows(ledger: LedgerReader) -> dict[str, FullRow]:
    return {row.entry.key: row async for row in ledger.full_rows()}


async def stations(ledger: LedgerReader) -> Stations:
    """Return those of the only job, which its row and its attempt tell alike."""
    (job,) = await jobs(ledger)
    (row,) = (await rows(ledger)).values()
    assert row.stations == job.stations
    return job.stations


def test_the_end_of_a_job_brings_its_stations_in_the_same_commit(tmp_path: Path) -> None:
    """As they were told; no change and no commit more than before."""

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "a")
            await submit(ledger, "a")
            before = ledger.commits[1]
            await ledger.finished("a", told(succeeded("id-a"), SEEN))
            assert ledger.commits[1] - before == 1
            assert await stations(ledger) == Stations(NOON + 9, NOON + 1, NOON + 60, 7)

    run(main)


def test_what_a_run_that_came_later_cannot_know_is_not_told(tmp_path: Path) -> None:
    """When its run began, and how often it was polled before; the service's times are known."""

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "a")
            await submit(ledger, "a")
            await ledger.finished("a", told(succeeded("id-a"), LATER))
            assert await stations(ledger) == Stations(None, NOON + 1, NOON + 60, None)

    run(main)


def test_what_the_first_run_saw_outlives_its_deadline(tmp_path: Path) -> None:
    """It saw the job in progress and let go of it; its count of polls is no longer the whole."""

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "a")
            await submit(ledger, "a")
            await ledger.finished("a", told(timed_out("id-a"), SEEN))
            await ledger.finished("a", told(succeeded("id-a"), LATER))
            found = await stations(ledger)
            assert (found.in_progress_at, found.polls) == (NOON + 9, None)

    run(main)


def test_a_download_has_its_times_and_a_file_that_is_gone_has_none(tmp_path: Path) -> None:
    """In one commit too; the next download has times of its own."""
    clock = [NOON]

    async def main() -> None:
        async with await opened(tmp_path, clock=lambda: clock[0]) as ledger:
            await plan(ledger, "a")
            await submit(ledger, "a")
            await ledger.finished("a", succeeded("id-a"))
            clock[0] = NOON + 65
            before = ledger.commits[1]
            await ledger.downloaded("a", "videos/a.mp4", 9, "0" * 64, began=NOON + 63)
            assert ledger.commits[1] - before == 1
            found = await stations(ledger)
            assert (found.download_began_at, found.downloaded_at) == (NOON + 63, NOON + 65)
            assert await ledger.look_for_files(tmp_path) == 1
            assert await stations(ledger) == Stations()

    run(main)


def test_another_attempt_has_stations_of_its_own(tmp_path: Path) -> None:
    """The download is that of the current attempt alone."""

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "a")
            await submit(ledger, "a", "id-1")
            await ledger.finished("a", told(failed("id-1"), SEEN))
            await ledger.retry([RowState.FAILED])
            await submit(ledger, "a", "id-2")
            await ledger.finished("a", succeeded("id-2"))
            await ledger.downloaded("a", "videos/a.mp4", 9, "0" * 64, began=NOON - 2)
            first, second = await jobs(ledger)
            assert (first.stations.polls, first.stations.downloaded_at) == (7, None)
            assert (second.stations.polls, second.stations.downloaded_at) == (None, NOON)

    run(main)


@pytest.mark.parametrize("faults", [[], ["no-times=1"]])
def test_a_batch_knows_the_way_of_each_of_its_jobs(faults: list[str], tmp_path: Path) -> None:
    """What the outcomes tell and what the ledger has are the same, to the poll."""

    async def main() -> None:
        night = Night(tmp_path, capacity=2, faults=faults)
        await night.run(foxes(6))
        seen = {change.key: change.outcome for change in night.changes if change.outcome}
        async with await Ledger.read(tmp_path) as ledger:
            found = await rows(ledger)
        polls = 0
        for key, row in found.items():
            outcome = seen[key]
            assert isinstance(outcome, Succeeded)
            at, timings = row.stations, outcome.timings
            assert (at.in_progress_at, at.polls) == (timings.in_progress_at, timings.polls)
            assert at.over_at == (timings.finished_at and timings.finished_at.timestamp())
            assert (at.over_at is None) == bool(faults)
            assert row.entry.finished_at is not None
            assert at.download_began_at is not None
            assert at.downloaded_at is not None
            assert row.entry.finished_at <= at.download_began_at <= at.downloaded_at
            assert row.entry.request_id is not None
            polls += at.polls or 0
            assert at.polls == night.simulator.books.polls(row.entry.request_id)
        assert polls >= 12

    run(main)
