"""A manifest: one row for each video that is wanted, as JSON Lines or CSV.

It is read as a stream and checked completely: a bad row gives one `RowError` for each rule that it
breaks and ends nothing. A row holds a model's fields and may hold `model` and `key`; these two
names are the manifest's, so that a model's own field of that name cannot be given.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from seedance_async.batch.cells import known_columns
from seedance_async.batch.csvrows import read_csv
from seedance_async.batch.dialect import (
    Form,
    ManifestError,
    Readable,
    RowError,
    Source,
    field_name,
    form_of,
    shown,
)
from seedance_async.batch.jsonrows import TOO_DEEP, Fields, read_json
from seedance_async.batch.keys import row_digest
from seedance_async.errors import InvalidRequestError, Violation
from seedance_async.models import Request, RequestAdvice, build_request, find_model
from seedance_async.rules import encoding_problem

__all__ = [
    "BadRow",
    "ManifestError",
    "ManifestRow",
    "Readable",
    "RowError",
    "check_model",
    "check_request",
    "check_row",
    "open_manifest",
    "read_manifest",
    "read_rows",
    "rebuild",
]


@attrs.define  # one for each row: see `entries.StagedRow`
class ManifestRow:
    """A row that breaks no rule.

    Attributes:
        line: The physical line on which it begins, counted from 1.
        key: As given; None: it gets a derived one.
        model_id: The full id.
        request: What is asked for.
        digest: The same for rows that ask for the same (`keys.row_digest`).
    """

    line: int
    key: str | None
    model_id: str
    request: Request
    digest: str

    @property
    def advice(self) -> tuple[str, ...]:
        """What speaks against the row although it is valid; no warning is emitted."""
        return self.request.advice()


@attrs.frozen
class BadRow:
    """A row that breaks rules.

    Attributes:
        line: The physical line on which it begins, counted from 1.
        key: Its own key, if it has one and that can be told.
        errors: All that is wrong with it.
    """

    line: int
    key: str | None
    errors: tuple[RowError, ...]


def read_manifest(
    source: str | os.PathLike[str] | Readable,
    *,
    model: str | None,
    ignore_columns: Collection[str] = (),
    form: Form | None = None,
) -> Iterator[ManifestRow | RowError]:
    """Yield each row, or what is wrong with it, in the manifest's order.

    Nothing is opened before the first row is asked for; closing the iterator closes the file. It
    blocks while it reads, so an event loop runs it in a thread. Keys are not compared here: that
    no two rows have the same is the plan's to see.

    Args:
        source: A path, `-` for standard input, or a binary stream, which is not closed.
        model: The full id or short name for rows that name none.
        ignore_columns: Fields of rows, and columns, that are passed by.
        form: How to read it; None: a path by its suffix, anything else as JSON Lines.

    Raises:
        ManifestError: It cannot be read on, or at all. Rows may have been yielded before.
    """
    ignored = frozenset(ignore_columns)
    with open_manifest(source, form=form) as opened:
        for row in read_rows(opened, model=model, ignored=ignored):
            if isinstance(row, ManifestRow):
                yield row
            else:
                yield from row.errors


@contextmanager
def open_manifest(
    source: str | os.PathLike[str] | Readable, *, form: Form | None = None
) -> Iterator[Source]:
    """Open what `read_manifest` takes as a source, and close what was opened; it blocks.

    Raises:
        ManifestError: It cannot be opened, or its suffix tells no form.
    """
    if not isinstance(source, str | os.PathLike):
        name = str(getattr(source, "name", "the manifest"))
        yield Source(source, name, form or "jsonl")
    elif (name := os.fspath(source)) == "-":
        yield Source(sys.stdin.buffer, "standard input", "jsonl")
    else:
        form = form or form_of(name)
        with _open(name) as file:
            yield Source(file, name, form)


def _open(name: str) -> BinaryIO:
    try:
        return Path(name).open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise ManifestError("there is no such file: check the path", source=name) from None
    except (OSError, ValueError) as error:  # ValueError: a path with NUL in it
        why = getattr(error, "strerror", None) or error
        raise ManifestError(f"it cannot be read ({why}): check the path", source=name) from error


def read_rows(
    source: Source, *, model: str | None, ignored: Collection[str]
) -> Iterator[ManifestRow | BadRow]:
    """Yield each row with all that is wrong with it, in the manifest's order; it blocks.

    Raises:
        ManifestError: It cannot be read on, or at all.
    """
    check_model(source.name, model)
    _hush_advice()
    if source.form == "csv":
        rows = read_csv(source, model=model, ignored=ignored)
    else:
        rows = read_json(source, ignored=ignored)
    empty = True
    try:
        for item in rows:
            empty = False
            if isinstance(item, RowError):
                yield BadRow(item.line, None, (item,))
                continue
            line, fields = item
            yield _check(line, fields.pop("model", None), model, fields.pop("key", None), fields)
    except OSError as error:
        raise source.error(f"it cannot be read on ({error.strerror}): try again") from error
    if empty:
        raise source.error("it is empty: write one line for each video")


def check_model(source: str, model: str | None) -> None:
    """Refuse a wrong `--model` once, not at every row.

    Raises:
        ManifestError: It is neither a short name nor a full id; `source` is what is read.
    """
    if model is None or find_model(model) is not None:
        return
    try:
        build_request(model, {})
    except InvalidRequestError as error:
        violation = error.violations[0]
        message = f"--model {shown(model)} {violation.rule}"
        raise ManifestError(message, source=source) from None


# --- rules of a row ------------------------------------------------------------------------


def check_row(
    line: int, row: Mapping[str, object], model: str | None, ignored: Collection[str] = ()
) -> ManifestRow | BadRow:
    """Return a row that a program made, checked as one of a file; `row` is not changed.

    Args:
        line: Its place among the rows, from 1.
        row: A model's fields, and perhaps `model` and `key`.
        model: The full id or short name if the row names none.
        ignored: Fields that are passed by.
    """
    fields = {name: value for name, value in row.items() if name not in ignored}
    return _check_given(line, fields.pop("model", None), model, fields.pop("key", None), fields)


def check_request(line: int, key: object, request: Request) -> ManifestRow | BadRow:
    """Return a request that a program made as a row; a known model's rules hold for any class."""
    if key is None and type(request) is find_model(request.model_id):
        # It was checked when it was made, and is frozen.
        given = request.input()
        digest = row_digest(request.model_id, given)
        return ManifestRow(line, None, request.model_id, request, digest)
    return _check_given(line, request.model_id, None, key, request.input())


def rebuild(model_id: str, given: Mapping[str, object]) -> Request:
    """Make the request of a planned row from its input; no advice is told again.

    Raises:
        InvalidRequestError: The model's rules have become stricter.
    """
    _hush_advice()
    return build_request(model_id, given)


_HERE: Final = re.escape(__name__) + r"\Z"
_HUSH: Final[object] = ("ignore", None, RequestAdvice, re.compile(_HERE), 0)
"""The filter as Python keeps it."""


def _hush_advice() -> None:
    """Let the requests that are made here emit no warning: `advice` can be counted.

    The filter hits this module's rows only, and needs no `catch_warnings`, which would meddle with
    other threads at every row. It is set where it is missing, for each change of the filters makes
    Python show again what it showed before.
    """
    if _HUSH not in warnings.filters:
        warnings.filterwarnings("ignore", category=RequestAdvice, module=_HERE)


def _check_given(
    line: int, name: object, model: str | None, key: object, fields: Fields
) -> ManifestRow | BadRow:
    """Check values that no file could hold, too."""
    _hush_advice()
    try:
        return _check(line, name, model, key, fields)
    except ValueError as error:  # such as a number with more digits than Python writes
        return BadRow(line, None, (RowError(line, None, f"cannot be written as JSON: {error}"),))


def _check(
    line: int, name: object, model: str | None, key: object, fields: Fields
) -> ManifestRow | BadRow:
    """Return the row, or all that is wrong with it."""
    name = model if name is None else name
    read_key = _read_key(line, key)
    found, own = ([read_key], None) if isinstance(read_key, RowError) else ([], read_key)
    if not isinstance(name, str):
        given = None if name is None else shown(name)
        return BadRow(line, own, (RowError(line, "model", _NO_MODEL, given), *found))
    try:
        request = build_request(name, fields)
        digest = row_digest(request.model_id, fields)
    except InvalidRequestError as error:
        read = _rule_errors if find_model(name) is not None else _raw_errors
        return BadRow(line, own, (*read(line, fields, error.violations), *found))
    except RecursionError:
        return BadRow(line, own, (RowError(line, None, TOO_DEEP), *found))
    if found:
        return BadRow(line, None, tuple(found))
    return ManifestRow(line, own, request.model_id, request, digest)


_NO_MODEL: Final = (
    "must be a short name or a full id, as text: name it in the row, or give --model "
    "(`seedance-async models` lists the known ones)"
)

_CONTROLS: Final = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _read_key(line: int, key: object) -> str | RowError | None:
    """Return a row's own key; JSON's whole number 7 is the 7 of a sheet."""
    if key is None:
        return None
    text = str(key) if type(key) is int else key
    if not isinstance(text, str):
        rule = "must be text or a whole number: put it between quotation marks"
    elif not 1 <= len(text) <= 200:
        rule = f"must have 1 to 200 characters, not {len(text)}: leave it out to get one derived"
    elif control := _CONTROLS.search(text):
        code, at = f"U+{ord(control[0]):04X}", control.start() + 1
        rule = f"must not have control characters: remove {code} at character {at}"
    else:
        return text
    return RowError(line, "key", rule, shown(key))


def _rule_errors(line: int, fields: Fields, violations: Sequence[Violation]) -> Iterator[RowError]:
    """Yield what breaks the rules of a known model."""
    for violation in violations:
        rule = violation.rule
        if violation.field in fields and violation.field not in known_columns():
            rule = f"{rule}; or pass it by with --ignore-columns"
        given = None if violation.value is None else shown(violation.value)
        yield RowError(line, field_name(violation.field), rule, given)


def _raw_errors(line: int, fields: Fields, violations: Sequence[Violation]) -> Iterator[RowError]:
    """Yield what is wrong with an unknown model's id, and with JSON that cannot be sent."""
    for violation in violations:
        if violation.field != "input":
            yield RowError(line, "model", violation.rule, shown(violation.value))
            continue
        if "recursion" in violation.rule:  # Python's words for its programmers
            yield RowError(line, None, TOO_DEEP)
            continue
        for name, value in fields.items():
            if isinstance(value, str) and (problem := encoding_problem(value)):
                yield RowError(line, field_name(str(name)), problem, shown(value))
                break
        else:
            yield RowError(line, None, violation.rule)
