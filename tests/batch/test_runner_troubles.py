"""What a run meets beyond the usual: each of these once broke a promise, or its report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from seedance_async import Budget
from seedance_async.batch.downloading import Downloads
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Money
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.planning import plan_manifest
from seedance_async.batch.runner import Batch, Wishes
from seedance_async.batch.running import account_of, run_batch
from seedance_async.batch.stops import StopReason
from seedance_async.bodies import Answer
from seedance_async.errors import InvalidRequestError, LedgerError, TransportError, Violation
from tests.batch.night import Night, foxes
from tests.session.scene import fox, run


@asynccontextmanager
async def batch_of(
    night: Night, rows: int, *, budget: Budget | None = None, **settings: Any
) -> AsyncIterator[Batch]:
    """Plan and make a batch, for those who steer it."""
    async with night.session(**settings) as session:
        async with await Ledger.open(night.folder, origin=session.base_url) as ledger:
            await plan_manifest(ledger, foxes(rows), errors=None)
            account = await account_of(ledger, budget)
            yield Batch(ledger, session, night.folder, account=account, wishes=Wishes())


LIMITED = Answer(429, {"retry-after": "600"}, b'{"error_message": "busy"}', True)
UNSENT = TransportError("no route to host", sent=False)


@pytest.mark.parametrize("way", ["stop", "leave"])
@pytest.mark.parametrize("answer", [LIMITED, UNSENT], ids=["429", "not sent"])
def test_a_post_that_comes_back_unsent_after_a_stop_is_not_waited_for(
    tmp_path: Path, way: str, answer: Answer | Exception
) -> None:
    """A Retry-After of ten minutes held the run up, and its end passed for a ledger's trouble."""
    night = Night(tmp_path)

    async def main() -> None:
        async with batch_of(night, 3) as batch:
            night.wire.script = lambda _method, _path: answer
            running = asyncio.create_task(batch.run())
            while not batch.glance().counts[RowState.SUBMITTING]:
                await asyncio.sleep(0.001)
            batch.leave() if way == "leave" else batch.stop("enough")
            began = asyncio.get_running_loop().time()
            report = await running
            assert asyncio.get_running_loop().time() - began < 1
        assert report.stop is not None
        assert report.stop.reason is StopReason.INTERRUPTED
        assert report.counts[RowState.PLANNED] == 3

    run(main)


def test_leaving_does_not_wait_for_polls_that_never_answer(tmp_path: Path) -> None:
    """A cancel that was answered, with no poll to confirm it, was waited for to the deadline."""
    night = Night(tmp_path, capacity=1)

    async def main() -> None:
        async with batch_of(night, 5) as batch:
            night.wire.script = lambda method, _path: UNSENT if method == "GET" else None
            running = asyncio.create_task(batch.run())
            await asyncio.sleep(0.02)
            batch.leave()
            began = asyncio.get_running_loop().time()
            await running
            assert asyncio.get_running_loop().time() - began < 60
        night.wire.script = lambda _method, _path: None
        await night.judge()

    run(main)


def test_a_refused_poll_while_leaving_disturbs_nobody(tmp_path: Path) -> None:
    night = Night(tmp_path, capacity=1)
    denied = Answer(401, {}, b'{"error_code": 401001, "error_message": "who?"}', True)

    async def main() -> None:
        async with batch_of(night, 5) as batch:
            running = asyncio.create_task(batch.run())
            await asyncio.sleep(1)
            night.wire.script = lambda method, _path: denied if method == "GET" else None
            batch.leave()
            report = await running
            assert report.counts[RowState.PLANNED] + report.submitted == 5
        night.wire.script = lambda _method, _path: None
        await night.judge()
        await night.run(foxes(5))
        await night.judge()

    run(main)


def test_an_error_of_our_own_in_one_download_disturbs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = Night(tmp_path)
    whole = Downloads._fetch

    async def broken(self: Downloads, video: Any) -> Any:
        if video.key == "fox-2":
            raise RuntimeError("a slip of ours")
        return await whole(self, video)

    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Downloads, "_fetch", broken)
            report = await night.run(foxes(6))
        assert report.downloaded == 5
        assert report.to_download == 1
        assert (await night.run(foxes(6))).downloaded == 1
        await night.judge()

    run(main)


def test_a_session_that_closes_under_a_batch_stops_it(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        session = await night.session().open()
        running = asyncio.create_task(run_batch(foxes(9), session=session, out=tmp_path))
        await asyncio.sleep(3)
        await session.aclose()
        report = await running
        assert report.stop is not None
        assert report.stop.reason is StopReason.INTERRUPTED
        await night.judge()
        assert (await night.run(foxes(9))).counts[RowState.DOWNLOADED] == 9
        await night.judge()

    run(main)


def test_a_budget_reckons_with_what_earlier_runs_left_without_a_price(tmp_path: Path) -> None:
    """Four of them run, at nobody knows what; a dollar is then spoken for."""
    night = Night(tmp_path)

    async def main() -> None:
        report = await night.run(foxes(12), session={"job_timeout": 0.5}, limit=4)
        assert report.money.unestimated == 4
        await night.run(foxes(12), budget=Budget(usd=1.0, price_per_second=0.05))
        assert night.simulator.books.billed == 1_000_000

    run(main)


def test_a_budget_reckons_with_a_price_that_proved_too_low_in_an_earlier_run(
    tmp_path: Path,
) -> None:
    """At 0.02 a second five run; the first one to end costs 0.25, and so will the others."""
    night = Night(tmp_path, capacity=1)
    budget = Budget(usd=1.30, price_per_second=0.02)
    session = {"max_in_flight": 5}

    async def main() -> None:
        running = asyncio.create_task(night.run(foxes(12), budget=budget, session=session))
        while not any(change.state is RowState.DOWNLOADED for change in night.changes):
            await asyncio.sleep(1)
        running.cancel()
        await asyncio.wait({running})
        await night.run(foxes(12), budget=budget, session=session)
        assert night.simulator.books.billed <= 1_300_000 + 250_000
        await night.judge()

    run(main)


def test_a_session_with_a_budget_of_its_own_bounds_the_batch_too(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        session = {"budget": Budget(usd=1.0, price_per_second=0.1), "max_in_flight": 4}
        report = await night.run(foxes(12), session=session)
        assert report.stop is not None
        assert report.stop.reason is StopReason.BUDGET
        assert report.counts[RowState.DOWNLOADED] == 3

    run(main)


def test_a_job_id_that_another_row_has_is_a_doubt_and_stops_nothing(tmp_path: Path) -> None:
    night = Night(tmp_path)
    ids: list[bytes] = []

    def same(method: str, path: str, answer: Answer) -> Answer | Exception:
        if method != "POST" or path.endswith("/cancel"):
            return answer
        ids.append(answer.body)
        return attrs.evolve(answer, body=ids[0]) if len(ids) == 2 else answer

    async def main() -> None:
        night.wire.after = same
        report = await night.run(foxes(5), session={"max_submitting": 1})
        assert report.stop is None
        assert report.counts[RowState.IN_DOUBT] == 1
        assert report.counts[RowState.DOWNLOADED] == 4
        (doubt,) = [entry for entry in (await night.entries()).values() if entry.error]
        assert doubt.error is not None
        assert "belongs to row 'fox-1'" in doubt.error.message

    run(main)


def test_a_row_that_breaks_a_newer_rule_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    night = Night(tmp_path)

    def stricter(row: Any) -> Any:
        if row.key == "fox-2":
            raise InvalidRequestError([Violation("text", "x", "is too short")], model_id="m")
        return fox(int(row.key[4:]))

    async def main() -> None:
        monkeypatch.setattr("seedance_async.batch.runner.request_of", stricter)
        report = await night.run(foxes(4))
        assert report.counts[RowState.DOWNLOADED] == 3
        assert report.counts[RowState.PLANNED] == 1
        assert "row fox-2 stays planned" in caplog.text

    run(main)


def test_the_numbers_of_a_glance_are_the_ledgers(tmp_path: Path) -> None:
    """After every step: counts, what is left, and the money, in a run with every kind of end."""
    night = Night(tmp_path, faults=["drop-after-accept=0.1", "failed=0.1", "429=0.1", "videos=0.2"])
    budget = Budget(usd=100.0, price_per_second=0.05)

    async def main() -> None:
        async with batch_of(night, 40, budget=budget, max_in_doubt=40) as batch:
            running = asyncio.create_task(batch.run())
            async with await Ledger.read(tmp_path) as reader:
                while not running.done():
                    await asyncio.sleep(0.7)
                    seen, counts = batch.glance(), await reader.counts()
                    if seen == batch.glance():  # nothing moved while the ledger was asked
                        assert seen.counts == counts
                        assert seen.left == counts[RowState.PLANNED]
                        money = await reader.money()
                        if seen == batch.glance():
                            assert (seen.settled, seen.reserved) == (money.settled, money.reserved)
            report = await running
            assert report.submitted == len(night.simulator.books.accepted) - sum(
                entry.state is RowState.IN_DOUBT for entry in (await night.entries()).values()
            )

    run(main)


@pytest.mark.parametrize("turns", range(1, 60, 2))
def test_an_opening_that_is_cancelled_gives_the_lock_back(tmp_path: Path, turns: int) -> None:
    async def main() -> None:
        opening = asyncio.create_task(Ledger.open(tmp_path, origin="simulator"))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait({opening})
        if not opening.cancelled():
            await opening.result().aclose()
        async with await Ledger.open(tmp_path, origin="simulator"):
            pass

    run(main)


def test_a_detaching_that_is_cancelled_leaves_no_slot_taken(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        async with night.session() as session:
            job = await session.submit(fox())
            detaching = asyncio.create_task(job.detach())
            await asyncio.sleep(0)
            detaching.cancel()
            await asyncio.wait({detaching})
            await job.wait()
            assert session.statistics().in_flight == 0

    run(main)


def test_a_late_id_after_the_rows_end_changes_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`accepted` fails at first; the job ends meanwhile, and then the word comes through."""
    night = Night(tmp_path)
    whole: Callable[..., Any] = Ledger.accepted
    failing = True

    async def full(self: Ledger, tag: str, request_id: str) -> None:
        if failing:
            raise LedgerError("disk full")
        await whole(self, tag, request_id)

    async def main() -> None:
        nonlocal failing
        monkeypatch.setattr(Ledger, "accepted", full)
        async with batch_of(night, 1) as batch:
            running = asyncio.create_task(batch.run())
            while not batch.glance().counts[RowState.DOWNLOADED]:
                await asyncio.sleep(0.01)
            failing = False
            report = await running
            await asyncio.sleep(60)
            assert batch.glance().counts == report.counts
            assert report.counts[RowState.DOWNLOADED] == report.submitted == 1
        await night.judge()

    run(main)


def test_a_moment_tells_for_how_many_jobs_no_price_is_known(tmp_path: Path) -> None:
    """Nothing is set aside for them, in this run and the next, until a first bill is a price."""
    night = Night(tmp_path)

    async def main() -> None:
        async with batch_of(night, 3) as batch:
            running = asyncio.create_task(batch.run())
            while batch.glance().counts[RowState.SUBMITTED] < 3:
                await asyncio.sleep(0.1)
            seen = batch.glance()
            assert (seen.settled, seen.reserved) == (0, 0)
            assert (seen.unpriced, seen.unestimated) == (0, 3)
            running.cancel()
            await asyncio.wait({running})
        async with batch_of(night, 3) as batch:
            assert batch.glance().unestimated == 3
            report = await batch.run()
            assert batch.glance().unestimated == 0
        assert report.money == Money(settled=750_000, reserved=0, unpriced=0, unestimated=0)

    run(main)


def test_a_dearer_bill_raises_what_the_doubts_of_earlier_runs_set_aside(tmp_path: Path) -> None:
    """The budget was passed: they stayed at the price that the first bill had refuted."""
    night = Night(tmp_path)
    budget = Budget(usd=1.0, price_per_video=0.01)

    async def main() -> None:
        night.wire.after = lambda method, _path, answer: (
            TransportError("cut off", sent=True) if method == "POST" else answer
        )
        report = await night.run(foxes(12), budget=budget, session={"max_in_flight": 1})
        assert report.counts[RowState.IN_DOUBT] == 3
        assert report.money.reserved == 30_000
        night.wire.after = lambda _method, _path, answer: answer
        report = await night.run(foxes(12), budget=budget, session={"max_in_flight": 1})
        assert report.stop is not None
        assert report.stop.reason is StopReason.BUDGET
        assert report.money == Money(250_000, 750_000, unpriced=0, unestimated=0)

    run(main)
