"""Where a plan's rows come from: a manifest's file or stream, or a program's own rows."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, TypeAlias, cast

import attrs

from seedance_async.batch.arriving import Opening
from seedance_async.batch.dialect import Form, form_of, shown
from seedance_async.batch.entries import RowProblem, StagedRow
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
)
from seedance_async.models import Request

__all__ = ["Reading", "Row", "reading_of"]

Row: TypeAlias = Mapping[str, object] | Request | tuple[str, Request]
"""A row of a program: fields as in a manifest, or a request, or a request with its key."""

_MOST_ADVICE: Final = 100
"""Different sentences of advice that are counted."""


class Reading:
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


def reading_of(source: object, model: str | None, ignored: Collection[str]) -> Reading:
    """Return the rows of a path, of `-` for standard input, of a binary stream, or of a program.

    Args:
        source: Any of these; it is not opened before the rows are asked for.
        model: The full id or short name for rows that name none.
        ignored: Fields of rows, and columns, that are passed by.

    Raises:
        ManifestError: The path's suffix is of no form that is read.
        TypeError: It is none of these.
    """
    if isinstance(source, str | os.PathLike):
        return _FileReading(os.fspath(source), model, ignored)
    if callable(getattr(source, "readline", None)):
        return _FileReading(cast("Readable", source), model, ignored)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes | bytearray):
        return _GivenReading(source, model, ignored)
    raise TypeError(
        f"a manifest is a path, a binary stream or an iterable of rows, not {type(source).__name__}"
    )


class _FileReading(Reading):
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


class _GivenReading(Reading):
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
