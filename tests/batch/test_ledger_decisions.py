"""What becomes of rows behind the session: doubts, retries, downloads, prices."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from seedance_async import ErrorInfo, LedgerError
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Money
from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.models import Shape
from tests.batch.ledgers import (
    NOON,
    cancelled,
    entries,
    failed,
    fox,
    lost,
    on_ledger,
    opened,
    plan,
    states,
    submit,
    succeeded,
)
from tests.session.scene import run


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


@pytest.mark.parametrize(
    ("where", "planned"),
    [
        ({}, "abcd"),
        ({"through": 2}, "ab"),
        ({"keys": ["d", "b", "b", "none", "\ud800"]}, "bd"),
        ({"keys": ["d", "b"], "through": 3}, "b"),
        ({"keys": []}, ""),
        ({"through": 0}, ""),
    ],
)
def test_a_retry_may_be_of_some_rows_only(
    where: dict[str, Any], planned: str, tmp_path: Path
) -> None:
    """By the last line, by keys, or by both."""

    async def main(ledger: Ledger) -> None:
        for key in "abcd":
            await submit(ledger, key)
            await ledger.finished(key, failed(f"id-{key}"))
        assert await ledger.retry({RowState.FAILED}, **where) == len(planned)
        found = [key for key, state in (await states(ledger)).items() if state == "planned"]
        assert "".join(found) == planned

    on_ledger(tmp_path, main, "abcd")


def test_a_failed_download_is_tried_again_unless_it_is_final(tmp_path: Path) -> None:
    """The row stays succeeded with its URL and tells why; success clears both."""

    async def main(ledger: Ledger) -> None:
        await submit(ledger, "a")
        with pytest.raises(LedgerError, match="'a' is submitted: there is no download that could"):
            await ledger.download_failed("a", "410", final=True)
        with pytest.raises(LedgerError, match="submitted and cannot become downloaded"):
            await ledger.downloaded("a", "f", 1, "x")
        await ledger.finished("a", succeeded("id-a"))
        await ledger.download_failed("a", "reset", final=False)
        assert [video.key async for video in ledger.ready_videos()] == ["a"]
        assert (await entries(ledger))["a"].error == ErrorInfo("DownloadError", "reset")
        await ledger.download_failed("a", "gone (410)", final=True)
        assert [video async for video in ledger.ready_videos()] == []
        assert [video.key async for video in ledger.ready_videos(final=True)] == ["a"]
        entry = (await entries(ledger))["a"]
        assert entry.error is not None
        assert (entry.state.value, entry.error.message) == ("succeeded", "gone (410)")
        await ledger.download_failed("a", "reset", final=False)
        assert [video.key async for video in ledger.ready_videos()] == ["a"]
        await ledger.download_failed("a", "gone (410)", final=True)
        await ledger.downloaded("a", "f", 1, "x")
        assert (await entries(ledger))["a"].error is None
        kept = sqlite3.connect(ledger.path)
        assert kept.execute("SELECT max(download_final) FROM row").fetchone() == (0,)
        kept.close()

    on_ledger(tmp_path, main)


def test_videos_of_a_dead_simulator_are_made_again(tmp_path: Path) -> None:
    """They cost nothing; what is on disk or no longer in the manifest stays."""

    async def main() -> None:
        async with await opened(tmp_path, SIMULATOR) as ledger:
            await plan(ledger, "abcd")
            for key in "abc":
                await submit(ledger, key)
                await ledger.finished(key, succeeded(f"id-{key}"))
            await ledger.downloaded("b", "b.mp4", 1, "x")
            await ledger.download_failed("a", "refused", final=True)
            await plan(ledger, "abd")
            assert await ledger.paid_attempts() == 3
            assert await ledger.forget_videos() == 1
            assert await ledger.forget_videos() == 0
            left = {"a": "planned", "b": "downloaded", "d": "planned", "c": "succeeded"}
            assert await states(ledger) == left
            assert await ledger.paid_attempts() == 2
            assert await ledger.money() == Money(500_000, 0, 0, 0)
            entry = (await entries(ledger))["a"]
            assert (entry.error, entry.video_url, entry.attempts) == (None, None, 1)
            await submit(ledger, "a", "id-a2")
            await ledger.finished("a", succeeded("id-a2"))
            assert [video.key async for video in ledger.ready_videos()] == ["a", "c"]

    run(main)


def test_videos_of_a_service_are_not_forgotten(tmp_path: Path) -> None:
    """They are paid for."""

    async def main(ledger: Ledger) -> None:
        await submit(ledger, "a")
        await ledger.finished("a", succeeded("id-a"))
        with pytest.raises(LedgerError, match=r"belongs to https://.*: its videos are paid for"):
            await ledger.forget_videos()
        assert (await states(ledger))["a"] == "succeeded"

    on_ledger(tmp_path, main)


def test_the_dearest_cost_is_known_by_shape(tmp_path: Path) -> None:
    """By model, resolution, duration and audio; a retried attempt counts too."""

    async def main(ledger: Ledger) -> None:
        for key, cost in [("a", 0.25), ("b", 0.5), ("c", None)]:
            await submit(ledger, key)
            await ledger.finished(key, succeeded(f"id-{key}", cost))
        assert await ledger.dearest() == {Shape(fox().model_id, "480p", 5, None): 500_000}

    on_ledger(tmp_path, main)
