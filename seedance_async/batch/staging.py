"""From a manifest's rows to the plan: a staging file first, then one transaction.

Nothing of a manifest reaches the ledger unless all of it does, and memory does not grow with it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

from seedance_async.batch.entries import (
    Conflict,
    ConflictKind,
    Derive,
    PlanSummary,
    RowProblem,
    Staged,
    StagedRow,
)
from seedance_async.batch.queries import SQL, load, statements
from seedance_async.batch.schema import explain, storable, write_meta
from seedance_async.counting import counted
from seedance_async.errors import LedgerError

__all__ = ["Staging"]

_STAGING: Final = load(Path(__file__).with_name("staging.sql"))
_INDEXES: Final = ("row_key", "row_line", "row_state", "row_fold")
_CACHE_KIB: Final = 8_000
_CHUNK: Final = 1000
"""Rows in memory at once."""


_StagedTuple: TypeAlias = tuple[int, str | None, str, str, str]
_ProblemTuple: TypeAlias = tuple[int, str | None, str, str | None, str | None]


class StagingStoppedError(LedgerError):
    """Whoever wanted the rows staged has gone."""


class Staging:
    """The staging file of a ledger; its methods block, so they belong into threads.

    Args:
        folder: Where the ledger is, and the staging file.
        ledger: The ledger's database.
    """

    def __init__(self, folder: Path, ledger: Path) -> None:
        self.path = folder / "ledger.staging"
        self._ledger = ledger
        self.stop = threading.Event()

    def clear(self) -> None:
        """Remove the file, as after a crash.

        Raises:
            LedgerError: The disk refuses.
        """
        try:
            for suffix in ("", "-journal"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise LedgerError(
                f"cannot remove {error.filename}, which is out of date: {error.strerror or error}. "
                f"Mend the disk or the rights of the folder, then run the same command again"
            ) from error

    def discard(self) -> None:
        """Remove the file once it has served; if that fails, the next run tells of it."""
        with suppress(LedgerError):
            self.clear()

    def fill(self, rows: Iterable[StagedRow | RowProblem], derive: Derive) -> Staged:
        """Write rows and problems, name the rows without a key, and find the conflicts.

        Whatever the iterable raises comes out as it is.

        Raises:
            LedgerError: Two rows have the same line, or the disk refuses.
        """
        self.clear()
        with self._connected() as connection:
            for statement in statements(_STAGING["tables"]):
                connection.execute(statement)
            connection.execute("BEGIN")
            self._write(connection, rows)
            connection.execute(_STAGING["index_digests"])
            connection.create_function("derived_key", 2, derive, deterministic=True)
            connection.execute(_STAGING["name_rows"])
            connection.execute(_STAGING["index_names"])
            connection.execute(_STAGING["find_duplicates"])
            connection.execute("COMMIT")
            self._find_changed(connection)
            (count,) = connection.execute(_STAGING["count_rows"]).fetchone()
            (problems,) = connection.execute(_STAGING["count_problems"]).fetchone()
            (conflicts,) = connection.execute(_STAGING["count_conflicts"]).fetchone()
            connection.create_function("rule_of", 4, _rule_of)
            connection.execute("BEGIN")
            connection.execute(_STAGING["add_conflicts"])
            connection.execute(_STAGING["index_problems"])
            connection.execute("COMMIT")
        return Staged(count, conflicts, problems)

    def _write(
        self, connection: sqlite3.Connection, rows: Iterable[StagedRow | RowProblem]
    ) -> None:
        staged: list[_StagedTuple] = []
        problems: list[_ProblemTuple] = []

        def flush() -> None:
            connection.executemany(_STAGING["stage"], staged)
            connection.executemany(_STAGING["stage_problem"], problems)
            staged.clear()
            problems.clear()

        for row in rows:
            if self.stop.is_set():
                raise StagingStoppedError("the manifest was not read to its end; nothing changed")
            if isinstance(row, StagedRow):
                staged.append((row.line, row.key, row.digest, row.model_id, row.input_json))
            else:
                problems.append(_problem_tuple(row))
            if len(staged) + len(problems) >= _CHUNK:
                flush()
        flush()

    def _find_changed(self, connection: sqlite3.Connection) -> None:
        uri = f"{self._ledger.absolute().as_uri()}?mode=rw"
        connection.execute("ATTACH ? AS ledger", (uri,))
        connection.execute(_STAGING["find_changed"])

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        uri = f"{self.path.absolute().as_uri()}?mode=rwc"
        try:
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = OFF")
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
                yield connection
        except sqlite3.Error as error:
            raise explain(self.path, error) from error

    def conflicts(self, after: int, limit: int) -> list[Conflict]:
        """Return a page of what cannot be planned, by line."""
        self._check_filled()
        with self._connected() as connection:
            found = connection.execute(_STAGING["conflicts"], (after, limit)).fetchall()
        return [Conflict(line, key, ConflictKind(kind), first) for line, key, kind, first in found]

    def problems(self, after: tuple[int, int], limit: int) -> list[tuple[int, RowProblem]]:
        """Return a page of all that keeps lines out of the plan, by line, with the ids for `after`.

        Args:
            after: The line and the id of the last one that is known.
            limit: How many at most.
        """
        self._check_filled()
        with self._connected() as connection:
            found = connection.execute(_STAGING["problems"], (*after, limit)).fetchall()
        return [(number, RowProblem(*problem)) for number, *problem in found]

    def _check_filled(self) -> None:
        if not self.path.exists():
            raise LedgerError("nothing is staged: stage the manifest's rows first")

    def plan(
        self, connection: sqlite3.Connection, meta: Mapping[str, str], *, skip_invalid: bool
    ) -> PlanSummary:
        """Turn what is staged into the plan, all or nothing; runs on the writer's connection.

        Raises:
            LedgerError: There are problems or conflicts, and they are not to be skipped.
        """
        self._check_filled()
        connection.execute("ATTACH ? AS staging", (f"{self.path.absolute().as_uri()}?mode=rw",))
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                summary = _plan(connection, skip_invalid=skip_invalid)
                write_meta(connection, **meta)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        finally:
            connection.execute("DETACH staging")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self.discard()
        return summary


def _plan(connection: sqlite3.Connection, *, skip_invalid: bool) -> PlanSummary:
    (skipped,) = connection.execute(SQL["plan_count_skipped"]).fetchone()
    if skipped and not skip_invalid:
        what = counted(skipped, "line")
        raise LedgerError(
            f"{what} of the manifest cannot be planned, so nothing was changed: mend them, or "
            f"leave them out with --skip-invalid (skip_invalid=True)"
        )
    connection.execute(SQL["plan_skip"])
    connection.execute(SQL["plan_forget_invalid"])
    connection.execute(SQL["plan_keep_invalid"])
    (total,) = connection.execute(SQL["plan_count"]).fetchone()
    (empty,) = connection.execute(SQL["plan_is_empty"]).fetchone()
    if empty:
        _fill(connection)
        return PlanSummary(added=total, kept=0, gone=0, skipped=skipped)
    (gone,) = connection.execute(SQL["plan_count_gone"]).fetchone()
    connection.execute(SQL["plan_move"])
    added = connection.execute(SQL["plan_add"]).rowcount
    return PlanSummary(added=added, kept=total - added, gone=gone, skipped=skipped)


def _fill(connection: sqlite3.Connection) -> None:
    """Write the first plan without indexes, then make them by sorting: in order, not at random."""
    query = "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?"
    indexes = [connection.execute(query, (name,)).fetchone()[0] for name in _INDEXES]
    for name in _INDEXES:
        connection.execute(f"DROP INDEX {name}")
    connection.execute(SQL["plan_fill"])
    for sql in indexes:
        connection.execute(sql)


def _problem_tuple(problem: RowProblem) -> _ProblemTuple:
    field, value, key = (
        None if text is None else storable(text)
        for text in (problem.field, problem.value, problem.key)
    )
    return problem.line, field, storable(problem.rule), value, key


def _rule_of(line: int, key: str, kind: str, first_line: int | None) -> str:
    return Conflict(line, key, ConflictKind(kind), first_line).rule
