"""The ledger: what it keeps, what it refuses, and that nobody waits for its disk."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from blockbuster import BlockingError

from seedance_async import Journal, LedgerError, Outcome
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Money
from seedance_async.batch.folder import copy_ledger
from seedance_async.batch.ledger import Ledger
from tests.batch.ledgers import (
    ERROR,
    NOON,
    URL,
    cancelled,
    entries,
    failed,
    fox,
    keyed,
    lost,
    on_ledger,
    opened,
    plan,
    states,
    submit,
    succeeded,
    timed_out,
)
from tests.session.scene import Scene, run
from tests.watching import blocking_raises

STRANGE = 'line\nbreak "quote" \u2028 \\ é 狐 🦊 \ud800 \x00'


# --- the words of the session ----------------------------------------------------------------


def test_a_row_goes_from_the_plan_to_the_disk(tmp_path: Path) -> None:
    """Each word is kept with its time, its money and what the results need."""

    async def main(ledger: Ledger) -> None:
        journal: Journal = ledger
        ledger.reserve("a", 300_000)
        await journal.submitting("a", fox())
        assert (await states(ledger))["a"] == "submitting"
        assert await ledger.money() == Money(0, 300_000, 0, 0)
        await journal.accepted("a", "id-a")
        await journal.finished("a", succeeded("id-a", cost=0.25))
        assert await ledger.money() == Money(250_000, 0, 0, 0)
        assert [video.video_url async for video in ledger.ready_videos()] == [URL]
        await ledger.downloaded("a", "videos/a.mp4", 1234, "ab" * 32)
        assert [video async for video in ledger.ready_videos()] == []
        entry = await ledger.row("a")
        assert entry is not None
        assert entry == (await entries(ledger))["a"]
        assert (entry.state, entry.line, entry.attempts) == (RowState.DOWNLOADED, 1, 1)
        assert (entry.file, entry.bytes, entry.sha256) == ("videos/a.mp4", 1234, "ab" * 32)
        assert (entry.request_id, entry.video_url, entry.cost) == ("id-a", URL, 250_000)
        assert (entry.submitted_at, entry.finished_at) == (NOON, NOON)
        assert entry.error is None
        assert await ledger.row("nobody") is None

    on_ledger(tmp_path, main)


def test_submitting_is_on_disk_before_it_returns(tmp_path: Path) -> None:
    """Another connection reads it in the same moment."""

    async def main(ledger: Ledger) -> None:
        await ledger.submitting("a", fox())
        other = sqlite3.connect(ledger.path)
        assert other.execute("SELECT state FROM row WHERE key = 'a'").fetchone() == ("submitting",)
        other.close()

    on_ledger(tmp_path, main)


def test_a_commit_is_synced_before_it_counts(tmp_path: Path) -> None:
    """A write-ahead log with synchronous = FULL: a power failure takes nothing back."""

    async def main(ledger: Ledger) -> None:
        def settings(db: sqlite3.Connection) -> list[object]:
            names = ("journal_mode", "synchronous", "foreign_keys")
            return [db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

        assert await ledger._writer.alone(settings) == ["wal", 2, 1]

    on_ledger(tmp_path, main)


def test_never_pays_twice_a_row_that_is_not_planned_is_not_submitted(tmp_path: Path) -> None:
    """In whatever state it is, also while its POST is under way; nothing is changed by it."""

    async def main(ledger: Ledger) -> None:
        await ledger.submitting("a", fox())
        await ledger.submitting("b", fox())
        await ledger.in_doubt("b", "no answer")
        await submit(ledger, "c")
        before = await entries(ledger)
        for key, words in [
            ("a", "submitting already: a second POST could be paid twice"),
            ("b", "in_doubt and cannot become submitting: it may be paid for"),
            ("c", "submitted and cannot become submitting: its job may be running"),
            ("z", "no row 'z' in this ledger"),
        ]:
            with pytest.raises(LedgerError, match=words):
                await ledger.submitting(key, fox())
        assert await entries(ledger) == before

    on_ledger(tmp_path, main)


def test_a_refusal_for_now_uses_the_same_attempt(tmp_path: Path) -> None:
    """Nothing was sent, so it is no attempt; the estimate is released and set aside again."""

    async def main(ledger: Ledger) -> None:
        ledger.reserve("a", 300_000)
        for _ in range(3):
            await ledger.submitting("a", fox())
            assert (await ledger.money()).reserved == 300_000
            await ledger.not_sent("a", STRANGE)
            await ledger.not_sent("a", "told again")
            assert (await ledger.money()).reserved == 0
        entry = (await entries(ledger))["a"]
        assert (entry.state, entry.attempts) == (RowState.PLANNED, 0)
        assert [row.key for row in await ledger.next_planned(9)] == ["a", "b", "c"]
        await submit(ledger, "a")
        assert (await entries(ledger))["a"].attempts == 1

    on_ledger(tmp_path, main)


@pytest.mark.parametrize(
    ("outcome", "state", "money"),
    [
        (succeeded("id-a", None), "succeeded", Money(300_000, 0, 1, 0)),
        (succeeded("id-a", float("nan")), "succeeded", Money(300_000, 0, 1, 0)),
        (succeeded("id-a", 1e30), "succeeded", Money(300_000, 0, 1, 0)),
        (succeeded("id-a", 0.5), "succeeded", Money(500_000, 0, 0, 0)),
        (failed("id-a"), "failed", Money(0, 300_000, 0, 0)),
        (failed("id-a", 0.0), "failed", Money(0, 0, 0, 0)),
        (cancelled("id-a"), "cancelled", Money(0, 300_000, 0, 0)),
        (cancelled("id-a", 0.1), "cancelled", Money(100_000, 0, 0, 0)),
        (timed_out("id-a"), "timed_out", Money(0, 300_000, 0, 0)),
        (lost("id-a"), "lost", Money(0, 300_000, 0, 0)),
    ],
)
def test_money_is_settled_by_the_cost_or_stays_set_aside(
    outcome: Outcome, state: str, money: Money, tmp_path: Path
) -> None:
    """Design, section 6, Money; telling an outcome again changes nothing."""

    async def main(ledger: Ledger) -> None:
        ledger.reserve("a", 300_000)
        await submit(ledger, "a")
        for _ in range(2):
            await ledger.finished("a", outcome)
            assert (await states(ledger))["a"] == state
            assert await ledger.money() == money

    on_ledger(tmp_path, main)


def test_a_refusal_ends_a_row_and_releases_its_money(tmp_path: Path) -> None:
    """There is no job, so nothing can be billed; a job is not ended by one."""

    async def main(ledger: Ledger) -> None:
        ledger.reserve("a", 300_000)
        await ledger.submitting("a", fox())
        await ledger.finished("a", failed(None))
        await ledger.finished("a", failed(None))
        entry = (await entries(ledger))["a"]
        assert entry.state is RowState.FAILED
        assert entry.error is not None
        assert (entry.error.kind, entry.error.code) == (ERROR.kind, ERROR.code)
        assert await ledger.money() == Money(0, 0, 0, 0)
        await submit(ledger, "b")
        for key, words in [("b", "a refusal cannot end it"), ("c", "planned and cannot become")]:
            with pytest.raises(LedgerError, match=words):
                await ledger.finished(key, failed(None))

    on_ledger(tmp_path, main)


def test_no_end_is_changed_by_a_later_word(tmp_path: Path) -> None:
    """A cost that was missing and a fresher URL are taken; another end is not."""

    async def main(ledger: Ledger) -> None:
        await submit(ledger, "a")
        await ledger.finished("a", succeeded("id-a", None))
        await ledger.finished("a", succeeded("id-a", 0.25, url=f"{URL}?fresh"))
        await ledger.finished("a", succeeded("id-a", 9.0, url=f"{URL}?fresh"))
        await ledger.accepted("a", "id-a")
        entry = (await entries(ledger))["a"]
        assert (entry.cost, entry.video_url) == (250_000, f"{URL}?fresh")
        before = await entries(ledger)
        for outcome in (failed("id-a"), cancelled("id-a"), timed_out("id-a"), lost("id-a")):
            with pytest.raises(LedgerError, match="its video is paid for: download it"):
                await ledger.finished("a", outcome)
        for word in (ledger.not_sent("a", "x"), ledger.in_doubt("a", "x")):
            with pytest.raises(LedgerError, match="'a' is succeeded and cannot become"):
                await word
        with pytest.raises(LedgerError, match=r"has the job id-a, so the end of id-x is not its"):
            await ledger.finished("a", succeeded("id-x"))
        assert await entries(ledger) == before

    on_ledger(tmp_path, main)


def test_never_loses_what_was_paid_an_end_before_its_id_brings_the_id(tmp_path: Path) -> None:
    """The id could not be written (disk full), then the job ended: both are there now."""

    async def main(ledger: Ledger) -> None:
        await ledger.submitting("a", fox())
        await ledger.finished("a", succeeded("id-a"))
        await ledger.accepted("a", "id-a")  # the session's later try
        entry = (await entries(ledger))["a"]
        assert (entry.state, entry.request_id) == (RowState.SUCCEEDED, "id-a")

    on_ledger(tmp_path, main)


def test_a_job_attached_by_its_id_alone_ends_its_row(tmp_path: Path) -> None:
    """`attach(id)` without a tag tells the journal by the id."""

    async def main(ledger: Ledger) -> None:
        await submit(ledger, "a")
        await ledger.finished("id-a", timed_out("id-a"))
        await ledger.finished("id-a", succeeded("id-a"))
        assert (await states(ledger))["a"] == "succeeded"
        with pytest.raises(LedgerError, match="no row 'id-z'"):
            await ledger.finished("id-z", succeeded("id-z"))

    on_ledger(tmp_path, main)


def test_an_id_belongs_to_one_row(tmp_path: Path) -> None:
    """A second row or a second id is refused, and the text names both."""

    async def main(ledger: Ledger) -> None:
        await submit(ledger, "a", "id-1")
        await ledger.submitting("b", fox())
        with pytest.raises(LedgerError, match=r"job id-1 belongs to row 'a' \(attempt 1\)"):
            await ledger.accepted("b", "id-1")
        with pytest.raises(LedgerError, match="has the job id-1, so id-2 cannot be its job too"):
            await ledger.accepted("a", "id-2")
        assert await states(ledger) == {"a": "submitted", "b": "submitting", "c": "planned"}

    on_ledger(tmp_path, main)


def test_it_takes_any_text(tmp_path: Path) -> None:
    """In reasons, messages, ids and URLs; a key that is no text of a row is refused."""

    async def main(ledger: Ledger) -> None:
        await ledger.submitting("a", fox())
        await ledger.in_doubt("a", STRANGE)
        (doubt,) = [doubt async for doubt in ledger.doubts()]
        assert doubt.seen == STRANGE.replace("\ud800", "\\ud800")
        with pytest.raises(LedgerError, match="there is no row"):
            await ledger.submitting(STRANGE, fox())
        await ledger.submitting("b", fox())

    on_ledger(tmp_path, main)


# --- the loop never waits ------------------------------------------------------------------------


def test_the_event_loop_never_waits_for_the_disk(tmp_path: Path) -> None:
    """Blockbuster raises where sqlite3, a file or a lock is touched in the loop's thread."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        watched = sqlite3.connect(":memory:")
        with blocking_raises():
            with pytest.raises(BlockingError, match="sqlite3"):
                watched.execute("SELECT 1")  # it does watch
            async with await opened(tmp_path / "deep" / "out") as ledger:
                await ledger.draft.stage(keyed("abcde"))
                assert [conflict async for conflict in ledger.draft.conflicts()] == []
                assert [problem async for problem in ledger.draft.problems()] == []
                await ledger.plan()
                await submit(ledger, "a")
                await ledger.finished("a", succeeded("id-a"))
                await ledger.downloaded("a", "f", 1, "x")
                await ledger.submitting("b", fox())
                await ledger.not_sent("b", "429")
                await ledger.submitting("b", fox())
                await ledger.in_doubt("b", "no answer")
                await ledger.resolve("b", not_billed=True)
                await ledger.retry({RowState.FAILED})
                await entries(ledger)
                await ledger.counts()
                await ledger.money()
                await ledger.dearest()
                await ledger.shapes()
                await ledger.name_is_taken("a")
                await copy_ledger(tmp_path / "deep" / "out", tmp_path / "copy")
                async with await Ledger.read(tmp_path / "deep" / "out") as reader:
                    await reader.next_planned(5)
        watched.close()
        assert loop.time() == 0

    run(main)


def test_a_session_writes_its_night_into_it(tmp_path: Path) -> None:
    """The ledger as the journal of a real session on the simulator, 12 rows at once."""
    keys = "abcdefghijkl"
    scene = Scene(faults=["drop-after-accept=0.2"])

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, keys)
            scene.journal = ledger  # type: ignore[assignment]
            session = scene.session(max_in_flight=12, max_submitting=12)
            async with session:
                await asyncio.gather(
                    *(session.submit(fox(number), tag=key) for number, key in enumerate(keys)),
                    return_exceptions=True,
                )
            found = await entries(ledger)
        accepted = {entry.request_id for entry in scene.simulator.books.accepted}
        known = {entry.request_id for entry in found.values() if entry.request_id}
        doubts = [entry for entry in found.values() if entry.state is RowState.IN_DOUBT]
        assert known <= accepted
        assert len(accepted - known) <= len(doubts)
        assert {entry.state.value for entry in found.values()} <= {
            *("succeeded", "in_doubt", "planned")
        }
        assert not scene.simulator.books.paid_twice()

    run(main)
