"""What the session and a person do to one row: each looks first, then writes.

These run in the writer's thread, inside its transaction. They raise before they write, so that a
refused change leaves nothing behind. The words of each row write through the book; whatever else
writes settles it first, which the writer sees to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Final, assert_never

from seedance_async.batch.book import Book, CurrentRow
from seedance_async.batch.edges import Cause, RowState, check_retry, passes
from seedance_async.batch.ends import End
from seedance_async.batch.queries import LAST_LINE, SQL, key_array
from seedance_async.batch.schema import storable
from seedance_async.budget import known_cost
from seedance_async.errors import IdTakenError, LedgerError
from seedance_async.jobs import (
    Cancelled,
    ErrorInfo,
    Failed,
    InDoubt,
    Lost,
    Outcome,
    Succeeded,
    TimedOut,
)

__all__ = [
    "accept",
    "begin",
    "doubt",
    "download",
    "ending",
    "fail_download",
    "finish",
    "forget_file",
    "forget_videos",
    "recover",
    "refuse",
    "resolve_adopt",
    "resolve_not_billed",
    "retry",
    "take_back",
    "was_used",
]

_INT64: Final = (1 << 63) - 1


def begin(
    connection: sqlite3.Connection, book: Book, key: str, at: float, estimate: int | None
) -> None:
    """Write that a POST is about to leave: a new attempt, or the one of which nothing was sent."""
    row = book.find(connection, key)
    if not passes(key, row.state, RowState.SUBMITTING):
        raise LedgerError(
            f"row {key!r} is submitting already: a second POST could be paid twice, so nothing "
            f"was sent"
        )
    if row.line is None:
        raise LedgerError(f"row {key!r} is no longer in the manifest, so nothing was sent")
    attempt, attempts = row.attempt, row.attempts
    if attempt is None:
        attempt, attempts = book.new_attempt(connection), attempts + 1
        book.write(connection, SQL["begin_attempt"], (attempt, row.id, attempts, at, estimate))
    else:
        book.write(connection, SQL["begin_attempt_again"], (at, estimate, attempt))
    book.move(connection, row.id, SQL["begin_rows"])
    row.state, row.attempt, row.attempts = RowState.SUBMITTING, attempt, attempts
    book.changed(key, row)


def take_back(connection: sqlite3.Connection, book: Book, key: str, why: str) -> None:
    """Write that nothing was accepted."""
    row = book.find(connection, key)
    if passes(key, row.state, RowState.PLANNED):
        _set(connection, book, key, row, RowState.PLANNED, ErrorInfo("NotSent", why))


def doubt(connection: sqlite3.Connection, book: Book, key: str, error: ErrorInfo) -> None:
    """Write that nobody knows whether it was accepted."""
    row = book.find(connection, key)
    if passes(key, row.state, RowState.IN_DOUBT):
        _set(connection, book, key, row, RowState.IN_DOUBT, error)


def _set(
    connection: sqlite3.Connection,
    book: Book,
    key: str,
    row: CurrentRow,
    state: RowState,
    error: ErrorInfo,
) -> None:
    values = (state.value, error.kind, error.message, row.attempt)
    book.write(connection, SQL["set_attempt_error"], values)
    book.move(connection, row.id, SQL["set_row_states"], state.value)
    book.changed(key, None)


def accept(
    connection: sqlite3.Connection, book: Book, key: str, request_id: str, at: float
) -> None:
    """Write the id of an accepted job; told again, it changes nothing."""
    row = book.find(connection, key)
    if row.request_id == request_id:
        return
    if row.state is RowState.SUBMITTED:
        raise LedgerError(
            f"row {key!r} has the job {row.request_id}, so {request_id} cannot be its job too. "
            f"Note both down: two may be paid"
        )
    passes(key, row.state, RowState.SUBMITTED)
    _accept(connection, book, key, row, request_id, at)


def _accept(
    connection: sqlite3.Connection,
    book: Book,
    key: str,
    row: CurrentRow,
    request_id: str,
    at: float | None,
) -> None:
    try:
        book.write(connection, SQL["accept_attempt"], (request_id, at, row.attempt))
    except sqlite3.IntegrityError:
        owner = connection.execute(SQL["owner"], (request_id,)).fetchone()
        if owner is None:
            raise
        raise IdTakenError(
            f"job {request_id} belongs to row {owner[0]!r} (attempt {owner[1]}), so it cannot "
            f"be that of row {key!r}: check the id"
        ) from None
    book.move(connection, row.id, SQL["set_row_states"], RowState.SUBMITTED.value)
    row.state, row.request_id = RowState.SUBMITTED, request_id
    book.changed(key, row)


def refuse(
    connection: sqlite3.Connection,
    book: Book,
    key: str,
    at: float,
    error: ErrorInfo,
    cost: int | None,
) -> None:
    """Write that the service refused: there is no job."""
    row = book.find(connection, key)
    if row.state is RowState.FAILED and row.request_id is None:
        return  # told again
    passes(key, row.state, RowState.FAILED)
    if row.request_id is not None:
        raise LedgerError(f"row {key!r} has the job {row.request_id}: a refusal cannot end it")
    _finish(connection, book, key, row, End(RowState.FAILED, "", at, cost=cost, error=error))


def finish(connection: sqlite3.Connection, book: Book, key: str, end: End) -> None:
    """Write how a job ended.

    A job that was attached by its id alone ends the row that has the id. A row that is still
    `submitting` was accepted, for it has an end: its id could not be written before.
    """
    row, key = _find_job(connection, book, key, end.request_id)
    if row.state is RowState.SUBMITTING and row.request_id is None:
        _accept(connection, book, key, row, end.request_id, end.at)
        row = book.find(connection, key)
    if row.request_id != end.request_id:
        raise LedgerError(
            f"row {key!r} has the job {row.request_id}, so the end of {end.request_id} is not its"
        )
    over = row.state is RowState.DOWNLOADED and end.state is RowState.SUCCEEDED
    if over or not passes(key, row.state, end.state):
        told = (end.cost, end.video_url, end.more_json)
        book.write(connection, SQL["refresh_attempt"], (*told, row.attempt))
        book.changed(key, None)
        return
    _finish(connection, book, key, row, end)


def _find_job(
    connection: sqlite3.Connection, book: Book, key: str, request_id: str
) -> tuple[CurrentRow, str]:
    try:
        return book.find(connection, key), key
    except LedgerError:
        book.flush(connection)
        owner = connection.execute(SQL["owner"], (request_id,)).fetchone()
        if owner is None:
            raise
        return book.find(connection, owner[0]), owner[0]


def _finish(
    connection: sqlite3.Connection, book: Book, key: str, row: CurrentRow, end: End
) -> None:
    at = None if end.state is RowState.TIMED_OUT else end.at
    error = end.error
    told = (None, None, None) if error is None else (error.kind, error.code, error.message)
    values = (
        *(end.state.value, end.cost, at, end.video_url, end.more_json),
        *told,
        *end.stations,
        row.attempt,
    )
    book.write(connection, SQL["finish_attempt"], values)
    book.move(connection, row.id, SQL["set_row_states"], end.state.value)
    book.changed(key, None)


def download(
    connection: sqlite3.Connection,
    key: str,
    file: str,
    size: int,
    sha256: str,
    began: float | None,
    now: float,
) -> None:
    """Write that a row's video is on disk; told again, the newest file counts."""
    row = CurrentRow.look_up(connection, key)
    passes(key, row.state, RowState.DOWNLOADED)
    connection.execute(SQL["download_row"], (file, size, sha256, began, now, row.id))


def fail_download(connection: sqlite3.Connection, key: str, why: str, *, final: bool) -> None:
    """Write why a row's video is not on disk, and whether it is not tried again by itself."""
    row = CurrentRow.look_up(connection, key)
    if row.state is not RowState.SUCCEEDED:
        raise LedgerError(f"row {key!r} is {row.state}: there is no download that could fail")
    connection.execute(SQL["fail_download"], (why, final, row.id))


def resolve_adopt(connection: sqlite3.Connection, key: str, request_id: str) -> None:
    """Settle a doubt: it was accepted, and this is its job."""
    row = CurrentRow.look_up(connection, key)
    if row.request_id == request_id and row.state is RowState.SUBMITTED:
        return  # told again
    _check_doubt(key, row, RowState.SUBMITTED)
    _accept(connection, Book(), key, row, request_id, row.submitted_at)


def resolve_not_billed(connection: sqlite3.Connection, key: str) -> None:
    """Settle a doubt: it was not accepted, so the row may be submitted again."""
    row = CurrentRow.look_up(connection, key)
    _check_doubt(key, row, RowState.PLANNED)
    connection.execute(SQL["close_attempt"], ("a person said that it was not billed", row.attempt))
    connection.execute(SQL["plan_row_again"], (row.id,))


def _check_doubt(key: str, row: CurrentRow, after: RowState) -> None:
    if row.state is not RowState.IN_DOUBT:
        raise LedgerError(f"row {key!r} is {row.state}, not in doubt: there is nothing to resolve")
    passes(key, row.state, after, Cause.RESOLVE)


def retry(
    connection: sqlite3.Connection,
    states: Collection[RowState],
    through: int = LAST_LINE,
    keys: Sequence[str] | None = None,
) -> int:
    """Plan all listed rows in these states again, of these keys only; return how many."""
    check_retry(frozenset(states))
    count = 0
    for state in set(states):
        if keys is None:
            done = connection.execute(SQL["retry_rows"], (state.value, through))
        else:
            done = connection.execute(SQL["retry_keys"], (key_array(keys), state.value, through))
        count += done.rowcount
    return count


def forget_file(connection: sqlite3.Connection, key: str) -> int:
    """Write that a row's video is no longer on the disk; return 1 if it was thought to be."""
    row = CurrentRow.look_up(connection, key)
    if not passes(key, row.state, RowState.SUCCEEDED, Cause.FILE_GONE):
        return 0
    connection.execute(SQL["forget_file"], (row.id,))
    return 1


def was_used(connection: sqlite3.Connection) -> bool:
    """Tell whether anything was ever submitted."""
    return bool(connection.execute(SQL["was_used"]).fetchone()[0])


def recover(connection: sqlite3.Connection, *, simulated: bool) -> int:
    """Set right what a dead runner left; return how many rows that were.

    A POST that was under way is in doubt. The jobs of an embedded simulator died with it and
    cost nothing, so their rows are planned again.
    """
    if simulated:
        why = "the simulator inside the process ended"
        connection.execute(SQL["void_attempts"], (why,))
        return connection.execute(SQL["void_rows"]).rowcount
    why = "the process ended while its POST was under way"
    connection.execute(SQL["doubt_attempts"], (why,))
    return connection.execute(SQL["doubt_rows"]).rowcount


def forget_videos(connection: sqlite3.Connection) -> int:
    """Plan the listed rows again whose videos died with a simulator; return how many."""
    why = "its video ended with the simulator inside the process"
    connection.execute(SQL["void_videos"], (why,))
    return connection.execute(SQL["forget_videos"]).rowcount


def ending(tag: str, outcome: Outcome, now: float) -> Callable[[sqlite3.Connection, Book], None]:
    """Return the change that an outcome makes."""
    timings = outcome.timings
    match outcome:
        case Succeeded():
            urls = [url for url in outcome.output.video_urls() if url != outcome.video_url]
            end = End(
                RowState.SUCCEEDED,
                outcome.request_id,
                now,
                cost=known_cost(outcome.cost_usd),
                video_url=storable(outcome.video_url),
                more_videos=tuple(map(storable, urls)),
                timings=timings,
            )
        case Failed():
            error, cost = _plain(outcome.error), known_cost(outcome.cost_usd)
            if outcome.request_id is None:
                return lambda db, book: refuse(db, book, tag, now, error, cost)
            end = End(
                RowState.FAILED, outcome.request_id, now, cost=cost, error=error, timings=timings
            )
        case Cancelled():
            cost = known_cost(outcome.cost_usd)
            end = End(RowState.CANCELLED, outcome.request_id, now, cost=cost, timings=timings)
        case TimedOut():
            error = ErrorInfo("TimedOut", storable(outcome.reason))
            end = End(RowState.TIMED_OUT, outcome.request_id, now, error=error, timings=timings)
        case Lost():
            error = _plain(outcome.error)
            end = End(RowState.LOST, outcome.request_id, now, error=error, timings=timings)
        case InDoubt():
            error = _plain(outcome.error)
            return lambda db, book: doubt(db, book, tag, error)
        case _:
            assert_never(outcome)
    return lambda db, book: finish(db, book, tag, end)


def _plain(error: ErrorInfo) -> ErrorInfo:
    """Return an error that the database can hold."""
    code = error.code if error.code is not None and abs(error.code) <= _INT64 else None
    message = error.message
    if error.detail and error.detail not in message:
        message = f"{message} ({error.detail})"
    return ErrorInfo(storable(error.kind), storable(message), code)
