"""From a manifest, or a program's own rows, to a plan in the ledger: all of it or nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
import threading
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias, cast

import attrs

from seedance_async.batch.arriving import Opening
from seedance_async.batch.dialect import Form, form_of, shown
from seedance_async.batch.entries import PlannedRow, RowProblem, StagedRow
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.manifest import (
    BadRow,
    ManifestError,
    ManifestRow,
    Readable,
    RowError,
    check_model,
    check_request,
    check_row,
    read_rows,
    rebuild,
)
from seedance_async.batch.queries import LAST_LINE
from seedance_async.batch.results import write_lines
from seedance_async.counting import counted
from seedance_async.errors import LedgerError, SeedanceError
from seedance_async.models import Request, find_model
from seedance_async.supervisor import in_thread, stop_and_see_through

__all__ = ["InvalidManifestError", "Plan", "Row", "plan_manifest", "request_of"]

Row: TypeAlias = Mapping[str, object] | Request | tuple[str, Request]
"""A row of a program: fields as in a manifest, or a request, or a request with its key."""

_KEPT: Final = 50
"""Problems that an error holds; the file has all."""
_NAMED: Final = 3
"""Problems that its message names."""
_MOST_ADVICE: Final = 100
"""Different sentences of advice that are counted."""


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
    reading = _reading(source, model, ignored)
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
    staged = await ledger.stage(reading, leave=reading.leave)
    trouble = staged.problems + staged.conflicts
    rows = staged.rows - staged.conflicts
    if not trouble:
        await _remove(errors)
    else:
        first = await _tell(ledger.problems(), errors)
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


class _HashedStream:
    """A stream whose bytes are hashed as they are read."""

    def __init__(self, source: Readable, name: str) -> None:
        self._readline = source.readline
        self._name = name
        self._digest = hashlib.sha256()
        self._update = self._digest.update

    def readline(self, size: int, /) -> bytes:
        """Return the next line, or its first `size` bytes."""
        line = self._readline(size)
        try:
            self._update(line)
        except TypeError:
            raise ManifestError(
                "it gives text, not bytes: open it in binary mode", source=self._name
            ) from None
        return line

    def hexdigest(self) -> str:
        """Return the digest of what was read."""
        return self._digest.hexdigest()


# --- rows on their way to the ledger -------------------------------------------------------


class _Reading:
    """Checked rows as the ledger stages them; the counts are right once it was consumed.

    Attributes:
        name: What errors call the source.
        path: Of a file.
        form: Of a file or stream; None for a program's rows.
        bad: Rows that break rules.
        digest: Of the bytes that were read.
        advice: Sentences, and how many rows they are about.
    """

    name = "the manifest"
    path: str | None = None
    form: Form | None = None

    def __init__(self, model: str | None, ignored: Collection[str]) -> None:
        self._model = model
        self._ignored = ignored
        self.bad = 0
        self.digest = "rows"
        self.advice: Counter[str] = Counter()

    def checked(self) -> Iterator[ManifestRow | BadRow]:
        """Yield the rows; it blocks."""
        raise NotImplementedError

    def leave(self) -> None:
        """Let no read last any longer, wherever it waits; may be called in any thread."""

    def __iter__(self) -> Iterator[StagedRow | RowProblem]:
        for row in self.checked():
            if isinstance(row, ManifestRow):
                for text in row.advice:
                    if text in self.advice or len(self.advice) < _MOST_ADVICE:
                        self.advice[text] += 1
                given = _encode(row.request.input())
                yield StagedRow(row.line, row.key, row.digest, row.model_id, given)
                continue
            self.bad += 1
            for error in row.errors:
                yield RowProblem(error.line, error.field, error.rule, error.value, row.key)


_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class _FileReading(_Reading):
    """The rows of a file, of standard input, or of a stream."""

    def __init__(self, source: str | Readable, model: str | None, ignored: Collection[str]) -> None:
        super().__init__(model, ignored)
        self._opening = Opening(source)
        self.form = "jsonl"
        if not isinstance(source, str):
            self.name = str(getattr(source, "name", "the manifest"))
        elif source == "-":
            self.name = "standard input"
        else:
            self.name = self.path = source
            self.form = form_of(source)

    def checked(self) -> Iterator[ManifestRow | BadRow]:
        with self._opening.opened() as opened:
            stream = _HashedStream(opened.stream, opened.name)
            hashed = attrs.evolve(opened, stream=stream)
            yield from read_rows(hashed, model=self._model, ignored=self._ignored)
            self.digest = stream.hexdigest()

    def leave(self) -> None:
        self._opening.leave()


class _GivenReading(_Reading):
    """The rows of a program."""

    def __init__(self, rows: Iterable[object], model: str | None, ignored: Collection[str]) -> None:
        super().__init__(model, ignored)
        self._rows = rows

    def checked(self) -> Iterator[ManifestRow | BadRow]:
        check_model(self.name, self._model)
        for line, row in enumerate(self._rows, 1):
            yield self._check(line, row)

    def _check(self, line: int, row: object) -> ManifestRow | BadRow:
        if isinstance(row, Mapping):
            return check_row(line, row, self._model, self._ignored)
        key, request = row if isinstance(row, tuple) and len(row) == 2 else (None, row)
        if (
            hasattr(request, "model_id")
            and hasattr(request, "input")
            and not isinstance(request, type)
        ):
            return check_request(line, key, cast("Request", request))
        return BadRow(line, None, (RowError(line, None, _NO_ROW, shown(row)),))


_NO_ROW: Final = "must be a mapping of fields, a request, or a pair of a key and a request"


def _reading(
    source: object, model: str | None, ignored: Collection[str]
) -> _FileReading | _GivenReading:
    if isinstance(source, str | os.PathLike):
        return _FileReading(os.fspath(source), model, ignored)
    if callable(getattr(source, "readline", None)):
        return _FileReading(cast("Readable", source), model, ignored)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes | bytearray):
        return _GivenReading(source, model, ignored)
    raise TypeError(
        f"a manifest is a path, a binary stream or an iterable of rows, not {type(source).__name__}"
    )


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
