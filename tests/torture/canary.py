"""A token that must be seen nowhere, the ways to spell it, and the search for all of them.

The search shares no code with what hides tokens in the product.
"""

from __future__ import annotations

import base64
import html
import random
import re
import shutil
import sqlite3
import string
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote

import attrs

__all__ = ["Evidence", "Found", "long_token", "plain_token", "signs_token", "spell"]

_LETTERS = string.ascii_letters + string.digits
_SIGNS = '+/=~%&"<'
_ENOUGH = 18
"""So many characters of a token in a row are a leak; it is searched in pieces of that length."""


def plain_token(chance: random.Random) -> str:
    """Return a token of letters and digits."""
    return "".join(chance.choices(_LETTERS, k=40))


def signs_token(chance: random.Random) -> str:
    """Return one that has to be escaped in JSON, URLs and HTML, with a sign in each few letters."""
    return "".join("".join(chance.choices(_LETTERS, k=5)) + sign for sign in _SIGNS)


def long_token(chance: random.Random) -> str:
    """Return one such as signed tokens are: longer than any text that is shown to a person."""
    return ".".join("".join(chance.choices(f"{_LETTERS}-_", k=500)) for _ in range(3))


# --- spellings -----------------------------------------------------------------------------


def spell(token: str) -> dict[str, str]:
    """Return the ways in which a server may repeat a token, by name; `json` ones are escaped."""
    return {
        "raw": token,
        "lower": token.lower(),
        "upper": token.upper(),
        "percent": quote(token, safe=""),
        "percent-all": "".join(f"%{ord(sign):02X}" for sign in token),
        "percent-twice": quote(quote(token, safe=""), safe=""),
        "json": _each_sign(token, lambda sign: f"\\u{ord(sign):04X}"),
        "json-all": "".join(f"\\u{ord(sign):04x}" for sign in token),
        "html": html.escape(token),
        "html-decimal": "".join(f"&#{ord(sign)};" for sign in token),
        "html-hex": _each_sign(token, lambda sign: f"&#x{ord(sign):X};"),
        "html-split": "&shy;".join(token),
        "html-broken": "<wbr>".join(token),
        "basic": base64.b64encode(f"user:{token}".encode()).decode(),
        "basic-name": base64.b64encode(f"{token}:".encode()).decode(),
        "basic-third": base64.b64encode(f"a:{token}:b".encode()).decode(),
        "base64-url": base64.urlsafe_b64encode(f"?>{token}".encode()).decode(),
        "hex": token.encode().hex(),
    }


def _each_sign(token: str, escape: Callable[[str], str]) -> str:
    return "".join(sign if sign in _LETTERS else escape(sign) for sign in token)


# --- the search ----------------------------------------------------------------------------


@attrs.frozen
class Found:
    """A place where a token shows, with what stands around it."""

    place: str
    around: str


def _needles(token: str) -> set[str]:
    """Return pieces of all encodings; a longer leak of a token's begin or end holds one of them."""
    raw = token.encode()
    encodings = {token.lower(): _ENOUGH, raw.hex(): 2 * _ENOUGH}
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # What the neighbours share in is cut off at both ends.
            inner = encode(b"\0" * shift + raw).decode().rstrip("=")[4:-4]
            encodings[inner.lower()] = 2 * _ENOUGH
    return {
        end[start : start + size]
        for whole, size in encodings.items()
        for end in (whole[: 3 * size], whole[-3 * size :])
        for start in range(0, max(1, len(end) - size + 1), size // 2)
    }


def _readings(text: str) -> Iterable[str]:
    """Yield a text as it is and as it reads with its escapes undone, once, twice and thrice."""
    yield text
    for _ in range(3):
        for undo in (_undo_json, _undo_html, unquote):
            meant = undo(text)
            if meant != text:
                yield (text := meant)


def _undo_json(text: str) -> str:
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    return re.sub(r"\\([/\"'\\])", r"\1", text)


def _undo_html(text: str) -> str:
    return re.sub("<wbr>|\N{SOFT HYPHEN}", "", html.unescape(text))


class Evidence:
    """All that a run left behind, by place.

    Attributes:
        places: What was found in each.
    """

    def __init__(self, *tokens: str) -> None:
        self._needles = {needle for token in tokens for needle in _needles(token)}
        self.places: defaultdict[str, set[bytes]] = defaultdict(set)

    def add(self, place: str, thing: str | bytes) -> None:
        """Keep what was seen in a place."""
        self.places[place].add(
            thing if isinstance(thing, bytes) else thing.encode(errors="replace")
        )

    def add_files(self, folder: Path) -> None:
        """Keep all files of a folder, each under its kind, with names, and databases read out."""
        for path in sorted(folder.rglob("*")):
            self.add("file names", str(path.relative_to(folder)))
            if path.is_file():
                self.add(_kind(path), path.read_bytes())
                if path.suffix == ".sqlite":
                    self.add(f"{path.name}, read out", _read_out(path))

    def search(self) -> list[Found]:
        """Return each place where a token shows."""
        return [
            Found(place, around)
            for place, things in self.places.items()
            for thing in things
            for around in self._find(thing)
        ]

    def _find(self, thing: bytes) -> Iterable[str]:
        for reading in _readings(thing.decode("latin-1")):
            searched = reading.lower()
            for needle in self._needles:
                if needle in searched:
                    start = searched.index(needle)
                    yield searched[max(0, start - 200) : start + 100]
                    return

    def assert_clean(self) -> None:
        """Assert that no token shows anywhere."""
        found = self.search()
        places = sorted({leak.place for leak in found})
        assert not found, f"the token shows in {places}: {found[0].around}"


def _kind(path: Path) -> str:
    """Name a file so that all of its kind are one place."""
    for ending in (".job.json", ".mp4", ".part", ".csv", ".log"):
        if path.name.endswith(ending):
            return f"*{ending}"
    return path.name


def _read_out(path: Path) -> str:
    """Return a database as SQL: a long text is in pieces in its file; the copy leaves it alone."""
    with tempfile.TemporaryDirectory() as name:
        for part in path.parent.glob(f"{path.name}*"):
            if not part.name.endswith("-shm"):
                shutil.copy(part, name)
        with closing(sqlite3.connect(Path(name) / path.name)) as connection:
            return "\n".join(connection.iterdump())
