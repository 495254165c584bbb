"""The keys that `--only` names: in the command, or one a line in a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from seedance_async.cli.exits import CommandError

__all__ = ["named_keys"]

_MARK = "@"


def named_keys(given: Iterable[str]) -> list[str]:
    """Return the keys of comma-separated lists and of files, each named as `@FILE`.

    In a file each line is a key as it stands, with its commas and blanks; empty lines are passed
    over.

    Raises:
        CommandError: A file cannot be read.
    """
    keys: list[str] = []
    for text in given:
        if text.startswith(_MARK):
            keys += _read(text.removeprefix(_MARK))
        else:
            keys += [key for part in text.split(",") if (key := part.strip())]
    return keys


def _read(name: str) -> list[str]:
    try:
        text = Path(name).read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise CommandError(
            f"--only @{name}: the file of keys cannot be read: {why}. A key that begins with @ "
            f"itself goes into a file, one key a line"
        ) from error
    return [key for line in text.split("\n") if (key := line.removesuffix("\r"))]
