"""The book: words that are written together end as if each were written by itself."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from seedance_async import Outcome
from seedance_async.batch.book import Book
from seedance_async.batch.edges import EDGES, Cause, RowState
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.schema import MIGRATIONS, migrate
from seedance_async.errors import IdTakenError, LedgerError
from tests.batch.ledgers import (
    cancelled,
    entries,
    failed,
    fox,
    lost,
    opened,
    plan,
    states,
    submit,
    succeeded,
    timed_out,
)
from tests.session.scene import run

_KEYS: Final = "abcdefghijkl"


def _rows(folder: Path) -> list[tuple[Any, ...]]:
    """Return all rows with all their attempts, but for the attempts' own numbers."""
    query = (
        "SELECT r.*, c.n, a.* FROM row r LEFT JOIN attempt c ON c.id = r.attempt"
        " LEFT JOIN attempt a ON a.row = r.id ORDER BY r.id, a.n"
    )
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        found = connection.execute(query)
        names = [column[0] for column in found.description]
        second = names.index("id", 1)
        left_out = {names.index("attempt"), second}
        return [tuple(value for n, value in enumerate(row) if n not in left_out) for row in found]


def _words(ledger: Ledger, chance: random.Random) -> list[Coroutine[Any, Any, Any]]:
    """Return a word for each of some rows, some of them twice, whether it fits or not."""
    keys = chance.choices(_KEYS, k=chance.randint(2, len(_KEYS)))
    return [_word(ledger, key, chance) for key in keys]


def _word(ledger: Ledger, key: str, chance: random.Random) -> Coroutine[Any, Any, Any]:
    name = f"id-{chance.choice(_KEYS) if chance.random() < 0.1 else key}"
    ends: list[Callable[[str], Outcome]] = [succeeded, failed, cancelled, timed_out, lost]
    match chance.randrange(12):
        case 0 | 1 | 2:
            return ledger.submitting(key, fox())
        case 3 | 4 | 5:
            return ledger.accepted(key, name)
        case 6 | 7:
            return ledger.finished(key, chance.choice(ends)(name))
        case 8:
            return ledger.not_sent(key, "429")
        case 9:
            return ledger.in_doubt(key, "no answer")
        case 10:
            return ledger.downloaded(key, f"{key}.mp4", 1, "x")
        case _:
            return ledger.resolve(key, not_billed=True)


async def _night(folder: Path, seed: int, *, together: bool) -> list[str]:
    """Let rounds of words come at once, or one after the other; return what came of each."""
    told = []
    async with await opened(folder) as ledger:
        await plan(ledger, _KEYS)
        chance = random.Random(seed)
        for _ in range(25):
            words = _words(ledger, chance)
            if together:
                found = await asyncio.gather(*words, return_exceptions=True)
            else:
                found = [(await asyncio.gather(word, return_exceptions=True))[0] for word in words]
            told += [repr(each) for each in found]
    return told


@pytest.mark.parametrize("seed", range(12))
def test_words_told_at_once_end_as_those_told_one_by_one(seed: int, tmp_path: Path) -> None:
    """Rows, attempts, answers and errors are equal, fitting words or not."""
    found = {}
    for together in (True, False):
        folder = tmp_path / str(together)

        async def main(folder: Path = folder, together: bool = together) -> None:
            found[together] = await _night(folder, seed, together=together)

        run(main)
    assert found[True] == found[False]
    assert any("LedgerError" in each for each in found[True])
    assert _rows(tmp_path / "True") == _rows(tmp_path / "False")


def test_an_id_that_is_taken_is_refused_among_words_that_are_written(tmp_path: Path) -> None:
    """Whoever comes second is told whose it is; all others of the commit are on the disk."""

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "abcd")
            await asyncio.gather(*(ledger.submitting(key, fox()) for key in "abcd"))
            before = ledger.commits[0]
            found = await asyncio.gather(
                *(ledger.accepted(key, name) for key, name in zip("abcd", "1223", strict=True)),
                return_exceptions=True,
            )
            assert ledger.commits[0] == before + 1
            assert [type(each) for each in found] == [
                *(type(None), type(None), IdTakenError, type(None))
            ]
            assert "belongs to row 'b'" in str(found[2])
            assert [entry.request_id for entry in (await entries(ledger)).values()] == [
                "1",
                "2",
                None,
                "3",
            ]

    run(main)


def test_two_words_of_a_row_in_one_commit_are_written_in_their_order(tmp_path: Path) -> None:
    """Also where another row's end has come before, whose kind would then be written first."""

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "ab")
            await submit(ledger, "a")
            await ledger.submitting("b", fox())
            before = ledger.commits[0]
            await asyncio.gather(
                ledger.finished("a", succeeded("id-a")),
                ledger.accepted("b", "id-b"),
                ledger.finished("b", succeeded("id-b")),
                ledger.downloaded("b", "b.mp4", 1, "x"),
            )
            assert ledger.commits[0] == before + 1
            assert await states(ledger) == {"a": "succeeded", "b": "downloaded"}
            jobs = [job async for job in ledger.known_jobs()]
            assert [job.state for job in jobs] == [RowState.SUCCEEDED] * 2

    run(main)


def test_what_a_refused_commit_said_is_not_known_afterwards(tmp_path: Path) -> None:
    """A word whose commit failed may be told again, and is written then."""

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "ab")
            writer = ledger._writer
            (pages,) = await writer.alone(lambda db: db.execute("PRAGMA page_count").fetchone())
            limit = "PRAGMA max_page_count = {}".format
            await writer.alone(lambda db: db.execute(limit(pages)).fetchone())
            found = await asyncio.gather(
                ledger.submitting("a", fox()),
                ledger.in_doubt("a", "x" * 100_000),
                ledger.submitting("b", fox()),
                return_exceptions=True,
            )
            assert all("disk is full" in str(each) for each in found)
            await writer.alone(lambda db: db.execute(limit(10_000)).fetchone())
            assert await states(ledger) == {"a": "planned", "b": "planned"}
            await asyncio.gather(*(ledger.submitting(key, fox()) for key in "ab"))
            assert await states(ledger) == {"a": "submitting", "b": "submitting"}

    run(main)


def test_a_row_is_looked_up_once_on_its_way(tmp_path: Path) -> None:
    """And forgotten at its end, so that the book does not grow with the batch."""

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "ab")
            ran: list[str] = []
            await ledger._writer.alone(lambda db: db.set_trace_callback(ran.append))
            for key in "ab":
                await submit(ledger, key)
                await ledger.finished(key, succeeded(f"id-{key}"))
            await ledger._writer.alone(lambda db: db.set_trace_callback(None))
            assert len([sql for sql in ran if "LEFT JOIN attempt" in sql]) == 2
            assert not ledger._writer._book._known

    run(main)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, MIGRATIONS)
        yield connection


def test_the_schema_takes_each_state_that_a_change_may_write(db: sqlite3.Connection) -> None:
    """Else an allowed change would be refused by the database, once it is too late."""
    db.execute("INSERT INTO row (key, digest, model_id, input) VALUES ('a', '', '', '')")
    db.execute("INSERT INTO attempt (row, n, state, submitted_at) VALUES (1, 1, 'planned', 0)")
    reached = {after for edges in EDGES.values() for ends in edges.values() for after in ends}
    assert reached == set(RowState)
    for state in RowState:
        db.execute("UPDATE row SET state = ?", (state.value,))
    for state in {after for ends in EDGES[Cause.RUN].values() for after in ends}:
        if state is not RowState.DOWNLOADED:  # of rows alone
            db.execute("UPDATE attempt SET state = ?", (state.value,))


def test_a_book_by_itself_writes_at_once(db: sqlite3.Connection) -> None:
    """So that an error comes out of the change that it is about."""
    db.execute("CREATE TABLE word (id INTEGER, text UNIQUE)")
    book = Book()
    book.write(db, "INSERT INTO word VALUES (?, ?)", (1, "a"))
    with pytest.raises(sqlite3.IntegrityError):
        book.write(db, "INSERT INTO word VALUES (?, ?)", (2, "a"))
    book.move(db, 1, "UPDATE word SET text = ? WHERE id IN (SELECT value FROM json_each(?))", "b")
    assert db.execute("SELECT * FROM word").fetchall() == [(1, "b")]
    with pytest.raises(LedgerError, match="there is no row"):
        book.find(db, "a")
