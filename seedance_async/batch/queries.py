"""Loads named SQL statements: a line `-- name: word` begins each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

__all__ = ["SQL", "load", "statements"]

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
