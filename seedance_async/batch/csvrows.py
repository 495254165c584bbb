"""Rows of a CSV manifest, their cells typed as the row's model wants them.

RFC 4180 with commas; quoted cells may hold line breaks. An empty cell, or one of blanks, is absent.
"""

from __future__ import annotations

import csv
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, NoReturn

import attrs

from seedance_async.batch.cells import cell_reader, known_columns
from seedance_async.batch.dialect import (
    MAX_LINE,
    TOO_LONG,
    LongLine,
    ManifestError,
    RowError,
    Source,
    field_name,
    read_lines,
    shown,
)
from seedance_async.counting import counted
from seedance_async.models import find_model

__all__ = ["read_csv"]


def read_csv(
    source: Source, *, model: str | None, ignored: Collection[str]
) -> Iterator[tuple[int, dict[str, object]] | RowError]:
    """Yield each row's fields by name, with the line on which it begins; empty rows are passed by.

    Raises:
        ManifestError: The header, or where a row ends, cannot be made out.
    """
    sheet: _Sheet | None = None
    for item in _records(source):
        if isinstance(item, RowError):
            if sheet is None:
                raise source.error(item.rule, item.line)
            yield item
        elif sheet is None:
            sheet = _Sheet(source, item, model=model, ignored=ignored)
        else:
            yield sheet.read(item)
    if sheet is not None and not sheet.rows:
        raise source.error("there is a header, but no row: write one line for each video")


# --- records: where a row begins and ends --------------------------------------------------


@attrs.frozen
class _Record:
    """One row: the line on which it begins, and its cells."""

    line: int
    cells: list[str]


class _TooLongError(Exception):
    """The line that comes next is over the limit."""


class _Feed:
    """The lines that the csv module asks for while it reads one record."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lines = read_lines(source)
        self._began = False
        self.number = 0
        self.begin()

    def begin(self) -> None:
        self.first = self.number + 1
        self._size = 0
        self._quotes = 0

    @property
    def is_one_line(self) -> bool:
        """Whether a bad record surely ends with its line, so that the next line is a record."""
        return self.number == self.first and self._quotes % 2 == 0

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        item = next(self._lines)
        if isinstance(item, LongLine):
            self.number = item.line
            self._quotes += item.quotes
            raise _TooLongError
        self.number, text = item
        if not self._began and text.strip():
            self._began = True
            _check_header_line(self._source, text, self.number)
        self._quotes += text.count('"')
        self._size += len(text)
        if self._size > MAX_LINE:
            raise _unclosed(self._source, self.first)
        return text


def _records(source: Source) -> Iterator[_Record | RowError]:
    feed = _Feed(source)
    reader = csv.reader(feed, strict=True)
    while True:
        feed.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _TooLongError) as error:
            if not feed.is_one_line:
                raise _unclosed(source, feed.first) from None
            yield RowError(feed.first, None, _syntax_rule(error))
            continue
        if any(cells) and not all(not cell or cell.isspace() for cell in cells):
            yield _Record(feed.first, cells)


def _syntax_rule(error: Exception) -> str:
    if isinstance(error, _TooLongError):
        return TOO_LONG
    if "limit" in str(error):
        limit = csv.field_size_limit()
        return f"has a cell of more than {limit:,} characters: write such rows as JSON Lines"
    return (
        f"is no CSV ({str(error).partition(' - ')[0]}): put the whole cell between quotation "
        f"marks, and double those within it"
    )


def _unclosed(source: Source, line: int) -> ManifestError:
    return source.error(
        "a quotation mark of the row that begins here is not closed, so that nobody can tell where "
        "the row ends: close it, and double those within a cell",
        line,
    )


_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def _check_header_line(source: Source, header: str, line: int) -> None:
    """Refuse what is no CSV with commas and line feeds, so that the error names the reason."""
    plain = header.strip().replace('"', "")
    if plain.startswith("{"):
        raise source.error("this looks like JSON Lines: name it .jsonl", line)
    if "\r" in plain:
        raise source.error(
            "its lines end with carriage returns alone: export it as "
            '"CSV UTF-8 (comma delimited)", not for Macintosh',
            line,
        )
    for separator, words in _SEPARATORS.items():
        names = {name.strip() for name in plain.split(separator)}
        if len(names) > 1 and ("," not in plain or not known_columns().isdisjoint(names)):
            raise source.error(
                f"its cells are separated by {words}, not commas: export it as "
                f'"CSV UTF-8 (comma delimited)"; where Excel then writes semicolons, export from '
                f"LibreOffice or Google Sheets, or make the comma the system's list separator",
                line,
            )


# --- the sheet: what its header says -------------------------------------------------------


class _Sheet:
    """The columns of a manifest, and how each model reads its cells."""

    def __init__(
        self, source: Source, header: _Record, *, model: str | None, ignored: Collection[str]
    ) -> None:
        self.rows = 0
        self._source = source
        self._line = header.line
        self._model = model
        self._width = len(header.cells)
        self._readers: dict[str | None, list[tuple[int, str, Callable[[str], object]]]] = {}
        cells = [cell.strip() for cell in header.cells]
        self._nameless = [index for index, name in enumerate(cells) if not name]
        self._columns = [
            (index, name) for index, name in enumerate(cells) if name and name not in ignored
        ]
        names = [name for _, name in self._columns]
        self._model_at = cells.index("model") if "model" in names else None
        self._strangers = {
            index: name for index, name in self._columns if name not in known_columns()
        }
        self._check(names)

    def _check(self, names: Sequence[str]) -> None:
        twice = [shown(name) for name, count in Counter(names).items() if count > 1]
        if twice:
            raise self._error(f"the header has {', '.join(twice)} twice: rename or remove one")
        if "prompt" in names and "text" in names:
            raise self._error(
                "the header has prompt and text, which are taken for each other: "
                "put both into one column"
            )
        raw = self._model is not None and find_model(self._model) is None
        if self._model_at is None and self._model is None:
            if known_columns().isdisjoint(names):
                raise self._error(_NO_HEADER)
            raise self._error("there is no column named model: add one, or give --model")
        if self._model_at is None and not raw and self._strangers:
            self._refuse(
                list(self._strangers.values()), no_other=len(self._strangers) == len(names)
            )

    def _error(self, message: str) -> ManifestError:
        return self._source.error(message, self._line)

    def _refuse(self, names: Sequence[str], *, no_other: bool = False) -> NoReturn:
        """Raise the one error for columns that no model has.

        Raises:
            ManifestError: Always.
        """
        hints = {name: _hint(name) for name in names}
        if no_other and not any(hints.values()):
            raise self._error(_NO_HEADER)
        listed = ", ".join(f"{shown(name)}{hint}" for name, hint in hints.items())
        flags = " ".join(f"--ignore-columns {shlex.quote(field_name(name))}" for name in names)
        raise self._error(
            f"no model has a field named {listed}: correct the header, or pass by with {flags}"
        )

    def read(self, record: _Record) -> tuple[int, dict[str, object]] | RowError:
        """Return the fields of a row.

        Raises:
            ManifestError: A known model's row has a value in a column that no model has.
        """
        self.rows += 1
        line, cells = record.line, record.cells
        if problem := self._shape_problem(cells):
            return RowError(line, None, problem)
        name = None if self._model_at is None else cells[self._model_at].strip()
        name = name or self._model
        if self._strangers and name is not None and find_model(name) is not None:
            used = [name for index, name in self._strangers.items() if cells[index].strip()]
            if used:
                self._refuse(used)
        readers = self._readers.get(name)
        if readers is None:
            readers = [
                (index, column, cell_reader(name, column)) for index, column in self._columns
            ]
            if len(self._readers) < 100:  # as many models as there are typing errors
                self._readers[name] = readers
        return line, {
            column: read(cells[index])
            for index, column, read in readers
            if cells[index] and not cells[index].isspace()
        }

    def _shape_problem(self, cells: list[str]) -> str | None:
        if len(cells) != self._width:
            return (
                f"must have {counted(self._width, 'cell')} like the header, not {len(cells)}: put "
                f"cells with commas between quotation marks"
            )
        for index in self._nameless:
            if cells[index].strip():
                return (
                    f"has {shown(cells[index])} in column {index + 1}, which has no name: name "
                    f"the column, or clear the cell"
                )
        return None


_NO_HEADER: Final = (
    "the first line names no field of a model: begin with a header, such as text,duration "
    "(`seedance-async models MODEL --template csv` prints one)"
)


def _hint(name: str) -> str:
    import difflib  # 5 ms, spared until a column is misspelt

    close = difflib.get_close_matches(name.lower(), sorted(known_columns()), n=2)
    return f" (did you mean {' or '.join(close)}?)" if close else ""
