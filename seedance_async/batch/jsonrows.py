"""Rows of a JSON Lines manifest: one object on each line, strict where a value could be lost."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Final, NoReturn, TypeAlias

from seedance_async.batch.dialect import (
    TOO_LONG,
    LongLine,
    RowError,
    Source,
    field_name,
    read_lines,
    shown,
)

__all__ = ["TOO_DEEP", "Fields", "decode_strictly", "read_json"]

Fields: TypeAlias = dict[str, object]

TOO_DEEP: Final = "is nested too deeply: a row is an object of plain values"


def read_json(
    source: Source, *, ignored: Collection[str]
) -> Iterator[tuple[int, Fields] | RowError]:
    """Yield each row's fields with its line; blank lines are passed by.

    Raises:
        ManifestError: It is not UTF-8.
    """
    for item in read_lines(source):
        if isinstance(item, LongLine):
            yield RowError(item.line, None, TOO_LONG)
        elif item[1] and not item[1].isspace():
            yield _parse(*item, ignored)


def _parse(line: int, text: str, ignored: Collection[str]) -> tuple[int, Fields] | RowError:
    try:
        fields = decode_strictly(text)
        if not isinstance(fields, dict):
            return RowError(line, None, _NO_OBJECT, shown(fields))
    except RecursionError:
        return RowError(line, None, TOO_DEEP, shown(text))
    except ValueError as error:
        return _syntax_error(line, text, error)
    for name in ignored:
        fields.pop(name, None)
    return line, fields


_NO_OBJECT: Final = 'must be one JSON object, such as {"text": "A red fox", "duration": 5}'
_ONE_LINE: Final = "write each row as one JSON object on a line of its own"


def _syntax_error(line: int, text: str, error: ValueError) -> RowError:
    if isinstance(error, _TwiceError):
        return RowError(line, field_name(error.name), "stands twice in one object: keep one")
    if isinstance(error, json.JSONDecodeError):
        rule = f"is no JSON ({error.msg} at column {error.pos + 1}): {_ONE_LINE}"
        return RowError(line, None, rule, shown(text[max(0, error.pos - 20) :].strip()))
    why = str(error)
    if "int_max_str_digits" in why:  # Python's limit, and words for its programmers
        why = "a number has too many digits"
    return RowError(line, None, f"is no JSON ({why}): write it as JSON has it", shown(text.strip()))


class _TwiceError(ValueError):
    """An object has the same name twice, so that one of the values would be lost."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def _object(pairs: list[tuple[str, object]]) -> Fields:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _TwiceError(name)
            seen.add(name)
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(f"{text[:20]} is too large a number")
    return number


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite
)


def decode_strictly(text: str) -> object:
    """Return the value of a JSON text without NaN, infinite numbers and names that stand twice.

    Raises:
        ValueError: It is no such text.
        RecursionError: It is nested too deeply.
    """
    value: object = _DECODER.decode(text)
    return value
