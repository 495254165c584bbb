"""Strangers' words on a terminal: prompts, the service's errors, names of files. Pure."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["clean", "one_line"]

_OBEYED: Final = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What a terminal does instead of showing it, but for the end of a line: it can move the cursor,
set the window's title, write over other lines, or turn the order of letters around."""


def clean(text: str) -> str:
    """Return text that does nothing to a terminal but begin new lines."""
    return _OBEYED.sub(" ", text)


def one_line(text: str) -> str:
    """Return a stranger's text as one line that does nothing to a terminal."""
    return clean(text).replace("\n", " ")
