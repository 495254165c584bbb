"""Writes the page: the frame, what the ledger says as JSON, and the script that shows it.

Prompts and the service's errors are hostile text. They stand in data blocks in which no sign of
markup is left (`embedded`), the script makes text nodes of them and nothing else, and the page's
policy allows only this very script and style, and no request but for files beside it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from seedance_async.__about__ import __version__
from seedance_async.batch.entries import FullRow
from seedance_async.batch.ledger import SIMULATOR
from seedance_async.batch.reading import LedgerReader
from seedance_async.batch.results import bad_lines, write_text
from seedance_async.report.facts import Place, invalid_facts, row_facts
from seedance_async.report.remedies import Again, settles
from seedance_async.report.tally import Tally
from seedance_async.supervisor import in_thread

__all__ = ["MOST_ROWS", "MOST_TROUBLES", "PAGE", "embedded", "write_page"]

PAGE: Final = "report.html"
"""The file's name, in the batch's folder."""
MOST_ROWS: Final = 10_000
"""Rows that the page shows, in the manifest's order."""
MOST_TROUBLES: Final = 2_000
"""Rows behind those that it shows as well because a person must look at them."""
_MOST_TEXT: Final = 24_000_000
"""Characters of rows after which only such rows follow; long prompts reach this first."""
_AT_ONCE: Final = 500

_WEB: Final = Path(__file__).with_name("web")
_STYLES: Final = ("base.css", "gallery.css", "dialogs.css", "charts.css")
_SCRIPTS: Final = (
    "dom.js",
    "words.js",
    "data.js",
    "marks.js",
    "media.js",
    "card.js",
    "gallery.js",
    "details.js",
    "compare.js",
    "summary.js",
    "troubles.js",
    "charts.js",
    "start.js",
)

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ESCAPES: Final = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"})


async def write_page(
    reader: LedgerReader,
    folder: Path,
    *,
    again: Again,
    to: Path | None = None,
    clock: Callable[[], float] = time.time,
) -> Path:
    """Replace the page of a batch; it may be done at any time, by any process.

    In memory at once: the rows of one read, some 100 bytes for each job, and the numbers of the
    rows that are shown. Cancelled, it leaves the old page as it was.

    Args:
        reader: The batch's ledger.
        folder: The batch's.
        again: The batch's command, for rows that need another run.
        to: The page; None: `PAGE` in the folder. Its own folder is there.
        clock: Wall-clock seconds since the epoch.

    Returns:
        Where the page is.

    Raises:
        LedgerError: The page cannot be written, or the ledger cannot be read.
    """
    path = folder / PAGE if to is None else to
    simulated = reader.info.origin == SIMULATOR
    place = Place(str(folder), _prefix(folder, path), simulated, again)
    parts = _parts(reader, folder, place, clock)
    await write_text(path, parts, then="then `seedance-async report` writes it anew")
    return path


def embedded(value: object) -> str:
    """Return a value as JSON that an HTML parser takes for text and nothing else."""
    return _encode(value).translate(_ESCAPES)


def _prefix(folder: Path, page: Path) -> str:
    """Return what leads from a page to a batch's folder, as the beginning of a URL."""
    try:
        way = os.path.relpath(folder.resolve(), page.parent.resolve())
    except ValueError:  # another drive
        return f"{folder.resolve().as_uri()}/"
    return "" if way == "." else f"{quote(Path(way).as_posix(), safe='/')}/"


# --- the file from its beginning to its end --------------------------------------------------


async def _parts(
    reader: LedgerReader, folder: Path, place: Place, clock: Callable[[], float]
) -> AsyncIterator[str]:
    name = await in_thread(_name, folder)
    head, tail = await in_thread(_frame, name)
    tally, rows = Tally(), _Rows(folder, place)
    yield f'{head}\n<script type="application/json" id="rows">[null'
    page: list[FullRow] = []
    async for row in reader.full_rows():
        tally.add_row(row)
        page.append(row)
        if len(page) == _AT_ONCE:
            yield await in_thread(rows.told, page)
            page = []
    yield await in_thread(rows.told, page)
    async for problems in bad_lines(reader):
        yield rows.told_invalid(invalid_facts(problems, place.again))
    async for job in reader.known_jobs():
        tally.add_job(job)
    facts = {
        "name": name,
        "version": __version__,
        "written": clock(),
        "simulated": place.simulated,
        "folder": place.folder,
        "again": place.again(),
        "summary": tally.summary(await reader.money(), await reader.invalid_lines()),
        "runs": tally.runs(),
        "timeline": tally.timeline(rows.place_of),
        "left_out": rows.left_out,
    }
    yield f']</script>\n<script type="application/json" id="facts">{embedded(facts)}</script>\n'
    yield tail


def _name(folder: Path) -> str:
    return folder.resolve().name or str(folder)


def _frame(name: str) -> tuple[str, str]:
    """Return what stands before the data, and what stands behind it."""
    style = "".join((_WEB / file).read_text("utf-8") for file in _STYLES)
    body = "".join((_WEB / file).read_text("utf-8") for file in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{body}}})();\n'
    head, tail = (_WEB / "page.html").read_text("utf-8").split("<!-- data -->\n")
    head = head.replace("$policy", _policy(script, style)).replace("$style", style)
    return head.replace("$title", html.escape(name)), tail.replace("$script", script)


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src 'sha256-{_hash(script)}'; "
        f"style-src 'sha256-{_hash(style)}'; media-src 'self' file:; img-src data:; "
        f"base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


class _Rows:
    """The rows as the page's data, as many as it shows; blocks, for it looks for their files."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.place_of: dict[int, int] = {}
        self.left_out = 0
        self._folder = folder
        self._place = place
        self._shown = 0
        self._length = 0

    def told(self, rows: list[FullRow]) -> str:
        """Return the data of those of these rows that are shown."""
        return "".join(map(self._told, rows))

    def told_invalid(self, facts: dict[str, Any]) -> str:
        """Return the data of a line that was left out of the plan."""
        if not self._room(trouble=True):
            self.left_out += 1
            return ""
        return self._add(facts)

    def _told(self, row: FullRow) -> str:
        entry = row.entry
        failed = entry.error is not None
        if not self._room(settles(entry.state, failed_download=failed, gone=False)):
            self.left_out += 1
            return ""
        gone = entry.file is not None and not (self._folder / entry.file).is_file()
        self.place_of[row.number] = self._shown
        return self._add(row_facts(row, self._place, gone=gone))

    def _room(self, trouble: bool) -> bool:
        if self._shown < MOST_ROWS and self._length < _MOST_TEXT:
            return True
        most = 2 * _MOST_TEXT
        return trouble and self._shown < MOST_ROWS + MOST_TROUBLES and self._length < most

    def _add(self, facts: dict[str, Any]) -> str:
        text = f",\n{embedded(facts)}"
        self._shown += 1
        self._length += len(text)
        return text
