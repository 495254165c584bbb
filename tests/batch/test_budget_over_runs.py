"""A budget of all runs together, when bills prove dearer than what earlier runs reckoned with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from seedance_async import Budget
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Money, OpenJob
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.report import BatchReport
from seedance_async.batch.running import account_of
from seedance_async.bodies import Answer
from tests.batch.night import Night, foxes
from tests.session.scene import run

TOO_LOW = Budget(usd=1.0, price_per_second=0.02)
"""Five seconds are reckoned at 0.10, and billed at 0.25."""
PLENTY = Budget(usd=100.0, price_per_second=0.02)


async def money_in_the_ledger(night: Night, budget: Budget | None) -> Money:
    """Return the money that the next run would begin with."""
    async with await Ledger.open(night.folder, origin=None) as ledger:
        account = await account_of(ledger, budget)
    return Money(account.settled, account.reserved, account.unpriced, account.unestimated)


@pytest.mark.parametrize("first_budget", [TOO_LOW, None], ids=["too low a price", "no price"])
def test_jobs_that_are_attached_after_the_first_bill_are_reckoned_by_it(
    tmp_path: Path, first_budget: Budget | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of open jobs may come so slowly that the first job ends before the second is there."""
    night = Night(tmp_path)
    whole = Ledger.open_jobs

    async def slowly(self: Ledger) -> AsyncGenerator[OpenJob, None]:
        async for job in whole(self):
            yield job
            await asyncio.sleep(600)

    async def main() -> None:
        session = {"job_timeout": 0.5}
        report = await night.run(foxes(12), budget=first_budget, limit=4, session=session)
        assert report.counts[RowState.TIMED_OUT] == 4
        monkeypatch.setattr(Ledger, "open_jobs", slowly)
        report = await night.run(foxes(12), budget=TOO_LOW)
        assert report.money == Money(1_000_000, 0, 0, 0)
        assert night.simulator.books.billed == 1_000_000
        await night.judge()

    run(main)


def test_a_bill_is_what_doubts_of_earlier_runs_are_reckoned_at_too(tmp_path: Path) -> None:
    """Three doubts at 0.25 and one video leave nothing of a dollar, whatever was reckoned first."""
    night = Night(tmp_path)

    async def doubtful() -> BatchReport:
        night.wire.after = answer_lost
        session = {"max_in_doubt": 9}
        return await night.run(foxes(12), budget=TOO_LOW, limit=3, session=session)

    async def main() -> None:
        assert (await doubtful()).counts[RowState.IN_DOUBT] == 3
        night.wire.after = lambda _method, _path, answer: answer
        report = await night.run(foxes(12), budget=TOO_LOW, session={"max_in_flight": 1})
        assert report.money == Money(250_000, 750_000, 0, 0)
        assert night.simulator.books.billed == 1_000_000
        await night.judge()

    def answer_lost(method: str, path: str, answer: Answer) -> Answer:
        submits = method == "POST" and not path.endswith("/cancel")
        return Answer(502, {}, b"<html>", True) if submits else answer

    run(main)


def test_the_next_run_begins_with_the_money_that_the_last_one_ended_with(tmp_path: Path) -> None:
    """Bills, doubts, videos without a bill and what still runs: all reckoned alike by both."""
    night = Night(tmp_path, faults=["drop-after-accept=0.2", "failed=0.1", "no-cost=0.4"])

    async def main() -> None:
        for limit, job_timeout in ((10, 60.0), (20, 1800.0), (30, 5.0)):
            session = {"max_in_doubt": 99, "job_timeout": job_timeout}
            report = await night.run(foxes(30), budget=PLENTY, limit=limit, session=session)
            assert await money_in_the_ledger(night, PLENTY) == report.money
        assert report.money.unpriced
        assert report.money.reserved
        await night.judge()

    run(main)
