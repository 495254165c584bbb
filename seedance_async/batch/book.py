"""The rows under way, as the writer's thread knows them, and what a commit is still to write.

A row passes three words. Each would look the row up and write two statements, and each statement
lets go of the interpreter's lock and waits to have it back, as the event loop does for its own
system calls. So a row that is under way is remembered, which the folder's lock allows: nobody else
writes. And the statements of one commit wait for each other, to run kind by kind.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.queries import SQL
from seedance_async.errors import LedgerError

__all__ = ["Book", "CurrentRow", "GatheredError"]


class GatheredError(Exception):
    """One of the statements that ran together failed; its change is not known."""


@attrs.define
class CurrentRow:
    """A row and its current attempt, as they stand."""

    id: int
    line: int | None
    state: RowState = attrs.field(converter=RowState, on_setattr=attrs.setters.NO_OP)
    attempt: int | None
    attempts: int
    attempt_state: str | None
    request_id: str | None
    submitted_at: float | None

    @classmethod
    def look_up(cls, connection: sqlite3.Connection, key: str) -> CurrentRow:
        """Return a row as it is written.

        Raises:
            LedgerError: There is none.
        """
        # A lone surrogate is no text that the database could hold.
        sound = key.encode(errors="replace").decode()
        found = connection.execute(SQL["current"], (key,)).fetchone() if sound == key else None
        if found is None:
            raise LedgerError(f"there is no row {key!r} in this ledger; `results` lists them")
        return cls(*found)


class Book:
    """Belongs to one writing connection and its thread.

    What it knows is true inside the transaction that is open, or after the last that was committed.

    Attributes:
        together: Whether statements wait for `flush`; else each runs at once, so that an error
            comes out of the change that it is about.
        gathered: How many statements were left for later since it was made.
    """

    def __init__(self) -> None:
        self.together = False
        self.gathered = 0
        self._known: dict[str, CurrentRow] = {}
        self._changed: set[str] = set()
        self._waiting: dict[str, list[tuple[Any, ...]]] = {}
        self._moving: dict[tuple[str, *tuple[str, ...]], list[int]] = {}
        self._last_attempt: int | None = None

    def find(self, connection: sqlite3.Connection, key: str) -> CurrentRow:
        """Return a row as it stands.

        Raises:
            LedgerError: There is none.
        """
        if key in self._changed:  # kind by kind, its statements could come in the wrong order
            self.flush(connection)
        return self._known.get(key) or CurrentRow.look_up(connection, key)

    def write(self, connection: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> None:
        """Run a statement, now or with others of its kind."""
        if not self.together:
            connection.execute(sql, values)
            return
        self.gathered += 1
        waiting = self._waiting.get(sql)
        if waiting is None:
            self._waiting[sql] = [values]
        else:
            waiting.append(values)

    def move(self, connection: sqlite3.Connection, row: int, sql: str, *values: str) -> None:
        """Run a statement whose last value is a JSON array of rows, now or for many rows."""
        if not self.together:
            connection.execute(sql, (*values, json.dumps([row])))
            return
        self.gathered += 1
        self._moving.setdefault((sql, *values), []).append(row)

    def changed(self, key: str, row: CurrentRow | None) -> None:
        """Take note that a row was changed, and of how it stands; None: it need not be known."""
        self._changed.add(key)
        if row is None:
            self._known.pop(key, None)
        else:
            self._known[key] = row

    def new_attempt(self, connection: sqlite3.Connection) -> int:
        """Return the number of an attempt that is yet to be written."""
        if self._last_attempt is None:
            ((self._last_attempt,),) = connection.execute(SQL["last_attempt"]).fetchall()
        self._last_attempt += 1
        return self._last_attempt

    def flush(self, connection: sqlite3.Connection) -> None:
        """Run the statements that wait: first those of `write`, then those of `move`.

        Kinds come in the order in which they were first asked for.

        Raises:
            GatheredError: One of them brought this upon itself: roll back, and try one by one.
            sqlite3.Error: The database is in trouble.
        """
        waiting, self._waiting = self._waiting, {}
        moving, self._moving = self._moving, {}
        self._changed.clear()
        try:
            for sql, values in waiting.items():
                connection.executemany(sql, values)
            for (sql, *told), rows in moving.items():
                connection.execute(sql, (*told, json.dumps(rows)))
        except (sqlite3.IntegrityError, ValueError, OverflowError) as error:
            raise GatheredError from error

    def settle(self, connection: sqlite3.Connection) -> None:
        """Run what waits and know nothing, before something else writes."""
        self.flush(connection)
        self.forget()

    def forget(self) -> None:
        """Know nothing: what was told may not have come to the disk."""
        self._waiting = {}
        self._moving = {}
        self._changed.clear()
        self._known.clear()
        self._last_attempt = None
