"""Ledgers to try things on, and the words that a session would tell them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from seedance_async import (
    Cancelled,
    ErrorInfo,
    Failed,
    Lost,
    Outcome,
    Output,
    Succeeded,
    TimedOut,
)
from seedance_async.batch.entries import PlanSummary, RowEntry, StagedRow
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.reading import LedgerReader
from tests.session.scene import fox, run

__all__ = [
    "ERROR",
    "NOON",
    "ORIGIN",
    "URL",
    "cancelled",
    "entries",
    "failed",
    "fox",
    "keyed",
    "lost",
    "on_ledger",
    "opened",
    "plan",
    "staged",
    "states",
    "submit",
    "succeeded",
    "timed_out",
]

ORIGIN = "https://model-api.example"
URL = "https://x.runcomfy.net/fox.mp4"
ERROR = ErrorInfo("RejectedError", "too long", code=422001, status=422)
NOON = 1_767_225_600.0


def staged(line: int, key: str | None = None, take: int | None = None) -> StagedRow:
    """Return the row of a line; equal takes are equal requests."""
    take = line if take is None else take
    digest = hashlib.sha256(str(take).encode()).hexdigest()
    text = f'{{"text": "take {take}", "duration": 5, "resolution": "480p"}}'
    return StagedRow(line, key, digest, fox().model_id, text)


def keyed(keys: str) -> Iterator[StagedRow]:
    """Yield a row for each letter, its key; the same letter is always the same request."""
    for line, key in enumerate(keys, 1):
        yield staged(line, key, take=ord(key))


async def opened(folder: Path, origin: str | None = ORIGIN, **options: Any) -> Ledger:
    """Open a ledger at noon."""
    options.setdefault("clock", lambda: NOON)
    return await Ledger.open(folder, origin=origin, **options)


async def plan(ledger: Ledger, keys: str, **options: Any) -> PlanSummary:
    """Make a plan of one row for each letter."""
    await ledger.draft.stage(keyed(keys))
    return await ledger.plan(**options)


def on_ledger(
    folder: Path, main: Callable[[Ledger], Coroutine[Any, Any, None]], keys: str = "abc"
) -> None:
    """Run with a ledger whose plan has a row for each letter, in virtual time."""

    async def whole() -> None:
        async with await opened(folder) as ledger:
            await plan(ledger, keys)
            await main(ledger)

    run(whole)


async def submit(ledger: Ledger, key: str, request_id: str | None = None) -> None:
    """Bring a row to `submitted`, its job named after it."""
    await ledger.submitting(key, fox())
    await ledger.accepted(key, request_id or f"id-{key}")


def succeeded(request_id: str, cost: float | None = 0.25, url: str = URL) -> Outcome:
    return Succeeded(request_id=request_id, video_url=url, output=Output(video=url), cost_usd=cost)


def failed(request_id: str | None, cost: float | None = None) -> Outcome:
    return Failed(error=ERROR, request_id=request_id, cost_usd=cost)


def cancelled(request_id: str, cost: float | None = None) -> Outcome:
    return Cancelled(request_id=request_id, cost_usd=cost)


def timed_out(request_id: str) -> Outcome:
    return TimedOut(request_id=request_id, reason="its deadline passed")


def lost(request_id: str) -> Outcome:
    return Lost(request_id=request_id, error=ERROR)


async def entries(ledger: LedgerReader) -> dict[str, RowEntry]:
    """Return all rows by key, in their order."""
    return {entry.key: entry async for entry in ledger.rows()}


async def states(ledger: LedgerReader) -> dict[str, str]:
    """Return the state of each row."""
    return {key: entry.state.value for key, entry in (await entries(ledger)).items()}
