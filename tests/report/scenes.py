"""Batches' folders with rows in every state and prompts from the worst of strangers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import attrs

import seedance_async.simulator
from seedance_async.batch.entries import RowProblem, StagedRow
from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.jobs import ErrorInfo, Failed, Lost, Outcome, Timings
from seedance_async.models import MODELS
from seedance_async.report import write_page
from tests.batch.ledgers import NOON, ORIGIN, cancelled, fox, succeeded, timed_out

__all__ = ["AGAIN", "HOSTILE", "NOON", "again", "make", "page_of", "troubled_night"]

HOSTILE = {
    "markup": "</script><img src=x onerror=alert(1)><script>alert(2)</script>",
    "comment": "<!-- <script> --> &lt;b&gt; ]]> <svg/onload=alert(3)>",
    "template": "${alert(4)} {{ 7*7 }} $script $policy",
    "turned": "abc \u202egnp.exe\u202c \u2066\u0627\u0644\u0639\u0631\u0628\u064a\u0629\u2069",
    "lines": "one\u2028two\u2029three\nfour\ttab",
    "emoji": "🦊👩\u200d👩\u200d👧🏽 e\u0301 Z\u0351\u036b\u0343\u036a",
    "long": "wolf " * 1_000,
    "unbroken": "w" * 2_000,
}
"""Prompts that want to be more than text, by the keys of their rows."""

AGAIN = "seedance-async batch films.csv --out night"

_VIDEOS = Path(seedance_async.simulator.__file__).parent / "media"
_MODELS = ("lite", "v15-pro", "pro-fast")
_REFUSED = ErrorInfo("GenerationError", "<b>the prompt</b> was refused by the filter", code=500123)


def again(*more: str) -> str:
    return " ".join([AGAIN, *more])


class _Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def staged(line: int, key: str, prompt: str) -> StagedRow:
    model_id = MODELS[_MODELS[line % 3]].model_id
    given: dict[str, object] = {
        "text" if line % 3 == 2 else "prompt": prompt,
        "resolution": ("480p", "720p", "1080p")[line % 7 % 3],
        "ratio": ("16:9", "9:16", "21:9")[line % 5 % 3],
        "duration": 5,
    }
    if line % 3 != 2:
        given["first_frame_image_url"] = "javascript:alert(5)"
    if line % 4 == 0:
        given["seed"] = 40 + line
    digest = hashlib.sha256(key.encode()).hexdigest()
    return StagedRow(line, key, digest, model_id, json.dumps(given))


def _rows(number: int) -> Iterator[StagedRow | RowProblem]:
    for line, (key, prompt) in enumerate(list(HOSTILE.items())[:number], 1):
        yield staged(line, key, prompt)
    for line in range(len(HOSTILE) + 1, number + 1):
        yield staged(line, f"fox-{line}", f"A red fox, take {line}, in snow {line % 10}")
    yield RowProblem(number + 1, "duration", "must be <i>2</i> to 12", "99", "too-long")


def _ends(line: int) -> Outcome:
    request_id = f"00000000-0000-4000-8000-{line:012d}"
    match line % 20:
        case 9:
            return Failed(error=_REFUSED, request_id=request_id)
        case 11:
            return cancelled(request_id)
        case 13:
            unknown = f"unknown request id. [HTTP 404] for job {request_id}. Check the id."
            return Lost(request_id=request_id, error=ErrorInfo("NotFoundError", unknown))
        case 14:
            return timed_out(request_id)
        case _:
            return succeeded(request_id, cost=0.25 if line % 2 else 0.31)


def _way(line: int, began: float, ended: float) -> Timings:
    """Return what was seen of a job: queued for 4 to 9 s, known 0.5 to 2.5 s late, 3 to 7 polls.

    Of every sixth job, as of one that a later run came back to, the way is not known; of every
    tenth the service's clock is an hour ahead.
    """
    known = line % 6 != 5
    ahead = 3_600.0 if line % 10 == 3 else 0.0
    late = 0.5 + line % 5 / 2
    return Timings(
        submitted_at=began if known else None,
        accepted_at=began + 1.5,
        in_progress_at=began + 1.5 + 4 + line % 6,
        known_at=ended,
        created_at=datetime.fromtimestamp(began + 1.0 + ahead, UTC),
        finished_at=datetime.fromtimestamp(ended - late + ahead, UTC),
        polls=3 + line % 5,
    )


async def make(
    folder: Path, number: int, *, origin: str = ORIGIN, files: bool = True, seen: bool = True
) -> None:
    """Make a folder as a night leaves it: row n is submitted every 7 s, and runs for 30 to 90 s.

    Of each twenty rows one failed, one was cancelled, lost, timed out, in doubt, is submitted,
    could not be downloaded, and one is on the page's folder no more; the others are downloaded,
    from 1 s after their end on, within 3 s.

    Args:
        folder: Where.
        number: Rows.
        origin: Whose jobs they are.
        files: Whether videos are written.
        seen: Whether the ways of the jobs are known, as an older ledger does not.
    """
    clock = _Clock()
    async with await Ledger.open(folder, origin=origin, clock=clock) as ledger:
        await ledger.draft.stage(_rows(number))
        await ledger.plan(skip_invalid=True)
        lines = {row.key or "": row.line for row in _rows(number) if isinstance(row, StagedRow)}
        await asyncio.gather(
            *(_live(ledger, clock, key, line, folder, files, seen) for key, line in lines.items())
        )


async def _live(
    ledger: Ledger,
    clock: _Clock,
    key: str,
    line: int,
    folder: Path,
    files: bool,
    seen: bool,
) -> None:
    if line % 20 == 19:
        return
    began = NOON + 7.0 * line
    clock.now = began
    ledger.reserve(key, 300_000)
    await ledger.submitting(key, fox())
    if line % 20 == 15:
        await ledger.in_doubt(key, "the connection broke after <the request> was sent")
        return
    clock.now = began + 1.5
    await ledger.accepted(key, f"00000000-0000-4000-8000-{line:012d}")
    if line % 20 == 16:
        return
    clock.now = began + 30 + line % 61
    outcome = _ends(line)
    if seen:
        outcome = attrs.evolve(outcome, timings=_way(line, began, clock.now))
    await ledger.finished(key, outcome)
    if type(outcome).__name__ != "Succeeded":
        return
    if line % 20 == 17:
        await ledger.download_failed(key, "403 from x.runcomfy.net", final=True)
        return
    name = f"videos/{key} #{line}.mp4"
    if files and line % 20 != 18:
        (folder / "videos").mkdir(exist_ok=True)
        shutil.copy(_VIDEOS / f"480p-{('16x9', '9x16', '21x9')[line % 5 % 3]}.mp4", folder / name)
    clock.now = began + 30 + line % 61 + 4
    await ledger.downloaded(key, name, 2_506, "0" * 64, began=clock.now - 3 if seen else None)


async def page_of(folder: Path, **options: object) -> Path:
    """Write the page of a folder."""
    async with await Ledger.read(folder) as reader:
        return await write_page(reader, folder, again=again, clock=lambda: NOON + 9_000, **options)  # type: ignore[arg-type]


def troubled_night(
    folder: Path, number: int = 60, *, simulated: bool = False, seen: bool = True
) -> Path:
    """Make a folder of a night with all kinds of trouble, and its page."""

    async def main() -> Path:
        await make(folder, number, origin=SIMULATOR if simulated else ORIGIN, seen=seen)
        return await page_of(folder)

    with ThreadPoolExecutor(1) as thread:  # where no loop runs: Playwright's holds the caller's
        return thread.submit(lambda: asyncio.run(main())).result()
