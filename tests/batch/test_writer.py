"""The writer: durable before told, together where possible, and never in the loop's thread."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from seedance_async import LedgerError
from seedance_async.batch.schema import connect
from seedance_async.batch.writer import Work, Writer
from seedance_async.simulator.virtualtime import run


def on_writer(path: Path, main: Callable[[Writer], Coroutine[Any, Any, None]]) -> None:
    """Run with a writer on a table `word (text UNIQUE)`, in virtual time."""

    async def whole() -> None:
        writer = Writer(path, partial(connect, path, write=True))
        await writer.start(make_table)
        try:
            await main(writer)
        finally:
            await writer.aclose()

    run(whole)


def make_table(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE word (text UNIQUE)")


def word(text: str) -> Work[None]:
    def work(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO word VALUES (?)", (text,))

    return work


def words(path: Path) -> list[str]:
    """Return what is committed, as another process sees it."""
    connection = sqlite3.connect(path)
    try:
        return [text for (text,) in connection.execute("SELECT text FROM word ORDER BY rowid")]
    finally:
        connection.close()


class Gate:
    """Work that waits in the writer's thread until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, _db: sqlite3.Connection) -> None:
        self.reached.set()
        assert self.opened.wait(10)


def test_what_is_acknowledged_is_committed(tmp_path: Path) -> None:
    """Another connection sees each word as soon as its waiter goes on."""
    path = tmp_path / "db"

    async def main(writer: Writer) -> None:
        for text in "abc":
            await writer.write(word(text))
            assert words(path)[-1] == text

    on_writer(path, main)


def test_those_of_one_iteration_share_a_commit(tmp_path: Path) -> None:
    """200 at once are one commit, and the next 200 of those who woke are one more."""

    async def main(writer: Writer) -> None:
        async def twice(number: int) -> None:
            await writer.write(word(f"{number}"))
            await writer.write(word(f"{number} again"))

        before = writer.commits
        await asyncio.gather(*(twice(number) for number in range(200)))
        assert writer.commits - before == 2

    on_writer(tmp_path / "db", main)
    assert len(words(tmp_path / "db")) == 400


def test_what_comes_during_a_commit_waits_for_the_next_only(tmp_path: Path) -> None:
    """However many come, one after the other, while the disk is slow: two commits in all."""

    async def main(writer: Writer) -> None:
        gate = Gate()
        before = writer.commits
        first = asyncio.ensure_future(writer.write(gate))
        await asyncio.get_running_loop().run_in_executor(None, gate.reached.wait)
        rest = []
        for number in range(50):
            rest.append(asyncio.ensure_future(writer.write(word(f"{number}"))))
            await asyncio.sleep(0)
        assert not any(task.done() for task in rest)
        gate.opened.set()
        await asyncio.gather(first, *rest)
        assert writer.commits - before == 2
        assert writer.pending == 0

    on_writer(tmp_path / "db", main)


def test_a_change_that_refuses_or_breaks_takes_no_other_with_it(tmp_path: Path) -> None:
    """Before its first write or after it, by its own word, a constraint or a slip."""
    ran: list[str] = []

    def half(error: Exception) -> Work[None]:
        def work(db: sqlite3.Connection) -> None:
            ran.append("half")
            db.execute("INSERT INTO word VALUES ('half')")
            raise error

        return work

    def refuse(_db: sqlite3.Connection) -> None:
        raise LedgerError("no")

    async def main(writer: Writer) -> None:
        results = await asyncio.gather(
            writer.write(word("a")),
            writer.write(refuse),
            writer.write(half(LedgerError("halfway"))),
            writer.write(word("a")),
            writer.write(half(ValueError("slip"))),
            writer.write(word("b")),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [
            *(type(None), LedgerError, LedgerError, LedgerError, ValueError, type(None))
        ]
        assert str(results[1]) == "no"
        assert "UNIQUE constraint failed" in str(results[3])

    on_writer(tmp_path / "db", main)
    assert words(tmp_path / "db") == ["a", "b"]
    assert "half" in ran


def test_a_full_disk_fails_those_who_wait_and_nothing_else(tmp_path: Path) -> None:
    """Each gets an error of its own that says what to do; with space the writer goes on."""
    path = tmp_path / "db"

    async def main(writer: Writer) -> None:
        (pages,) = await writer.alone(lambda db: db.execute("PRAGMA page_count").fetchone())
        await writer.alone(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone())
        results = await asyncio.gather(
            *(writer.write(word(letter * 9000)) for letter in "xyz"), return_exceptions=True
        )
        for result in results:
            assert isinstance(result, LedgerError)
            assert "disk is full. Free space on the disk, then run the same comm" in str(result)
        assert len({id(result) for result in results}) == 3
        assert words(path) == []
        await writer.alone(lambda db: db.execute("PRAGMA max_page_count = 10000").fetchone())
        await writer.write(word("there is space"))

    on_writer(path, main)
    assert words(path) == ["there is space"]


def test_a_failing_commit_is_told_to_all_of_its_waiters(tmp_path: Path) -> None:
    """Nothing of it is there; a connection that cannot even roll back is replaced."""
    path = tmp_path / "db"

    class Sick(sqlite3.Connection):
        sick = False

        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if Sick.sick and sql in {"COMMIT", "ROLLBACK"}:
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *args)

    def made() -> sqlite3.Connection:
        return sqlite3.connect(path, factory=Sick, isolation_level=None)

    async def main() -> None:
        writer = Writer(path, made)
        await writer.start(make_table)
        Sick.sick = True
        results = await asyncio.gather(
            *(writer.write(word(letter)) for letter in "xyz"), return_exceptions=True
        )
        assert [type(result) for result in results] == [LedgerError] * 3
        Sick.sick = False
        await writer.write(word("well"))
        await writer.aclose()

    run(main)
    assert words(path) == ["well"]


def test_the_cancelled_wait_until_it_is_known(tmp_path: Path) -> None:
    """However often, and however the moment meets the commit: then the cancellation comes out."""
    path = tmp_path / "db"

    async def main(writer: Writer) -> None:
        gate = Gate()
        first = asyncio.ensure_future(writer.write(gate))
        task = asyncio.ensure_future(writer.write(word("a")))
        await asyncio.sleep(0)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
        gate.opened.set()
        await asyncio.wait({first, task})
        assert task.cancelled()
        assert words(path) == ["a"]
        for number in range(30):
            task = asyncio.ensure_future(writer.write(word(f"{number}")))
            for _ in range(number % 6):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task}, timeout=10)
            assert task.done()
            # Cancelled before it began, or written.
            assert writer.pending == 0
            assert number % 6 == 0 or words(path)[-1] == f"{number}"

    on_writer(path, main)


def test_cancelled_between_the_commit_and_the_waking_it_does_not_hang(tmp_path: Path) -> None:
    """The acknowledgement finds a waiter that is cancelled but has not run since."""

    async def main(writer: Writer) -> None:
        task = asyncio.ensure_future(writer.write(word("a")))
        await asyncio.sleep(0)
        original = writer._acknowledge

        def cancel_first(batch: Any, commits: int) -> None:
            task.cancel()
            original(batch, commits)

        writer._acknowledge = cancel_first  # type: ignore[method-assign]
        done, _ = await asyncio.wait({task}, timeout=10)
        assert done
        assert task.cancelled()

    on_writer(tmp_path / "db", main)


def test_closing_writes_what_was_asked_for(tmp_path: Path) -> None:
    """Then nothing more is taken, and closing again does no harm."""

    async def main(writer: Writer) -> None:
        tasks = [asyncio.ensure_future(writer.write(word(letter))) for letter in "abc"]
        await asyncio.sleep(0)
        await writer.aclose()
        await asyncio.gather(*tasks)
        with pytest.raises(LedgerError, match="is closed; nothing was written"):
            await writer.write(word("d"))
        assert not writer._thread.is_alive()

    on_writer(tmp_path / "db", main)
    assert words(tmp_path / "db") == ["a", "b", "c"]


def test_an_unusable_database_is_told_at_the_start(tmp_path: Path) -> None:
    """With its path; the thread has ended."""
    path = tmp_path / "db"
    path.write_bytes(b"this is no database at all" * 100)

    async def main() -> None:
        writer = Writer(path, partial(connect, path, write=True))
        with pytest.raises(LedgerError, match=r"not a database.*use another --out"):
            await writer.start(lambda _db: None)
        assert not writer._thread.is_alive()

    run(main)


def test_virtual_time_waits_for_the_disk(tmp_path: Path) -> None:
    """A commit takes no virtual time, or every timeout around it would strike."""

    async def main(writer: Writer) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(1e-6):
            for number in range(20):
                await writer.write(word(f"{number}"))
        assert loop.time() == 0

    on_writer(tmp_path / "db", main)


@pytest.mark.parametrize("turns", [1, 8])
def test_of_200_writers_fifty_share_a_commit_and_none_waits_for_a_third(
    turns: int, tmp_path: Path
) -> None:
    """In step; and where each lets the loop turn as often as it likes before its next change."""
    chance = random.Random(7)
    asked: dict[Work[None], int] = {}
    delays: list[int] = []

    async def main(writer: Writer) -> None:
        acknowledge = writer._acknowledge

        def acknowledged(batch: Any, commits: int) -> None:
            delays.extend(commits - asked[change.work] for change in batch)
            acknowledge(batch, commits)

        class Came(deque[Any]):
            def append(self, change: Any) -> None:
                super().append(change)  # the writer's thread may have it before the next line
                asked[change.work] = writer.commits

        writer._acknowledge = acknowledged  # type: ignore[method-assign]
        writer._changes = Came()

        async def write(number: int) -> None:
            for time in range(3):
                for _ in range(chance.randrange(turns)):
                    await asyncio.sleep(0)
                await writer.write(word(f"{number}, {time}"))

        before = writer.commits
        await asyncio.gather(*(write(number) for number in range(200)))
        assert turns > 1 or writer.commits - before == 3

    on_writer(tmp_path / "db", main)
    assert len(delays) == 600
    assert max(delays) <= 2
