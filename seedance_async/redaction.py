"""Hiding the token in what a person may see, however an answer spells it. Pure.

Services, gateways and proxies repeat what they were sent: as JSON, in a URL, in a page of HTML,
in base64 as Basic authorization is, in lower case, cut at some length.
"""

from __future__ import annotations

import base64
import functools
import html
import re
import string
from collections.abc import Iterator
from typing import Final

import attrs

__all__ = ["hide"]

_SHOWN: Final = "[token]"
_ENOUGH: Final = 16
"""So many characters of a token in a row are as good as the token: texts are cut anywhere."""

_SHORT: Final = 8
"""A shorter token, such as people use against a simulator, is a part of common words."""

_DEPTH: Final = 3
"""How often escapes are undone: a URL in HTML in JSON."""

_INVISIBLE: Final = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff")
_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_ESCAPES: Final = (
    re.compile(r"""\\u(?P<code>[0-9a-fA-F]{4})|\\x(?P<byte>[0-9a-fA-F]{2})|\\(?P<sign>[/"'\\])"""),
    re.compile(r"%(?P<code>[0-9a-fA-F]{2})"),
    re.compile(r"(?P<entity>&#?\w{1,10};)|<wbr\s*/?>|[\u00ad\u200b-\u200d\u2060\ufeff]"),
)
"""Of JSON and Python, of URLs, of HTML: undone one by one, for a token may look like an escape."""


@attrs.frozen
class _Reading:
    """A text with its escapes undone; `places[i]` is where character i began in the original."""

    text: str
    places: list[int]

    def unescaped(self, escape: re.Pattern[str]) -> _Reading:
        """Return the text with one layer of one kind of escapes undone."""
        pieces: list[str] = []
        places: list[int] = []
        end = 0
        for found in escape.finditer(self.text):
            meant = _meaning(found)
            pieces += [self.text[end : found.start()], meant]
            places += self.places[end : found.start()]
            places += [self.places[found.start()]] * len(meant)
            end = found.end()
        pieces.append(self.text[end:])
        places += self.places[end:]
        return _Reading("".join(pieces), places)


def _meaning(found: re.Match[str]) -> str:
    groups = found.groupdict()
    if code := groups.get("code") or groups.get("byte"):
        return chr(int(code, 16))
    meant = html.unescape(groups.get("entity") or "")
    return groups.get("sign") or ("" if meant in _INVISIBLE else meant)


def hide(text: str, secret: str) -> str:
    """Return a text with `[token]` for the secret, or any 16 characters of it, in all spellings."""
    if len(secret) < _SHORT:
        return text.replace(secret, _SHOWN) if secret else text
    hidden = [place for reading in _readings(text) for place in _occurrences(reading, secret)]
    return _without(text, sorted(hidden))


def _readings(text: str) -> Iterator[_Reading]:
    """Yield the text as it is, and in each way in which its escapes can be undone."""
    seen = {text}
    readings = [_Reading(text, [*range(len(text) + 1)])]
    for _ in range(_DEPTH + 1):
        yield from readings
        undone = [reading.unescaped(escape) for reading in readings for escape in _ESCAPES]
        readings = list({new.text: new for new in undone if new.text not in seen}.values())
        seen |= {reading.text for reading in readings}


def _occurrences(reading: _Reading, secret: str) -> Iterator[tuple[int, int]]:
    """Yield where the original text shows a piece of the secret."""
    searched = reading.text.translate(_LOWER)
    for size, pieces in _pieces(secret).items():
        for start in range(len(searched) - size + 1):
            if searched[start : start + size] in pieces:
                yield reading.places[start], reading.places[start + size]


@functools.lru_cache(maxsize=8)
def _pieces(secret: str) -> dict[int, set[str]]:
    """Return what counts as the secret, plain, in hex and in base64, in lower case, by length."""
    raw = secret.encode()
    pieces = _windows(secret, _ENOUGH) | _windows(raw.hex(), 2 * _ENOUGH)
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * before + raw).decode().rstrip("=")
            # What the first and the last sign say is in part the neighbours'.
            pieces |= _windows(encoded[4 if before else 0 : -1], 2 * _ENOUGH)
    by_length: dict[int, set[str]] = {}
    for piece in pieces:
        by_length.setdefault(len(piece), set()).add(piece.translate(_LOWER))
    return by_length


def _windows(whole: str, size: int) -> set[str]:
    """Return all pieces of that size; the whole if it is shorter."""
    return {whole[start : start + size] for start in range(max(1, len(whole) - size + 1))}


def _without(text: str, hidden: list[tuple[int, int]]) -> str:
    """Put one mark in the place of each stretch, overlapping ones being one."""
    kept: list[str] = []
    end = 0
    for start, stop in hidden:
        if start >= end and (start > end or not kept):
            kept += [text[end:start], _SHOWN]
        end = max(end, stop)
    return "".join([*kept, text[end:]])
