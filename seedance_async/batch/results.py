"""Results: what became of each row, as JSON Lines that other programs read.

A file of lines is replaced as a whole: whoever reads it sees the old one or the new one.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from seedance_async.batch.dialect import RowError
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import RowEntry, RowProblem
from seedance_async.batch.reading import LedgerReader
from seedance_async.budget import to_usd
from seedance_async.errors import LedgerError
from seedance_async.shell import quoted
from seedance_async.supervisor import in_thread

__all__ = [
    "INVALID",
    "RESULTS",
    "ResultCounts",
    "bad_lines",
    "result_of",
    "results",
    "what_is_wrong",
    "write_lines",
    "write_results",
    "write_text",
]

RESULTS: Final = "results.jsonl"
"""The file's name, in the batch's folder."""
INVALID: Final = "invalid"
"""The state, in results, of a line that was left out as invalid; the ledger has no row of it."""

_PAGE: Final = 1000
_MOST_RULES: Final = 20
"""Rules that the result of an invalid line names; a line may break thousands."""


@attrs.frozen
class ResultCounts:
    """What was written.

    Attributes:
        path: The file.
        rows: How many rows are in each state; those that the manifest no longer has count too.
        invalid: Lines that were left out of the plan.
    """

    path: Path
    rows: Mapping[RowState, int]
    invalid: int


async def write_results(reader: LedgerReader, folder: Path) -> ResultCounts:
    """Replace `results.jsonl` in a batch's folder; it may be done at any time, by any process.

    Cancelled, it leaves the old file as it was.

    Raises:
        LedgerError: The file cannot be written, or the ledger cannot be read.
    """
    path = folder / RESULTS
    counts: Counter[object] = Counter()

    async def counted() -> AsyncIterator[dict[str, object]]:
        async for result in results(reader):
            counts[result["state"]] += 1
            yield result

    command = f"`seedance-async results {quoted(folder)}`"
    await write_lines(path, counted(), then=f"the ledger has it all, so {command} writes it anew")
    rows = {state: counts[state.value] for state in RowState}
    return ResultCounts(path, rows, counts[INVALID])


async def results(reader: LedgerReader) -> AsyncIterator[dict[str, object]]:
    """Stream all results in the manifest's order; rows that it no longer has come last.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    lines = bad_lines(reader)
    bad = await anext(lines, None)
    async for entry in reader.rows():
        while bad is not None and (entry.line is None or bad[0].line < entry.line):
            yield _result_of_invalid(bad)
            bad = await anext(lines, None)
        yield result_of(entry)
    while bad is not None:
        yield _result_of_invalid(bad)
        bad = await anext(lines, None)


async def bad_lines(reader: LedgerReader) -> AsyncIterator[list[RowProblem]]:
    """Stream the problems of each line together."""
    found: list[RowProblem] = []
    async for problem in reader.invalid():
        if found and found[0].line != problem.line:
            yield found
            found = []
        found.append(problem)
    if found:
        yield found


def result_of(entry: RowEntry) -> dict[str, object]:
    """Return what is told of a row: JSON values, money in USD, times in ISO 8601."""
    error = entry.error
    return {
        "key": entry.key,
        "line": entry.line,
        "model": entry.model_id,
        "state": entry.state.value,
        "request_id": entry.request_id,
        "video_url": entry.video_url,
        "file": entry.file,
        "bytes": entry.bytes,
        "sha256": entry.sha256,
        "cost_usd": None if entry.cost is None else to_usd(entry.cost),
        "attempts": entry.attempts,
        "error": None if error is None else _error(error.kind, error.code, error.message),
        "submitted_at": _stamp(entry.submitted_at),
        "finished_at": _stamp(entry.finished_at),
    }


def _result_of_invalid(problems: Sequence[RowProblem]) -> dict[str, object]:
    """Return what is told of a line that was left out, given all that is wrong with it."""
    return {
        "key": problems[0].key,
        "line": problems[0].line,
        "model": None,
        "state": INVALID,
        "request_id": None,
        "video_url": None,
        "file": None,
        "bytes": None,
        "sha256": None,
        "cost_usd": None,
        "attempts": 0,
        "error": _error("InvalidRow", None, what_is_wrong(problems)),
        "submitted_at": None,
        "finished_at": None,
    }


def what_is_wrong(problems: Sequence[RowProblem]) -> str:
    """Return in one text what is wrong with a line."""
    told = [_sentence(problem) for problem in problems[:_MOST_RULES]]
    if len(problems) > _MOST_RULES:
        told.append(f"and {len(problems) - _MOST_RULES} more")
    return "; ".join(told)


def _error(kind: str, code: int | None, message: str) -> dict[str, object]:
    return {"kind": kind, "code": code, "message": message}


def _sentence(problem: RowProblem) -> str:
    where = f"line {problem.line}"
    error = RowError(problem.line, problem.field, problem.rule, problem.value)
    return str(error).removeprefix(where).removeprefix(":").lstrip()


def _stamp(seconds: float | None) -> str | None:
    """Return wall-clock seconds as ISO 8601 in UTC, spelt as in job files."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


# --- files of lines ------------------------------------------------------------------------

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(", ", ": ")).encode
_drafts: Final = itertools.count()
_ABANDONED: Final = 600.0
"""Seconds after which a draft that nobody writes to is a dead process's."""


async def write_lines(
    path: Path, records: AsyncIterator[Mapping[str, object]], *, then: str
) -> None:
    """Replace a file by records as JSON Lines, as a whole or not at all; memory stays flat.

    Cancelled, it leaves the old file as it was.

    Args:
        path: The file; its folder is there.
        records: JSON values by name.
        then: What to do after the disk was set right, as the last clause of the error.

    Raises:
        LedgerError: It cannot be written.
    """
    await write_text(path, _pages(records), then=then)


async def _pages(records: AsyncIterator[Mapping[str, object]]) -> AsyncIterator[str]:
    page: list[Mapping[str, object]] = []
    async for record in records:
        page.append(record)
        if len(page) == _PAGE:
            yield await in_thread(_lines, page)
            page = []
    yield _lines(page)


def _lines(records: Sequence[Mapping[str, object]]) -> str:
    return "".join(f"{_encode(record)}\n" for record in records)


async def write_text(path: Path, parts: AsyncIterator[str], *, then: str) -> None:
    """Replace a file by text in parts, as a whole or not at all.

    Cancelled, it leaves the old file as it was.

    Args:
        path: The file; its folder is there.
        parts: Each is in memory alone.
        then: What to do after the disk was set right, as the last clause of the error.

    Raises:
        LedgerError: It cannot be written.
    """
    draft = _Draft(path)
    try:
        await in_thread(draft.open)
        async for part in parts:
            await in_thread(draft.write, part)
        await in_thread(draft.finish)
    except OSError as error:
        raise LedgerError(
            f"cannot write {path}: {error.strerror or error}. Free space on the disk, mend the "
            f"rights, or close the program that has the file open: {then}"
        ) from error
    finally:
        await in_thread(draft.discard)


class _Draft:
    """A file on its way to its place; the methods block and run in threads."""

    def __init__(self, path: Path) -> None:
        self._target = path
        self._path = path.with_name(f".{path.name}.{os.getpid()}-{next(_drafts)}")
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Begin, and remove what killed processes left behind some time ago."""
        self._file = self._path.open("wb")
        with suppress(OSError):
            now = self._path.stat().st_mtime
            for other in self._path.parent.glob(f".{self._target.name}.*"):
                if now - other.stat().st_mtime > _ABANDONED:
                    other.unlink(missing_ok=True)

    def write(self, text: str) -> None:
        """Append."""
        assert self._file is not None
        self._file.write(text.encode("utf-8", "backslashreplace"))

    def finish(self) -> None:
        """Make it durable, and put it in its place."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._close()
        self._path.replace(self._target)

    def discard(self) -> None:
        """Remove what did not get to its place; a disk in trouble has been told of before."""
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
