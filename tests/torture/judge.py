"""The judge: the service's books against the ledger on disk, read with SQL of its own.

It shares no code with the ledger, so a ledger that misreads itself is found out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import attrs

from seedance_async.simulator import Books
from seedance_async.simulator.books import Acceptance
from seedance_async.simulator.catalog import shipped
from seedance_async.simulator.media import video

__all__ = ["Figures", "judge"]

Body: TypeAlias = tuple[str, str]
"""A request as the service and the ledger both know it: model, and input in one spelling."""

_UNKNOWN: Final = frozenset({"submitting", "in_doubt"})
_UNPAID: Final = frozenset({"planned", "not_billed", "cancelled", "failed"})
"""States in which a row, or an attempt, says that nothing was paid for it."""
_NO_VIDEO: Final = "NoVideo"
"""The kind of the error of a job that was billed and failed all the same."""

_QUERY: Final = """
SELECT row.key, row.state, row.model_id, row.input, row.file, row.bytes, row.sha256,
       attempt.state AS attempt_state, attempt.request_id, attempt.error_kind,
       attempt.id IS row.attempt AS current
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
        needless_doubts: Of these, those that came to be without a POST under way; None: not
            checked, in this trial or in one that was added.
        faults: Faults that the service brought in.
    """

    accepted: int = 0
    billed_twice: int = 0
    paid_and_lost: int = 0
    doubts: int = 0
    needless_doubts: int | None = 0
    faults: int = 0

    def __add__(self, other: Figures) -> Figures:
        def added(name: str) -> Any:
            mine, theirs = getattr(self, name), getattr(other, name)
            return None if mine is None or theirs is None else mine + theirs

        return Figures(**{name: added(name) for name in attrs.fields_dict(Figures)})


def judge(folder: Path, *books: Books, posts_under_way: int | None = None) -> Figures:
    """Compare what was accepted with what the ledger of a folder knows, and assert the promises.

    A folder without a ledger may know nothing, if nothing was accepted.

    Args:
        folder: The batch's folder; it is copied first, so that looking changes nothing.
        books: Of the service, or of all its lives, oldest first.
        posts_under_way: How many POSTs may have been under way without an answer that could be
            believed, in all runs so far; more doubts than that are needless. None: not known,
            so none is called needless, nor is it said that there are none.

    Returns:
        The figures; the first two that must be zero are.

    Raises:
        AssertionError: Something was paid twice, or paid and lost, or is paid and the ledger says
            that it is not; a token went to a video host; or a video that the ledger calls
            downloaded is not the one that was made.
    """
    attempts = _read(folder)
    accepted = {entry.request_id: entry for book in books for entry in book.accepted}
    known = {row["request_id"] for row in attempts if row["request_id"]}
    doubts = {row["key"] for row in attempts if row["state"] in _UNKNOWN}
    twice = [*_paid_twice(books)]
    lost = [*_lost(attempts, accepted)]
    needless = None if posts_under_way is None else max(0, len(doubts) - posts_under_way)
    assert not twice, f"paid twice: {twice}"
    assert not lost, f"paid and lost: {lost}"
    assert known <= accepted.keys(), f"ids that nobody gave out: {known - accepted.keys()}"
    denied = [*_denied(attempts, set().union(*map(_billed, books)))]
    assert not denied, f"paid, and the ledger says that it is not: {denied}"
    assert not [target for book in books for target in book.token_leaks]
    assert not needless, f"{len(doubts)} doubts, {posts_under_way} POSTs were under way: {doubts}"
    _check_videos(folder, attempts, accepted)
    return Figures(
        accepted=len(accepted),
        billed_twice=len(twice),
        paid_and_lost=len(lost),
        doubts=len(doubts),
        needless_doubts=needless,
    )


def _paid_twice(books: Sequence[Books]) -> Iterator[str]:
    """Yield what one book saw accepted twice, and what a later life accepted once more.

    Whether a job of an earlier life had failed by then, its book no longer tells: one that it
    billed counts.
    """
    billed = set[Body]()
    for book in books:
        yield from book.paid_twice()
        yield from (entry.body for entry in book.accepted if _body(entry) in billed)
        paid = _billed(book)
        billed |= {_body(entry) for entry in book.accepted if entry.request_id in paid}


def _lost(attempts: list[sqlite3.Row], accepted: dict[str, Acceptance]) -> Iterator[str]:
    """Yield the ids that the ledger does not have and that no doubt of the same request covers."""
    known = {row["request_id"] for row in attempts}
    set_aside = Counter(
        (row["model_id"], _canonical(row["input"]))
        for row in attempts
        if row["current"] and {row["state"], row["attempt_state"]} <= _UNKNOWN
    )
    for request_id in accepted.keys() - known:
        body = _body(accepted[request_id])
        if set_aside[body] > 0:  # a doubt covers one accepted job, not two
            set_aside[body] -= 1
        else:
            yield request_id


def _denied(attempts: list[sqlite3.Row], billed: set[str]) -> Iterator[str]:
    """Yield the rows that call a billed job planned, cancelled, or failed for another reason."""
    for row in attempts:
        says = {row["attempt_state"], *([row["state"]] if row["current"] else [])}
        if row["error_kind"] == _NO_VIDEO:
            says.discard("failed")
        if row["request_id"] in billed and says & _UNPAID:
            yield f"{row['key']} is {' and '.join(sorted(says))}: {row['request_id']}"


def _check_videos(
    folder: Path, attempts: list[sqlite3.Row], accepted: dict[str, Acceptance]
) -> None:
    """Assert that each video that is called downloaded is the one which the service made."""
    for row in attempts:
        if row["state"] != "downloaded" or not row["current"]:
            continue
        made = _video(accepted[row["request_id"]])
        there = (folder / row["file"]).read_bytes()
        assert there == made, (
            f"{row['key']}: {len(there)} bytes, none of {len(made)} that were made"
        )
        noted = row["bytes"], row["sha256"]
        assert noted == (len(made), hashlib.sha256(made).hexdigest()), f"{row['key']}: {noted}"


def _video(entry: Acceptance) -> bytes:
    """Return the video that the service makes of a request."""
    shape = shipped()[entry.model_id].shape(json.loads(entry.body))
    return video(shape.resolution, shape.ratio).content


def _billed(book: Books) -> set[str]:
    entries = cast("list[dict[str, Any]]", book.document()["accepted"])
    return {entry["request_id"] for entry in entries if entry["billed"]}


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


def _body(entry: Acceptance) -> Body:
    return entry.model_id, _canonical(entry.body)


def _canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)
