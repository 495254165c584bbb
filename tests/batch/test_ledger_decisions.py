"""What becomes of rows behind the session: doubts, retries, downloads, prices."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from seedance_async import LedgerError
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Money
from seedance_async.batch.ledger import Ledger
from seedance_async.models import Shape
from tests.batch.ledgers import (
    NOON,
    cancelled,
    entries,
    failed,
    fox,
    lost,
    opened,
    plan,
    states,
    submit,
    succeeded,
)
from tests.session.scene import run


def on_ledger(
    folder: Path, main: Callable[[Ledger], Coroutine[Any, Any, None]], keys: str = "abc"
) -> None:
    """Run with a ledger whose plan has a row for each letter, in virtual time."""

    async def whole() -> None:
        async with await opened(folder) as ledger:
            await plan(ledger, keys)
            await main(ledger)

    run(whole)


def test_a_doubt_is_settled_by_a_person_only(tmp_path: Path) -> None:
    """Adopted, it is a job as any other; not billed, a new attempt may be made."""

    async def main(ledger: Ledger) -> None:
        for key in "abc":
            ledger.reserve(key, 300_000)
            await ledger.submitting(key, fox())
            await ledger.in_doubt(key, "no answer")
        assert [doubt.key async for doubt in ledger.doubts()] == ["a", "b", "c"]
        assert (await ledger.money()).reserved == 900_000
        await ledger.resolve("a", request_id="id-a")
        await ledger.resolve("a", request_id="id-a")
        with pytest.raises(LedgerError, match="job id-a belongs to row 'a'"):
            await ledger.resolve("b", request_id="id-a")
        await ledger.resolve("b", not_billed=True)
        with pytest.raises(LedgerError, match="'b' is planned, not in doubt"):
            await ledger.resolve("b", not_billed=True)
        assert await states(ledger) == {"a": "submitted", "b": "planned", "c": "in_doubt"}
        assert (await ledger.money()).reserved == 600_000
        (job,) = [job async for job in ledger.open_jobs()]
        assert (job.key, job.request_id, job.accepted_at) == ("a", "id-a", NOON)
        await submit(ledger, "b")
        assert (await entries(ledger))["b"].attempts == 2
        for request_id in (None, "x"):
            with pytest.raises(ValueError, match="either the request id or not_billed"):
                await ledger.resolve("c", request_id=request_id, not_billed=request_id is not None)

    on_ledger(tmp_path, main)


def test_a_retry_adds_an_attempt_and_overwrites_none(tmp_path: Path) -> None:
    """The attempt before stays, with its id and its money."""

    async def main(ledger: Ledger) -> None:
        for key, end in [("a", failed("id-a")), ("b", cancelled("id-b")), ("c", lost("id-c"))]:
            ledger.reserve(key, 300_000)
            await submit(ledger, key)
            await ledger.finished(key, end)
        assert await ledger.retry({RowState.FAILED, RowState.CANCELLED}) == 2
        assert await states(ledger) == {"a": "planned", "b": "planned", "c": "lost"}
        assert (await ledger.money()).reserved == 900_000
        with pytest.raises(LedgerError, match="no retry of timed_out"):
            await ledger.retry({RowState.LOST, RowState.TIMED_OUT})
        assert (await entries(ledger))["a"].request_id is None
        await submit(ledger, "a", "id-a2")
        await ledger.finished("a", succeeded("id-a2"))
        kept = sqlite3.connect(ledger.path)
        found = kept.execute(
            "SELECT n, state, request_id FROM attempt WHERE row = 1 ORDER BY n"
        ).fetchall()
        kept.close()
        assert found == [(1, "failed", "id-a"), (2, "succeeded", "id-a2")]
        assert await ledger.money() == Money(250_000, 900_000, 0, 0)
        await plan(ledger, "a")
        assert await ledger.retry({RowState.LOST}) == 0  # it left the manifest
        assert (await states(ledger))["c"] == "lost"

    on_ledger(tmp_path, main)


def test_a_download_that_was_given_up_is_not_asked_for_by_itself(tmp_path: Path) -> None:
    """The row stays succeeded with its URL and tells why; success clears it."""

    async def main(ledger: Ledger) -> None:
        await submit(ledger, "a")
        with pytest.raises(LedgerError, match="no download to give up"):
            await ledger.download_given_up("a", "410")
        with pytest.raises(LedgerError, match="submitted and cannot become downloaded"):
            await ledger.downloaded("a", "f", 1, "x")
        await ledger.finished("a", succeeded("id-a"))
        await ledger.download_given_up("a", "gone (410)")
        assert [video async for video in ledger.ready_videos()] == []
        assert [video.key async for video in ledger.ready_videos(given_up=True)] == ["a"]
        entry = (await entries(ledger))["a"]
        assert entry.error is not None
        assert (entry.state.value, entry.error.message) == ("succeeded", "gone (410)")
        await ledger.downloaded("a", "f", 1, "x")
        assert (await entries(ledger))["a"].error is None

    on_ledger(tmp_path, main)


def test_the_dearest_cost_is_known_by_shape(tmp_path: Path) -> None:
    """By model, resolution, duration and audio; a retried attempt counts too."""

    async def main(ledger: Ledger) -> None:
        for key, cost in [("a", 0.25), ("b", 0.5), ("c", None)]:
            await submit(ledger, key)
            await ledger.finished(key, succeeded(f"id-{key}", cost))
        assert await ledger.dearest() == {Shape(fox().model_id, "480p", 5, None): 500_000}

    on_ledger(tmp_path, main)
