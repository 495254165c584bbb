"""The runner cut at every iteration of the loop, in a storm of faults, and watched for blocking."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from seedance_async import Budget, FixedPolling
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.planning import plan_manifest
from seedance_async.batch.report import BatchReport
from seedance_async.batch.runner import Batch, Wishes
from seedance_async.batch.running import account_of
from seedance_async.simulator import KNOWN_FAULTS
from tests.batch.night import Night, foxes
from tests.session.scene import SteppingLoop, run, run_stepping
from tests.watching import blocking_raises

ROWS = 4


def test_the_event_loop_never_waits_for_the_disk_in_a_whole_batch(tmp_path: Path) -> None:
    """Plan, submit, download, results: blockbuster raises where the loop's thread would block.

    A first batch reads the schemas and the simulator's videos, which happens once a process.
    """
    first = Night(tmp_path / "first")
    run(lambda: first.run(foxes(2)))
    night = Night(tmp_path / "second", faults=["drop-after-accept=0.2", "videos=0.3"])

    async def main() -> None:
        with blocking_raises():
            report = await night.run(foxes(12), session={"max_in_doubt": 12})
        assert report.downloaded > 0
        assert report.stop is None

    run(main)


async def _run(night: Night, cut: list[Callable[[], object]], way: str) -> BatchReport | None:
    """Run a batch that `cut[0]` interrupts in the given way; None if it was cancelled."""
    async with night.session(polling=FixedPolling(2), max_submitting=2) as session:
        async with await Ledger.open(night.folder, origin=session.base_url) as ledger:
            await plan_manifest(ledger, foxes(ROWS), errors=None)
            account = await account_of(ledger, None)
            batch = Batch(ledger, session, night.folder, account=account, wishes=Wishes())
            work = asyncio.create_task(batch.run())
            cut.append(_ways(batch, work)[way])
            try:
                return await work
            except asyncio.CancelledError:
                return None


def _ways(batch: Batch, work: asyncio.Task[BatchReport]) -> dict[str, Callable[[], object]]:
    return {"cancel": work.cancel, "leave": batch.leave, "stop": lambda: batch.stop("enough")}


@pytest.mark.parametrize("way", ["cancel", "leave", "stop"])
def test_cut_at_any_iteration_nothing_is_lost_and_the_next_run_goes_on(
    tmp_path: Path, way: str
) -> None:
    """Every seventh iteration of a small batch is cut, each in a folder of its own."""
    calm = SteppingLoop()
    run_stepping(lambda: _run(Night(tmp_path / "calm", capacity=2), [], way), calm)
    assert calm.main_steps > 100
    for step in range(1, calm.main_steps, 7):
        night = Night(tmp_path / f"{way}-{step}", capacity=2)
        cut: list[Callable[[], object]] = []

        def act(cut: list[Callable[[], object]] = cut) -> None:
            if cut:
                cut[0]()

        run_stepping(lambda: _run(night, cut, way), SteppingLoop(step, act))  # noqa: B023
        run(lambda: _go_on(night, way))  # noqa: B023


async def _go_on(night: Night, way: str) -> None:
    if (night.folder / "ledger.sqlite").exists():
        assert "in_doubt" not in (await night.states()).values()
        await night.judge()
    await night.run(foxes(ROWS))
    states = Counter((await night.states()).values())
    cancelled = len(night.simulator.books.cancelled)
    assert states == Counter(downloaded=ROWS - cancelled, cancelled=cancelled)
    assert not cancelled or way == "leave"
    await night.judge()


def test_a_storm_of_every_fault_at_once(tmp_path: Path) -> None:
    """Four runs, each left at some moment but the last: books, ledger and files agree."""
    faults = [f"{name}=0.05" for name in KNOWN_FAULTS if name != "unreachable"]
    faults.append("unreachable,since=30,until=75")
    night = Night(tmp_path, faults=faults, capacity=20)
    rows = foxes(200)
    budget = Budget(usd=200 * 0.25, price_per_second=0.05)
    session = {"max_in_flight": 30, "max_in_doubt": 200, "job_timeout": 400.0}

    async def main() -> None:
        for seconds in (20.0, 60.0, 90.0, None):
            work = asyncio.create_task(night.run(rows, session=session, budget=budget))
            if seconds is not None:
                await asyncio.sleep(seconds)
                work.cancel()
            await asyncio.wait({work})
            await night.judge()
        report = work.result()
        states = Counter((await night.states()).values())
        assert states["planned"] == states["submitting"] == states["submitted"] == 0
        assert states["downloaded"] > 80
        books = night.simulator.books
        assert len(books.accepted) <= 200
        assert books.requests("submit") >= len(books.accepted)
        assert report.money.settled + report.money.reserved <= 50_000_000
        # What the ledger reckons covers what is billed: doubts and losses stay reserved.
        assert report.money.settled + report.money.reserved >= books.billed

    run(main)
