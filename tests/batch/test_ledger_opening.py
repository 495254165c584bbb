"""Opening a ledger: what a dead runner left, whose it is, which version, and who may read."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import sys
from pathlib import Path

import attrs
import pytest

from seedance_async import LedgerError
from seedance_async.batch import schema
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Stations
from seedance_async.batch.folder import copy_ledger
from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.jobs import Timings
from tests.batch.ledgers import (
    ORIGIN,
    entries,
    fox,
    on_ledger,
    opened,
    plan,
    states,
    submit,
    succeeded,
    timed_out,
)
from tests.session.scene import run

# --- opening: recovery, origin, versions, rights -----------------------------------------------


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (ORIGIN, ["in_doubt", "submitted", "timed_out", "in_doubt", "succeeded", "planned"]),
        (SIMULATOR, ["planned", "planned", "planned", "in_doubt", "succeeded", "planned"]),
    ],
)
def test_what_a_dead_runner_left_is_set_right(
    origin: str, expected: list[str], tmp_path: Path
) -> None:
    """Under way is in doubt; the jobs of an embedded simulator died with it and cost nothing."""

    async def main() -> None:
        async with await opened(tmp_path, origin) as ledger:
            await plan(ledger, "abcdef")
            ledger.reserve("a", 100)
            await ledger.submitting("a", fox())
            await submit(ledger, "b")
            await submit(ledger, "c")
            await ledger.finished("c", timed_out("id-c"))
            await ledger.submitting("d", fox())
            await ledger.in_doubt("d", "no answer")
            await submit(ledger, "e")
            await ledger.finished("e", succeeded("id-e"))
        async with await opened(tmp_path, origin=None) as ledger:
            assert list((await states(ledger)).values()) == expected
            assert ledger.recovered == (1 if origin == ORIGIN else 3)
            assert ledger.info.origin == origin
            money = await ledger.money()
            assert money.reserved == (100 if origin == ORIGIN else 0)
            if origin == ORIGIN:
                jobs = [(job.key, job.timed_out) async for job in ledger.open_jobs()]
                assert jobs == [("b", False), ("c", True)]
                first, _ = [doubt async for doubt in ledger.doubts()]
                assert first.seen == "the process ended while its POST was under way"
            else:
                await submit(ledger, "a")
                assert (await entries(ledger))["a"].attempts == 2

    run(main)


def test_another_origin_is_refused(tmp_path: Path) -> None:
    """With a proposal; the lock is free afterwards, and the ledger as before."""

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "a")
            await submit(ledger, "a")
        with pytest.raises(LedgerError, match=r"belongs to https://model-api.example, not to simu"):
            await opened(tmp_path, SIMULATOR)
        async with await opened(tmp_path) as ledger:
            assert ledger.info.origin == ORIGIN

    run(main)


def test_a_second_runner_is_told_and_readers_are_not_held(tmp_path: Path) -> None:
    """Reading goes on while a batch writes, and sees what it has committed."""

    async def main(ledger: Ledger) -> None:
        with pytest.raises(LedgerError, match="is in use by process"):
            await opened(tmp_path)
        async with await Ledger.read(tmp_path) as reader:
            assert await states(reader) == {"a": "planned", "b": "planned", "c": "planned"}
            await submit(ledger, "a")
            assert (await reader.counts())[RowState.SUBMITTED] == 1
            with pytest.raises(LedgerError, match="readonly"):
                await reader._ask(lambda db: db.execute("DELETE FROM row"))
        await submit(ledger, "b")

    on_ledger(tmp_path, main)


def test_where_there_is_no_ledger_none_is_made(tmp_path: Path) -> None:
    """Reading, and opening without an origin: both say which folder to give."""

    async def main() -> None:
        for opening in (Ledger.read(tmp_path), opened(tmp_path, origin=None)):
            with pytest.raises(LedgerError, match=r"no ledger in .*: give the --out of a batch"):
                await opening
        assert list(tmp_path.iterdir()) == []
        sqlite3.connect(tmp_path / "ledger.sqlite").close()
        with pytest.raises(LedgerError, match="no ledger"):
            await Ledger.read(tmp_path)

    run(main)


def test_the_migrations_make_the_schema(tmp_path: Path) -> None:
    """From each earlier version, its rows kept, to the same tables as a new ledger's."""

    def tables(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
        return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()

    later = {**schema.MIGRATIONS, 4: "ALTER TABLE row ADD COLUMN note TEXT;\n"}
    for known in (schema.MIGRATIONS, later):
        new = sqlite3.connect(":memory:", isolation_level=None)
        assert schema.migrate(new, known) == {"schema": str(max(known))}
        for version in known:
            old = sqlite3.connect(":memory:", isolation_level=None)
            schema.migrate(old, {n: s for n, s in known.items() if n <= version})
            schema.write_meta(old, origin="x")
            assert schema.migrate(old, known) == {"origin": "x", "schema": str(max(known))}
            assert tables(old) == tables(new)
            old.close()
        new.close()
    broken = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(broken, {**schema.MIGRATIONS, 4: "CREATE TABLE more (a);\nNO SQL;\n"})
    assert tables(broken) == []  # all or nothing
    broken.close()


def test_a_ledger_of_version_1_keeps_all_that_it_has(tmp_path: Path) -> None:
    """Rows, attempts and downloads that were given up; until then a reader says what to do."""
    path = tmp_path / "ledger.sqlite"
    old = sqlite3.connect(path, isolation_level=None)
    schema.migrate(old, {1: schema.MIGRATIONS[1]})
    schema.write_meta(old, origin=ORIGIN, key_version="1", manifest="f00d")
    old.executescript(
        """
        INSERT INTO row (id, key, line, digest, model_id, input, state, attempt, attempts,
          download_error)
        VALUES (1, 'a', 1, 'd1', 'm', '{}', 'succeeded', 1, 1, 'gone (410)'),
          (2, 'B', 2, 'd2', 'm', '{}', 'submitted', 2, 1, NULL),
          (3, 'b', 3, 'd3', 'm', '{}', 'planned', NULL, 0, NULL);
        INSERT INTO attempt (id, row, n, state, request_id, cost, submitted_at, video_url)
        VALUES (1, 1, 1, 'succeeded', 'id-a', 250000, 1.0, 'https://x/a.mp4'),
          (2, 2, 1, 'submitted', 'id-b', NULL, 2.0, NULL);
        """
    )
    old.close()

    async def main() -> None:
        with pytest.raises(LedgerError, match=r"older seedance-async \(schema 1, this one reads 3"):
            await Ledger.read(tmp_path)
        async with await opened(tmp_path) as ledger:
            assert await states(ledger) == {"a": "succeeded", "B": "submitted", "b": "planned"}
            assert ledger.info.manifest == "f00d"
            assert [video async for video in ledger.ready_videos()] == []
            (video,) = [video async for video in ledger.ready_videos(final=True)]
            assert (video.key, video.request_id, video.more) == ("a", "id-a", ())
            assert [job.key async for job in ledger.open_jobs()] == ["B"]
            assert await ledger.name_is_taken("b")
            assert await ledger.invalid_lines() == 0
            assert (await ledger.money()).settled == 250_000
        async with await Ledger.read(tmp_path) as reader:
            assert len(await states(reader)) == 3

    run(main)


def test_a_ledger_of_version_2_knows_no_stations_until_jobs_end_anew(tmp_path: Path) -> None:
    """Its jobs keep what is known of them; one that is under way ends with all that is told."""
    path = tmp_path / "ledger.sqlite"
    old = sqlite3.connect(path, isolation_level=None)
    schema.migrate(old, {n: schema.MIGRATIONS[n] for n in (1, 2)})
    schema.write_meta(old, origin=ORIGIN, key_version="1", manifest="f00d")
    old.executescript(
        """
        INSERT INTO row (id, key, line, digest, model_id, input, state, attempt, attempts, file,
          bytes, sha256)
        VALUES (1, 'a', 1, 'd1', 'm', '{}', 'downloaded', 1, 1, 'videos/a.mp4', 9, 'f00d'),
          (2, 'b', 2, 'd2', 'm', '{}', 'submitted', 2, 1, NULL, NULL, NULL);
        INSERT INTO attempt (id, row, n, state, request_id, submitted_at, accepted_at, finished_at,
          video_url)
        VALUES (1, 1, 1, 'succeeded', 'id-a', 1.0, 2.0, 60.0, 'https://x/a.mp4'),
          (2, 2, 1, 'submitted', 'id-b', 3.0, 4.0, NULL, NULL);
        """
    )
    old.close()

    async def main() -> None:
        with pytest.raises(LedgerError, match=r"\(schema 2, this one reads 3\).*brings it up to"):
            await Ledger.read(tmp_path)
        async with await opened(tmp_path) as ledger:
            first, second = [job async for job in ledger.known_jobs()]
            assert first.stations == second.stations == Stations()
            assert (first.accepted_at, first.finished_at) == (2.0, 60.0)
            way = Timings(submitted_at=3.0, in_progress_at=9.0, polls=4)
            await ledger.finished("b", attrs.evolve(succeeded("id-b"), timings=way))
        async with await Ledger.read(tmp_path) as reader:
            rows = {row.entry.key: row async for row in reader.full_rows()}
            assert rows["a"].stations == Stations()
            assert rows["a"].entry.file == "videos/a.mp4"
            assert rows["b"].stations == Stations(in_progress_at=9.0, polls=4)

    run(main)


def test_the_version_before_refuses_this_ledger(tmp_path: Path) -> None:
    """It would end jobs without their stations, so it says that it must be upgraded first."""

    async def main() -> None:
        await (await opened(tmp_path)).aclose()
        before = {n: schema.MIGRATIONS[n] for n in (1, 2)}
        connection = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
        with pytest.raises(LedgerError, match=r"newer seedance-async \(schema 3, this one knows 2"):
            schema.migrate(connection, before)
        connection.close()

    run(main)


def test_keys_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    """They cannot be derived here, so its rows would be new ones and paid for again."""

    async def main() -> None:
        await (await opened(tmp_path, key_version=7)).aclose()
        before = (tmp_path / "ledger.sqlite").read_bytes()
        with pytest.raises(LedgerError, match=r"newer seedance-async \(version 7, .* 1\): upgrade"):
            await opened(tmp_path)
        assert (tmp_path / "ledger.sqlite").read_bytes() == before
        async with await opened(tmp_path, key_version=8) as ledger:
            assert ledger.info.key_version == 7  # what made its keys stays recorded
        async with await Ledger.read(tmp_path) as reader:
            assert reader.info.key_version == 7

    run(main)


# --- copies ------------------------------------------------------------------------------------


def test_a_copy_has_all_that_was_committed_and_changes_nothing(tmp_path: Path) -> None:
    """Also while a batch writes; what is done with the copy stays there."""

    async def main() -> None:
        assert not await copy_ledger(tmp_path / "none", tmp_path / "copy")
        assert not (tmp_path / "copy").exists()
        async with await opened(tmp_path / "out") as ledger:
            await plan(ledger, "abc")
            await ledger.submitting("a", fox())
            assert await copy_ledger(tmp_path / "out", tmp_path / "copy")
            async with await opened(tmp_path / "copy") as copy:
                assert copy.recovered == 1
                await submit(copy, "b")
                assert await states(ledger) == {"a": "submitting", "b": "planned", "c": "planned"}
            assert await copy_ledger(tmp_path / "out", tmp_path / "copy")
            async with await Ledger.read(tmp_path / "copy") as again:
                assert await states(again) == await states(ledger)

    run(main)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".lock"}


def test_copying_leaves_the_log_of_a_killed_batch_alone(tmp_path: Path) -> None:
    """What it holds is in the copy; the folder is as before, killed or ended."""

    async def main() -> None:
        async with await opened(tmp_path / "out") as ledger:
            await plan(ledger, "ab")
            await submit(ledger, "a")
            shutil.copytree(tmp_path / "out", tmp_path / "killed")
        for name in ("out", "killed"):
            logged = (tmp_path / name / "ledger.sqlite-wal").exists()
            assert logged == (name == "killed")
            before = contents(tmp_path / name)
            assert await copy_ledger(tmp_path / name, tmp_path / "copy")
            after = contents(tmp_path / name)
            for found in (before, after):
                found.pop("ledger.sqlite-shm", None)  # the index of the log in memory
            assert before == after
            async with await Ledger.read(tmp_path / "copy") as copy:
                assert await states(copy) == {"a": "submitted", "b": "planned"}

    run(main)


def test_a_copy_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    """No ledger of ours, or no folder to write to."""
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ledger.sqlite").write_text("no database at all, but long enough a text")

    async def main() -> None:
        with pytest.raises(LedgerError, match="not a database"):
            await copy_ledger(tmp_path / "out", tmp_path / "copy")
        with pytest.raises(LedgerError, match=r"cannot make the folder .*/file/copy"):
            await copy_ledger(tmp_path / "out", tmp_path / "file" / "copy")

    run(main)


# --- what is refused ---------------------------------------------------------------------------


def test_a_newer_ledger_and_a_foreign_database_are_refused(tmp_path: Path) -> None:
    """Untouched, with what to do."""

    async def main() -> None:
        await (await opened(tmp_path / "new")).aclose()
        newer = sqlite3.connect(tmp_path / "new" / "ledger.sqlite")
        newer.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
        newer.commit()
        newer.close()
        for opening in (opened(tmp_path / "new"), Ledger.read(tmp_path / "new")):
            with pytest.raises(LedgerError, match=r"newer seedance-async \(schema 99, .*upgrade"):
                await opening
        (tmp_path / "foreign").mkdir()
        foreign = sqlite3.connect(tmp_path / "foreign" / "ledger.sqlite")
        foreign.execute("CREATE TABLE recipes (name)")
        foreign.close()
        with pytest.raises(LedgerError, match=r"no ledger of ours \(it has the tables recipes\)"):
            await opened(tmp_path / "foreign")

    run(main)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """With the reason and the way out."""
    (tmp_path / "file").write_text("in the way")

    async def main() -> None:
        with pytest.raises(LedgerError, match=r"cannot make the folder .*/file/out: .* another"):
            await opened(tmp_path / "file" / "out")

    run(main)


def test_closing_twice_is_fine_and_closed_is_closed(tmp_path: Path) -> None:
    """Whoever asks later gets an error of ours."""

    async def main() -> None:
        ledger = await opened(tmp_path)
        await ledger.aclose()
        await ledger.aclose()
        for late in (ledger.counts(), ledger.submitting("a", fox())):
            with pytest.raises(LedgerError, match="is closed"):
                await late

    run(main)


@pytest.mark.skipif(sys.platform == "win32", reason="rights are otherwise there")
def test_a_copy_in_a_folder_without_rights_can_be_read(tmp_path: Path) -> None:
    """As from an archive: nothing can be written beside it."""

    async def main() -> None:
        async with await opened(tmp_path / "out") as ledger:
            await plan(ledger, "ab")
        shutil.copytree(tmp_path / "out", tmp_path / "archive")
        (tmp_path / "archive" / "ledger.sqlite").chmod(stat.S_IRUSR)
        (tmp_path / "archive").chmod(stat.S_IRUSR | stat.S_IXUSR)
        try:
            async with await Ledger.read(tmp_path / "archive") as reader:
                assert list(await states(reader)) == ["a", "b"]
        finally:
            (tmp_path / "archive").chmod(stat.S_IRWXU)

    run(main)
