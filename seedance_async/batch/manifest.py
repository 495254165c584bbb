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
from collections.abc import Collection, Iterator, Sequence
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

__all__ = ["ManifestError", "ManifestRow", "Readable", "RowError", "read_manifest"]


@attrs.frozen
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
    if not isinstance(source, str | os.PathLike):
        name = str(getattr(source, "name", "the manifest"))
        yield from _read(Source(source, name, form or "jsonl"), model, ignored)
    elif (name := os.fspath(source)) == "-":
        yield from _read(Source(sys.stdin.buffer, "standard input", "jsonl"), model, ignored)
    else:
        form = form or form_of(name)
        with _open(name) as file:
            yield from _read(Source(file, name, form), model, ignored)


def _open(name: str) -> BinaryIO:
    try:
        return Path(name).open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise ManifestError("there is no such file: check the path", source=name) from None
    except (OSError, ValueError) as error:  # ValueError: a path with NUL in it
        why = getattr(error, "strerror", None) or error
        raise ManifestError(f"it cannot be read ({why}): check the path", source=name) from error


def _read(
    source: Source, model: str | None, ignored: frozenset[str]
) -> Iterator[ManifestRow | RowError]:
    _check_model(source, model)
    # `advice` tells the same in a form that can be counted. The filter hits this module's rows
    # only, and needs no `catch_warnings`, which would meddle with other threads at every row.
    warnings.filterwarnings("ignore", category=RequestAdvice, module=re.escape(__name__) + r"\Z")
    if source.form == "csv":
        rows = read_csv(source, model=model, ignored=ignored)
    else:
        rows = read_json(source, ignored=ignored)
    empty = True
    try:
        for item in rows:
            empty = False
            if isinstance(item, RowError):
                yield item
                continue
            checked = _check(*item, model)
            if isinstance(checked, ManifestRow):
                yield checked
            else:
                yield from checked
    except OSError as error:
        raise source.error(f"it cannot be read on ({error.strerror}): try again") from error
    if empty:
        raise source.error("it is empty: write one line for each video")


def _check_model(source: Source, model: str | None) -> None:
    """Refuse a wrong `--model` once, not at every row."""
    if model is None or find_model(model) is not None:
        return
    try:
        build_request(model, {})
    except InvalidRequestError as error:
        violation = error.violations[0]
        raise source.error(f"--model {shown(model)} {violation.rule}") from None


# --- rules of a row ------------------------------------------------------------------------


def _check(line: int, fields: Fields, model: str | None) -> ManifestRow | list[RowError]:
    """Return the row, or all that is wrong with it."""
    name = fields.pop("model", None)
    name = model if name is None else name
    key = _read_key(line, fields.pop("key", None))
    found = [key] if isinstance(key, RowError) else []
    if not isinstance(name, str):
        return [RowError(line, "model", _NO_MODEL, None if name is None else shown(name)), *found]
    try:
        request = build_request(name, fields)
        digest = row_digest(request.model_id, fields)
    except InvalidRequestError as error:
        read = _rule_errors if find_model(name) is not None else _raw_errors
        return [*read(line, fields, error.violations), *found]
    except RecursionError:
        return [RowError(line, None, TOO_DEEP), *found]
    if isinstance(key, RowError):
        return found
    return ManifestRow(line, key, request.model_id, request, digest)


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
                yield RowError(line, field_name(name), problem, shown(value))
                break
        else:
            yield RowError(line, None, violation.rule)
