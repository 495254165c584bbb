"""The judge itself, before forged books and forged ledgers: what it must find, it finds."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from seedance_async.batch.schema import MIGRATIONS
from seedance_async.simulator import Books, Fault, FaultPlan, Simulator
from seedance_async.simulator.media import video
from tests.simulator.asking import FAST, LATER, Asking
from tests.torture.judge import Figures, judge

FOX: Final = {"text": "A fox"}
MADE: Final = video("480p", "16:9").content
"""What the service makes of a request that does not say how the video shall look."""


@attrs.frozen
class Forger:
    """Writes a ledger row by row, true or not."""

    folder: Path

    def __attrs_post_init__(self) -> None:
        with closing(sqlite3.connect(self.folder / "ledger.sqlite")) as connection:
            for script in MIGRATIONS.values():
                connection.executescript(script)

    def row(self, state: str, *attempts: dict[str, Any], current: int = -1, **more: Any) -> None:
        """Write a row of the fox, and its attempts in their order."""
        with closing(sqlite3.connect(self.folder / "ledger.sqlite")) as connection, connection:
            (rows,) = connection.execute("SELECT count(*) FROM row").fetchone()
            fields = {"key": f"fox {rows}", "digest": "", "model_id": FAST, "input": dumped(FOX)}
            row = _insert(connection, "row", fields | {"state": state} | more)
            ids = [
                _insert(connection, "attempt", {"row": row, "n": n, "submitted_at": 0.0} | fields)
                for n, fields in enumerate(attempts)
            ]
            if ids:
                connection.execute("UPDATE row SET attempt = ? WHERE id = ?", (ids[current], row))


def _insert(connection: sqlite3.Connection, table: str, fields: dict[str, Any]) -> int:
    names, marks = ", ".join(fields), ", ".join("?" * len(fields))
    command = f"INSERT INTO {table} ({names}) VALUES ({marks})"
    row = connection.execute(command, [*fields.values()]).lastrowid
    assert row is not None
    return row


def dumped(value: object) -> str:
    return json.dumps(value)


@pytest.fixture
def forger(tmp_path: Path) -> Forger:
    return Forger(tmp_path)


def books_of(*bodies: dict[str, Any], seed: int = 1, faults: tuple[Fault, ...] = ()) -> Books:
    """Return the books of a service that accepted these requests."""
    there = Asking(Simulator(seed=seed, faults=FaultPlan(faults)))
    for body in bodies:
        there.accept(body)
    there.now = LATER
    there.send("GET", "/v1/models")  # it lets all come to its end
    return there.simulator.books


def id_of(books: Books, number: int = 0) -> str:
    return books.accepted[number].request_id


# --- paid, and the ledger says that it is not ------------------------------------------------


@pytest.mark.parametrize("state", ["planned", "cancelled", "failed"])
def test_never_loses_what_was_paid_to_a_row_that_says_it_was_not(
    state: str, forger: Forger
) -> None:
    """The id is known, and nobody would ever look for its video."""
    books = books_of(FOX)
    ended = "submitted" if state == "planned" else state
    forger.row(state, {"state": ended, "request_id": id_of(books)})
    with pytest.raises(AssertionError, match=rf"paid, and the ledger says.*fox 0 is .*{state}"):
        judge(forger.folder, books)


@pytest.mark.parametrize("state", ["cancelled", "not_billed"])
def test_never_loses_what_was_paid_to_an_attempt_that_another_replaced(
    state: str, forger: Forger
) -> None:
    """What was paid under an earlier attempt is paid."""
    books = books_of(FOX)
    before = {"state": state, "request_id": id_of(books)}
    forger.row("in_doubt", before, {"state": "in_doubt"})
    with pytest.raises(AssertionError, match="paid, and the ledger says that it is not"):
        judge(forger.folder, books)


def test_never_lies_about_rows_that_failed_for_cause(forger: Forger) -> None:
    """A job that failed is not billed; one that ended without a video is, and nothing is there."""
    failing = books_of(FOX, faults=(Fault("failed"),))
    forger.row("failed", {"state": "failed", "request_id": id_of(failing)})
    empty = books_of({"text": "A hen"}, seed=2, faults=(Fault("no-video"),))
    ended = {"state": "failed", "request_id": id_of(empty), "error_kind": "NoVideo"}
    forger.row("failed", ended, input=dumped({"text": "A hen"}))
    assert judge(forger.folder, failing, empty).accepted == 2


# --- paid twice ------------------------------------------------------------------------------


def test_never_pays_twice_in_two_lives_of_a_service(forger: Forger) -> None:
    """Each book alone is in order; together they have billed one request twice."""
    first, second = books_of(FOX), books_of(FOX, seed=2)
    forger.row("submitted", {"state": "submitted", "request_id": id_of(first)})
    forger.row("submitted", {"state": "submitted", "request_id": id_of(second)})
    assert not first.paid_twice()
    assert not second.paid_twice()
    with pytest.raises(AssertionError, match=r"paid twice:.*A fox"):
        judge(forger.folder, first, second)


def test_never_lies_that_a_failed_job_was_paid_in_an_earlier_life(forger: Forger) -> None:
    """Nothing was billed for it, so that it may be sent again."""
    first, second = books_of(FOX, faults=(Fault("failed"),)), books_of(FOX, seed=2)
    attempts = [{"state": "failed", "request_id": id_of(first)}]
    attempts += [{"state": "submitted", "request_id": id_of(second)}]
    forger.row("submitted", *attempts)
    assert judge(forger.folder, first, second).accepted == 2


# --- what a doubt covers ---------------------------------------------------------------------


def test_never_lies_that_an_old_doubt_covers_what_is_lost(forger: Forger) -> None:
    """A doubt that another attempt followed covers nothing any more: that one was not billed."""
    failed, later = books_of(FOX, faults=(Fault("failed"),)), books_of(FOX, seed=2)
    forger.row("in_doubt", {"state": "in_doubt"}, {"state": "in_doubt"})
    with pytest.raises(AssertionError, match="paid and lost"):
        judge(forger.folder, failed, later)


def test_never_lies_that_an_attempt_covers_what_its_row_would_send_again(forger: Forger) -> None:
    """A row that reads planned is submitted again, whatever its attempt says."""
    books = books_of(FOX)
    forger.row("planned", {"state": "in_doubt"})
    with pytest.raises(AssertionError, match="paid and lost"):
        judge(forger.folder, books)


def test_never_lies_about_a_doubt_that_covers_one_job_and_no_second(forger: Forger) -> None:
    """The same doubt for two accepted jobs would hide one of them."""
    books = books_of(FOX, seed=1, faults=(Fault("failed"),))
    later = books_of(FOX, seed=2)
    forger.row("in_doubt", {"state": "in_doubt"})
    assert judge(forger.folder, later, posts_under_way=1).doubts == 1
    with pytest.raises(AssertionError, match="paid and lost"):
        judge(forger.folder, books, later)


# --- videos ----------------------------------------------------------------------------------


def downloaded(forger: Forger, books: Books, content: bytes, **noted: Any) -> None:
    """Write a row that says its video is there, and a file."""
    (forger.folder / "fox.mp4").write_bytes(content)
    whole: dict[str, Any] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    attempt = {"state": "succeeded", "request_id": id_of(books)}
    forger.row("downloaded", attempt, file="fox.mp4", **whole | noted)


def test_never_lies_about_a_video_that_is_there(forger: Forger) -> None:
    """The bytes are those which the service made, and the ledger's size and digest are theirs."""
    books = books_of(FOX)
    downloaded(forger, books, MADE)
    assert judge(forger.folder, books) == Figures(accepted=1, needless_doubts=None)


@pytest.mark.parametrize(
    ("content", "noted"),
    [
        (b"<html>" + MADE[6:], {}),
        (b"<html>" + MADE[6:], {"sha256": hashlib.sha256(MADE).hexdigest()}),
        (MADE[:-1], {}),
        (video("720p", "16:9").content, {}),
        (MADE, {"bytes": 1}),
        (MADE, {"sha256": "0" * 64}),
    ],
    ids=[
        "other bytes",
        "other bytes than noted",
        "cut",
        "of another request",
        "other size",
        "other digest",
    ],
)
def test_never_lies_that_a_video_is_the_one_that_was_made(
    content: bytes, noted: dict[str, Any], forger: Forger
) -> None:
    """A file of the noted size may still be another's, or none at all."""
    books = books_of(FOX)
    downloaded(forger, books, content, **noted)
    with pytest.raises(AssertionError, match="fox 0"):
        judge(forger.folder, books)


# --- needless doubts -------------------------------------------------------------------------


def test_never_lies_that_no_doubt_was_needless_if_nobody_looked(forger: Forger) -> None:
    """Not checked is not zero, also in a sum."""
    forger.row("in_doubt", {"state": "in_doubt"})
    looked = judge(forger.folder, posts_under_way=1)
    blind = judge(forger.folder)
    assert (looked.needless_doubts, blind.needless_doubts) == (0, None)
    assert (looked + blind).needless_doubts is None
    assert (blind + looked).doubts == 2
    with pytest.raises(AssertionError, match="1 doubts, 0 POSTs"):
        judge(forger.folder, posts_under_way=0)
