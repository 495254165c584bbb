"""Paths as words of a command that a person copies into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path

__all__ = ["quoted", "unlike_a_flag"]


def quoted(path: Path | str) -> str:
    """Return a path as a shell takes it for one word, and a command line for no flag."""
    return shlex.quote(unlike_a_flag(path))


def unlike_a_flag(path: Path | str) -> str:
    """Return a path that does not begin with a dash."""
    text = str(path)
    return f"./{text}" if text.startswith("-") else text
