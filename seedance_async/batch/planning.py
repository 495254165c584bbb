"""From a manifest, or a program's own rows, to a plan in the ledger: all of it or nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
import threading
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import attrs

from seedance_async.batch.entries import PlannedRow, RowProblem
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.manifest import Readable, RowError, rebuild
from seedance_async.batch.queries import LAST_LINE
from seedance_async.batch.results import write_lines
from seedance_async.batch.source import Row, reading_of
from seedance_async.counting import counted
from seedance_async.errors import LedgerError, SeedanceError
from seedance_async.models import Request, find_model
from seedance_async.supervisor import in_thread, stop_and_see_through

__all__ = ["InvalidManifestError", "Plan", "plan_manifest", "request_of"]

_KEPT: Final = 50
"""Problems that an error holds; the file has all."""
_NAMED: Final = 3
"""Problems that its message names."""


class InvalidManifestError(SeedanceError):
    """Rows of a manifest break rules; nothing was planned, nothing was submitted.

    Attributes:
        problems: The first 50, by line.
        total: How many there are; one row may break several rules.
        lines: How many rows they are about.
        rows: How many rows are valid.
        errors_file: Where all of them are; None: nowhere.
    """

    def __init__(
        self,
        problems: Sequence[RowProblem],
        *,
        source: str,
        total: int,
        lines: int,
        rows: int,
        errors_file: Path | None,
    ) -> None:
        self.problems = tuple(problems)
        self.total = total
        self.lines = lines
        self.rows = rows
        self.errors_file = errors_file
        errors = counted(total, "error")
        of = counted(lines, "row")
        named = "; ".join(_sentence(problem) for problem in problems[:_NAMED])
        more = f"; and {total - _NAMED:,} more" if total > _NAMED else ""
        where = "" if errors_file is None else f" All are in {errors_file}."
        others = "the other row" if rows == 1 else f"the other {rows:,}"
        skip = f", or go on with {others}: --skip-invalid (skip_invalid=True)" if rows else ""
        super().__init__(
            f"{source} has {errors} in {of}, so nothing was submitted. {named}{more}.{where} "
            f"Correct them{skip}."
        )


def _sentence(problem: RowProblem) -> str:
    return str(RowError(problem.line, problem.field, problem.rule, problem.value))


@attrs.frozen
class Plan:
    """What a manifest's plan is, and what it changed.

    Attributes:
        rows: Rows of the manifest that are planned, whatever became of them before.
        added: Those that are new.
        kept: Those that the ledger had.
        gone: Rows that the manifest had before and has no longer.
        skipped: Rows left out as invalid.
        unchanged: Whether it was planned before as it is, so that its rows were not read.
        advice: What speaks against valid rows, and for how many rows; empty if they were not read.
    """

    rows: int
    added: int
    kept: int
    gone: int
    skipped: int
    unchanged: bool = False
    advice: Mapping[str, int] = attrs.field(factory=dict)


async def plan_manifest(
    ledger: Ledger,
    source: str | os.PathLike[str] | Readable | Iterable[Row],
    *,
    model: str | None = None,
    ignore_columns: Collection[str] = (),
    skip_invalid: bool = False,
    errors: Path | None,
) -> Plan:
    """Make a manifest the ledger's plan, or say all that is wrong with it.

    A file that was planned last, with the same arguments, is not read again; anything else is,
    in a thread of the ledger. An iterable is consumed there too, so that what it touches must
    allow it; it may be lazy and long, for no row stays in memory, and it may be empty.
    Cancelled, or when a row cannot be read, it leaves the ledger as it was.

    Args:
        ledger: Whose plan it becomes.
        source: A path, `-` for standard input, a binary stream, or rows.
        model: The full id or short name for rows that name none.
        ignore_columns: Fields of rows, and columns, that are passed by.
        skip_invalid: Plan the valid rows if others are not.
        errors: Replaced by a file of all that is wrong, as JSON Lines; removed if nothing is.
            None leaves it out.

    Raises:
        InvalidManifestError: Rows break rules, and they are not to be skipped.
        ManifestError: It cannot be read as a whole.
        LedgerError: The disk refuses.
        TypeError: `source` is none of these.
    """
    ignored = frozenset(ignore_columns)
    reading = reading_of(source, model, ignored)
    known = None if model is None else find_model(model)
    how = (
        reading.form,
        model if known is None else known.model_id,
        *(sorted(ignored), skip_invalid, ledger.info.key_version),
    )
    planned = ledger.info.manifest
    if reading.path is not None and planned is not None:
        digest = await _digest_of(reading.path)
        if digest is not None and _identity(digest, how) == planned:
            return await _unchanged(ledger, errors)
    staged = await ledger.draft.stage(reading, leave=reading.leave)
    trouble = staged.problems + staged.conflicts
    rows = staged.rows - staged.conflicts
    if not trouble:
        await _remove(errors)
    else:
        first = await _tell(ledger.draft.problems(), errors)
        if not skip_invalid:
            raise InvalidManifestError(
                first,
                source=reading.name,
                total=trouble,
                lines=reading.bad + staged.conflicts,
                rows=rows,
                errors_file=errors,
            )
    identity = _identity(reading.digest, how)
    summary = await ledger.plan(manifest=identity, skip_invalid=skip_invalid)
    return Plan(
        rows=rows,
        added=summary.added,
        kept=summary.kept,
        gone=summary.gone,
        skipped=summary.skipped,
        advice=dict(reading.advice),
    )


def request_of(row: PlannedRow) -> Request:
    """Return what a planned row asks for.

    Raises:
        InvalidRequestError: Its model's rules have become stricter since it was planned.
    """
    return rebuild(row.model_id, json.loads(row.input_json))


# --- which manifest it is ------------------------------------------------------------------


def _identity(digest: str, how: Sequence[object]) -> str:
    """Return what is the same for the same bytes, read in the same way."""
    return f"{digest}-{hashlib.sha256(json.dumps(how).encode()).hexdigest()[:16]}"


async def _digest_of(path: str) -> str | None:
    """Return the sha256 of a file; None if it is a pipe, which can be read only once."""
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(None, _digest, path, stop)
    return await stop_and_see_through(work, stop.set)


def _digest(path: str, stop: threading.Event) -> str | None:
    digest = hashlib.sha256()
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return None
        with Path(path).open("rb") as file:
            while (block := file.read(1 << 20)) and not stop.is_set():
                digest.update(block)
    except (OSError, ValueError):
        return None  # reading it says what is wrong
    return digest.hexdigest()


# --- errors.jsonl --------------------------------------------------------------------------


async def _tell(problems: AsyncIterator[RowProblem], errors: Path | None) -> list[RowProblem]:
    """Write all problems into the file, if any is wanted, and return the first ones."""
    first: list[RowProblem] = []

    async def told() -> AsyncIterator[dict[str, object]]:
        async for problem in problems:
            if len(first) < _KEPT:
                first.append(problem)
            yield {name: getattr(problem, name) for name in _COLUMNS}

    if errors is not None:
        await write_lines(errors, told(), then="then run the same command again")
        return first
    async for problem in problems:
        first.append(problem)
        if len(first) == _KEPT:
            break
    return first


_COLUMNS: Final = ("line", "key", "field", "rule", "value")


async def _remove(errors: Path | None) -> None:
    """Remove the file of an earlier manifest's problems."""
    if errors is None:
        return
    try:
        await in_thread(partial(errors.unlink, missing_ok=True))
    except OSError as error:
        raise LedgerError(
            f"cannot remove {errors}, which is out of date: {error.strerror or error}. Remove it, "
            f"then run the same command again"
        ) from error


async def _unchanged(ledger: Ledger, errors: Path | None) -> Plan:
    """Return the plan that is there, its file of problems as it was."""
    skipped = await ledger.invalid_lines()
    if not skipped:
        await _remove(errors)
    elif errors is not None:
        await _tell(ledger.invalid(), errors)
    rows = sum((await ledger.counts(through=LAST_LINE)).values())
    return Plan(rows=rows, added=0, kept=rows, gone=0, skipped=skipped, unchanged=True)
