"""Loads named SQL statements: a line `-- name: word` begins each. And what they are given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

__all__ = ["LAST_LINE", "SQL", "key_array", "load", "statements"]

_MARK: Final = "-- name:"


def load(path: Path) -> Mapping[str, str]:
    """Return the statements of a file by their names, comments left out.

    Raises:
        ValueError: A name stands twice, or SQL stands before the first name.
    """
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in path.read_text("utf-8").splitlines():
        if line.startswith(_MARK):
            name = line.removeprefix(_MARK).strip()
            if name in found:
                raise ValueError(f"{path.name}: the statement {name} stands twice")
            lines = found[name] = []
        elif line.strip() and not line.startswith("--"):
            if lines is None:
                raise ValueError(f"{path.name}: SQL before the first name: {line}")
            lines.append(line)
    return MappingProxyType({name: "\n".join(lines) for name, lines in found.items()})


def statements(script: str) -> list[str]:
    """Split a script whose statements end with a semicolon at the end of a line.

    `executescript` would do without, but it commits whatever transaction is open.
    """
    parts = f"{script}\n".split(";\n")
    return [part.strip() for part in parts if part.strip()]


SQL: Final = load(Path(__file__).with_name("queries.sql"))
"""The ledger's statements."""

LAST_LINE: Final = (1 << 63) - 1
"""The greatest line that there can be, for questions without a bound."""


def key_array(keys: Iterable[str]) -> str:
    """Return keys as the JSON array that the statements take.

    Left out are those that no row can have: SQLite's JSON ends a text at U+0000, and a lone
    surrogate is no text for it.
    """
    return json.dumps([key for key in keys if "\0" not in key and _is_sound(key)])


def _is_sound(key: str) -> bool:
    return key.encode(errors="replace").decode() == key
