"""Paths and ids as words of a command that a person copies into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path

__all__ = ["quoted", "unlike_a_flag", "wait_command"]


def quoted(path: Path | str) -> str:
    """Return a path as a shell takes it for one word, and a command line for no flag."""
    return shlex.quote(unlike_a_flag(path))


def wait_command(request_id: str, *flags: str) -> str:
    """Return the `wait` for a job, whose id may begin with a dash.

    Args:
        request_id: The job's.
        flags: Further words, quoted for a shell.
    """
    end = ("--",) if request_id.startswith("-") else ()
    return " ".join(["seedance-async wait", *flags, *end, shlex.quote(request_id)])


def unlike_a_flag(path: Path | str) -> str:
    """Return a path that does not begin with a dash."""
    text = str(path)
    return f"./{text}" if text.startswith("-") else text
