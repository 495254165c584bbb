"""How a manifest's bytes become lines of text, and the two ways in which they fail to.

A row's trouble is a `RowError`, a value, so that all of them can be told at once. What leaves the
rest of the file unreadable is a `ManifestError`, raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Final, Literal, Protocol, TypeAlias

import attrs

from seedance_async.errors import SeedanceError

__all__ = [
    "MAX_LINE",
    "TOO_LONG",
    "Form",
    "LongLine",
    "ManifestError",
    "Readable",
    "RowError",
    "Source",
    "field_name",
    "form_of",
    "read_lines",
    "shown",
]

Form: TypeAlias = Literal["jsonl", "csv"]

MAX_LINE: Final = 2_000_000
"""Bytes of a line, and of a CSV row that spans several; memory is bounded by it."""

TOO_LONG: Final = (
    f"has more than {MAX_LINE:,} bytes: give images as URLs, and check that each row has a line "
    f"of its own"
)


class ManifestError(SeedanceError):
    """A manifest that cannot be read as a whole; nothing of it was submitted.

    Attributes:
        line: Where, counted from 1; None where it is no matter of a line.
    """

    def __init__(self, message: str, *, source: str, line: int | None = None) -> None:
        self.source = source
        self.line = line
        where = source if line is None else f"{source}, line {line}"
        super().__init__(f"{where}: {message}")


@attrs.frozen
class RowError:
    """One rule that one row breaks.

    Attributes:
        line: The physical line on which the row begins, counted from 1.
        field: The field as the model knows it; None where it is the row as a whole.
        rule: The rule and the way out, as a clause that follows the field's name or "line N".
        value: What was given, as Python writes it, at most 80 characters; None: nothing was.
    """

    line: int
    field: str | None
    rule: str
    value: str | None = None

    def __str__(self) -> str:
        what = f"line {self.line}" if self.field is None else f"line {self.line}: {self.field}"
        given = "" if self.value is None else f" (given: {self.value})"
        return f"{what} {self.rule}{given}"


class Readable(Protocol):
    """A binary stream, as far as it is needed: an open file, or one that counts or hashes."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line with its end, or its first `size` bytes; empty at the end."""
        ...


@attrs.frozen
class Source:
    """Where a manifest is read from.

    Attributes:
        stream: Its bytes.
        name: What errors call it.
        form: How it is to be read.
    """

    stream: Readable
    name: str
    form: Form

    def error(self, message: str, line: int | None = None) -> ManifestError:
        """Return the error that makes the whole of it unreadable."""
        return ManifestError(message, source=self.name, line=line)


@attrs.frozen
class LongLine:
    """A line over the limit, which was passed by.

    Attributes:
        line: Its number.
        quotes: How many quotation marks it has; an even number leaves no cell open.
    """

    line: int
    quotes: int


_FORMS: Final[dict[str, Form]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json-lines": "jsonl",
    ".csv": "csv",
}

_SHEETS: Final = 'export the sheet as "CSV UTF-8 (comma delimited)"'
_OTHER_FORMS: Final = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), _SHEETS),
    **dict.fromkeys((".tsv", ".tab"), "save it with commas, as .csv"),
    ".json": "write one JSON object on each line, and name the file .jsonl",
}


def form_of(name: str) -> Form:
    """Return the form of a file by its suffix.

    Raises:
        ManifestError: It is neither JSON Lines nor CSV.
    """
    suffix = PurePath(name).suffix.lower()
    form = _FORMS.get(suffix)
    if form is None:
        other = _OTHER_FORMS.get(suffix, "name it .jsonl or .csv, whichever it is")
        raise ManifestError(
            f"a manifest is JSON Lines (.jsonl) or CSV (.csv) by its suffix: {other}", source=name
        )
    return form


def read_lines(source: Source) -> Iterator[tuple[int, str] | LongLine]:
    """Yield each line with its number and its end, blank ones too; the BOM is taken off.

    Raises:
        ManifestError: It is not UTF-8.
    """
    readline = source.stream.readline
    number = 0
    while raw := readline(MAX_LINE + 1):
        number += 1
        if number == 1:
            _refuse_other_forms(source, raw)
        if len(raw) > MAX_LINE and not raw.endswith(b"\n"):
            yield LongLine(number, _pass_by(source.stream, raw))
            continue
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise _not_utf8(source, number, raw[error.start], error.start + 1) from None
        yield number, text.removeprefix("\ufeff") if number == 1 else text


def _pass_by(stream: Readable, raw: bytes) -> int:
    """Read up to the line's end, and return how many quotation marks the line has."""
    quotes = raw.count(b'"')
    while raw and not raw.endswith(b"\n"):
        raw = stream.readline(MAX_LINE)
        quotes += raw.count(b'"')
    return quotes


def _way_to_utf8(source: Source) -> str:
    if source.form == "csv":
        return f"{_SHEETS}, or save it as UTF-8"
    return "save it as UTF-8"


def _refuse_other_forms(source: Source, raw: bytes) -> None:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw[:2]:
        raise source.error(f"this is UTF-16, not UTF-8: {_way_to_utf8(source)}")
    if raw.startswith(b"PK\x03\x04"):
        raise source.error(f"this is a spreadsheet's own format, or an archive: {_SHEETS}")
    if raw.startswith(b"\x1f\x8b"):
        raise source.error("this is compressed: decompress it")


def _not_utf8(source: Source, line: int, byte: int, position: int) -> ManifestError:
    likely = bytes([byte]).decode("cp1252", "ignore")
    guess = f", {likely} in Windows-1252" if likely.isprintable() and likely else ""
    return source.error(
        f"byte {position} (0x{byte:02x}{guess}) is not UTF-8: {_way_to_utf8(source)}", line
    )


def shown(value: object) -> str:
    """Return `value` for a message: at most 80 characters, nothing that a terminal obeys."""
    text = repr(value[:100] if isinstance(value, str) else value)
    return f"{text[:77]}..." if len(text) > 80 else text


def field_name(name: str) -> str:
    """Return a name as it stands, or as `shown` where it would garble a line."""
    return name if name.isprintable() and 0 < len(name) <= 80 else shown(name)
