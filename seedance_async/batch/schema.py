"""Opens the ledger's database: settings, versions, and whose it is."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from seedance_async.batch.queries import SQL, load, statements
from seedance_async.errors import LedgerError

__all__ = [
    "MIGRATIONS",
    "back_up",
    "check_current",
    "check_jobs",
    "check_keys",
    "check_version",
    "check_whole",
    "connect",
    "explain",
    "migrate",
    "read_meta",
    "storable",
    "take_origin",
    "trust_states",
    "write_meta",
]

MIGRATIONS: Final[Mapping[int, str]] = {
    int(name): script for name, script in load(Path(__file__).with_name("schema.sql")).items()
}
"""What leads to each version from the one before."""

_BUSY: Final = 10.0
"""Seconds to wait for another connection's lock, such as a curious person's sqlite3 shell."""
_CACHE_KIB: Final = 8_000
_CHECKPOINT_PAGES: Final = 4_000
"""Pages that the log may have before they go to their places; most have changed often by then."""
_WAL_BYTES: Final = 64 << 20
"""What a checkpoint leaves of a log that a plan made large."""


def connect(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """Open a connection for the thread that calls; transactions are begun by hand.

    A reader opens for writing where it may, only to recover the log of a killed writer.

    Raises:
        LedgerError: It cannot be opened.
    """
    try:
        if write:
            return _open(path, "rwc", _make_durable)
        try:
            return _open(path, "rw", _only_read)
        except sqlite3.OperationalError:
            return _open(path, "ro", _only_read)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where it names what is torn
        raise explain(path, error) from error


def _open(
    path: Path, mode: str, tune: Callable[[sqlite3.Connection, Path], None]
) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY, isolation_level=None)
    try:
        tune(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _only_read(connection: sqlite3.Connection, _path: Path) -> None:
    connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # can it be read at all
    connection.execute("PRAGMA query_only = ON")


def back_up(path: Path, copy: Path) -> None:
    """Copy a database as it is at this moment, also while another process writes it.

    Nothing is written to it: a writer's log, dead or alive, stays as it is.

    Raises:
        LedgerError: It cannot be read, or the copy cannot be written.
    """
    logged = path.with_name(f"{path.name}-wal").exists()
    try:
        # Only a connection that may write takes its log away again, and writes one down first.
        opening = _open(path, "ro", _only_read) if logged else connect(path)
        with closing(opening) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        raise explain(path, error) from error


def _make_durable(connection: sqlite3.Connection, path: Path) -> None:
    """Let a commit return once the log is synced."""
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise LedgerError(
            f"the ledger {path} cannot keep a write-ahead log there ({mode}): use a folder on a "
            f"local disk"
        )
    settings = ["synchronous = FULL", "foreign_keys = ON", f"cache_size = -{_CACHE_KIB}"]
    settings.append(f"journal_size_limit = {_WAL_BYTES}")
    settings.append(f"wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    if sys.platform == "darwin":  # fsync there leaves data in the drive's cache
        settings += ["fullfsync = ON", "checkpoint_fullfsync = ON"]
    for setting in settings:
        connection.execute(f"PRAGMA {setting}")


_DAMAGED: Final = (
    *("malformed", "not a database", "unsupported file format", "codec can't decode"),
    *("no such", "no column", "unknown function", "already exists", "foreign key mismatch"),
    "Could not decode",
)
"""Words about a file that is none of SQLite's, or about tables that are not as we made them."""


def explain(path: Path, error: Exception) -> LedgerError:
    """Return a database's error as one that says what to do."""
    reason = str(error) or type(error).__name__
    if "full" in reason or "disk I/O" in reason:
        advice = "Free space on the disk, then run the same command again"
    elif "locked" in reason or "busy" in reason:
        advice = "Another program holds it: close that, then run the same command again"
    elif any(words in reason for words in _DAMAGED):
        advice = "It is damaged or no ledger: keep it, and use another --out"
    elif "unable to open" in reason or "readonly" in reason:
        advice = "Mend the rights of the folder and its files, or use another --out"
    else:
        advice = "Nothing was changed by this step"
    return LedgerError(f"the ledger {path}: {reason}. {advice}")


def check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Look whether a database is damaged; some 4 s for a million rows.

    A killed process leaves it sound. A copy made while a batch wrote may not be, and one bit that
    a disk lost in an index is enough to hide a row that is paid for, and to pay for it again.

    Raises:
        LedgerError: It is damaged.
    """
    ((found,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if found != "ok":
        raise explain(path, sqlite3.DatabaseError(f"database disk image is malformed: {found}"))


def trust_states(connection: sqlite3.Connection) -> None:
    """Let the connection write states without comparing each with the schema's list.

    They are `RowState`s, and the next opening's `check_whole` compares them all. The list costs
    2.3 us a statement, as SQLite makes a table of it each time; that is half of the statement.
    """
    connection.execute("PRAGMA ignore_check_constraints = ON")


def check_jobs(connection: sqlite3.Connection, path: Path) -> None:
    """Look whether each row that has a job has its id; files copied at different moments may not.

    Raises:
        LedgerError: One has not, so that nobody could come back to it.
    """
    found = connection.execute(SQL["job_is_missing"]).fetchone()
    if found is not None:
        what = f"database disk image is malformed: row {found[0]!r} has lost its job"
        raise explain(path, sqlite3.DatabaseError(what))


def read_meta(connection: sqlite3.Connection) -> dict[str, str]:
    """Return what the ledger says of itself; nothing if it is new."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    tables = {name for (name,) in connection.execute(query)}
    if not tables:
        return {}
    if "meta" not in tables:
        raise LedgerError(
            f"this database is no ledger of ours (it has the tables {', '.join(sorted(tables))}): "
            f"use another --out"
        )
    return dict(connection.execute(SQL["meta"]))


def write_meta(connection: sqlite3.Connection, **values: str) -> None:
    """Write what the ledger says of itself."""
    connection.executemany(SQL["set_meta"], values.items())


def migrate(
    connection: sqlite3.Connection, migrations: Mapping[int, str] = MIGRATIONS
) -> dict[str, str]:
    """Bring the tables to this version's form, all or nothing, and return the meta values.

    Raises:
        LedgerError: It was written by a newer version, or it is no ledger.
    """
    meta = check_version(read_meta(connection), migrations)
    version = int(meta.get("schema", 0))
    if version == max(migrations):
        return meta
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in range(version + 1, max(migrations) + 1):
            for statement in statements(migrations[step]):
                connection.execute(statement)
        write_meta(connection, schema=str(max(migrations)))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return read_meta(connection)


def check_version(
    meta: dict[str, str], migrations: Mapping[int, str] = MIGRATIONS
) -> dict[str, str]:
    """Return `meta` if this version can read the ledger.

    Raises:
        LedgerError: It was written by a newer version.
    """
    version = int(meta.get("schema", 0))
    if version > max(migrations):
        raise LedgerError(
            f"this ledger was written by a newer seedance-async (schema {version}, this one knows "
            f"{max(migrations)}): upgrade, then run the same command again"
        )
    return meta


def check_current(meta: dict[str, str]) -> dict[str, str]:
    """Return `meta` if the ledger has this version's form, so that it can be read as it is.

    Raises:
        LedgerError: An older version wrote it, and nobody has opened it for writing since.
    """
    version, known = int(meta["schema"]), max(MIGRATIONS)
    if version < known:
        raise LedgerError(
            f"this ledger was written by an older seedance-async (schema {version}, this one "
            f"reads {known}): the same batch command brings it up to date; run that first"
        )
    return meta


def check_keys(meta: Mapping[str, str], known: int) -> None:
    """Check that this version can derive the ledger's keys.

    Raises:
        LedgerError: They were derived by a newer version.
    """
    version = int(meta.get("key_version", 0))
    if version > known:
        raise LedgerError(
            f"this ledger's keys were derived by a newer seedance-async (version {version}, this "
            f"one knows {known}): upgrade, then run the same command again"
        )


def storable(text: str) -> str:
    """Return text without lone surrogates, which the database cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def take_origin(meta: Mapping[str, str], origin: str | None, *, unused: bool = False) -> str:
    """Return the origin of a ledger, given what it recorded and what the caller works on.

    Args:
        meta: What it recorded.
        origin: What the caller works on; None: whatever it recorded.
        unused: Nothing was ever submitted, so that the origin may change.

    Raises:
        LedgerError: They differ: its request ids mean nothing there.
    """
    recorded = meta.get("origin")
    if origin is not None and recorded not in (None, origin) and not unused:
        raise LedgerError(
            f"this ledger belongs to {recorded}, not to {origin}: its request ids mean nothing "
            f"there. Use another --out for {origin}"
        )
    if origin is None and recorded is None:
        raise LedgerError("there is no ledger here: run `batch` first")
    return origin or recorded or ""
