"""The judge: the service's books against the ledger on disk, read with SQL of its own.

It shares no code with the ledger, so a ledger that misreads itself is found out.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

import attrs

from seedance_async.simulator import Books

__all__ = ["Figures", "judge"]

_UNKNOWN = frozenset({"submitting", "in_doubt"})

_QUERY = """
SELECT row.key, row.state, row.model_id, row.input, row.file, row.bytes,
       attempt.state AS attempt_state, attempt.request_id
FROM row LEFT JOIN attempt ON attempt.row = row.id
ORDER BY row.id, attempt.n
"""


@attrs.frozen
class Figures:
    """What a trial came to; figures of several trials can be added.

    Attributes:
        accepted: Generations that the service took on.
        billed_twice: Requests of which a second was accepted while a first might be billed.
        paid_and_lost: Accepted ids that the ledger neither has nor sets aside as a doubt.
        doubts: Rows that are set aside, or whose POST was under way, as the ledger lies there.
        needless_doubts: Of these, those that came to be without a POST under way.
        faults: Faults that the service brought in.
    """

    accepted: int = 0
    billed_twice: int = 0
    paid_and_lost: int = 0
    doubts: int = 0
    needless_doubts: int = 0
    faults: int = 0

    def __add__(self, other: Figures) -> Figures:
        names = attrs.fields_dict(Figures)
        return Figures(**{name: getattr(self, name) + getattr(other, name) for name in names})


def judge(folder: Path, *books: Books, posts_under_way: int | None = None) -> Figures:
    """Compare what was accepted with what the ledger of a folder knows, and assert the promises.

    A folder without a ledger may know nothing, if nothing was accepted.

    Args:
        folder: The batch's folder; it is copied first, so that looking changes nothing.
        books: Of the service, or of all its lives.
        posts_under_way: How many POSTs may have been under way without an answer that could be
            believed, in all runs so far; more doubts than that are needless. None: not known,
            so none is called needless.

    Returns:
        The figures; the first two that must be zero are.

    Raises:
        AssertionError: Something was paid twice, or paid and lost, a token went to a video
            host, or a video that the ledger calls downloaded is not whole.
    """
    attempts = _read(folder)
    doubts = {row["key"] for row in attempts if row["state"] in _UNKNOWN}
    known = {row["request_id"] for row in attempts if row["request_id"]}
    set_aside = Counter(_body(row) for row in attempts if row["attempt_state"] in _UNKNOWN)
    lost = []
    for entry in (entry for book in books for entry in book.accepted):
        if entry.request_id in known:
            continue
        body = entry.model_id, _canonical(entry.body)
        if set_aside[body] > 0:  # a doubt covers one accepted job, not two
            set_aside[body] -= 1
        else:
            lost.append(entry.request_id)
    accepted = {entry.request_id for book in books for entry in book.accepted}
    twice = [body for book in books for body in book.paid_twice()]
    needless = 0 if posts_under_way is None else max(0, len(doubts) - posts_under_way)
    assert not twice, f"paid twice: {twice}"
    assert not lost, f"paid and lost: {lost}"
    assert known <= accepted, f"ids that nobody gave out: {known - accepted}"
    assert not [target for book in books for target in book.token_leaks]
    assert not needless, f"{len(doubts)} doubts, {posts_under_way} POSTs were under way: {doubts}"
    for row in attempts:
        if row["state"] == "downloaded":
            assert (folder / row["file"]).stat().st_size == row["bytes"], row["key"]
    return Figures(
        accepted=sum(len(book.accepted) for book in books),
        billed_twice=len(twice),
        paid_and_lost=len(lost),
        doubts=len(doubts),
        needless_doubts=needless,
    )


def _read(folder: Path) -> list[sqlite3.Row]:
    """Read all rows with their attempts from a copy: a reader would fold a dead run's log in."""
    if not (folder / "ledger.sqlite").exists():
        return []
    with tempfile.TemporaryDirectory() as name:
        for path in folder.glob("ledger.sqlite*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, name)
        with closing(sqlite3.connect(Path(name) / "ledger.sqlite")) as connection:
            connection.row_factory = sqlite3.Row
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            return connection.execute(_QUERY).fetchall() if "attempt" in tables else []


def _body(row: sqlite3.Row) -> tuple[str, str]:
    return row["model_id"], _canonical(row["input"])


def _canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)
