"""A benchmark as a display looks at it: the round that is on, and what is left of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from seedance_async import FixedPolling
from seedance_async.batch.edges import RowState
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.report import RowChange
from seedance_async.bench.benchmark import Benchmark
from seedance_async.bench.rounds import Round, plan_benchmark
from seedance_async.budget import Account
from seedance_async.cli.benchview import BenchView
from seedance_async.simulator.virtualtime import run
from tests.bench.scene import Measured


def test_a_resumed_round_has_no_more_to_wait_for_than_what_is_planned(tmp_path: Path) -> None:
    """Forty jobs, interrupted when 25 were over: those are over, and not to be waited for."""
    plan = plan_benchmark((4,), jobs=40)

    async def main() -> None:
        night = Measured(tmp_path)
        over: list[str] = []

        def count(change: RowChange) -> None:
            if change.state is RowState.SUCCEEDED:
                over.append(change.key)
                if len(over) == 25:
                    task.cancel()

        task = asyncio.create_task(night.measure((4,), jobs=40, on_change=count))
        with pytest.raises(asyncio.CancelledError):
            await task
        notes: list[Sequence[str]] = []
        begun: list[int] = []

        def see(change: RowChange) -> None:
            view.take(change)
            if change.outcome is not None:
                notes.append(view.note()[1:])

        def begin(this: Round, planned: int) -> None:
            begun.append(planned)
            view.begin(this, planned)

        async with (
            night.session(polling=FixedPolling(1.0)) as session,
            await Ledger.open(tmp_path, origin=session.base_url) as ledger,
        ):
            planned = (await ledger.counts())[RowState.PLANNED]
            benchmark = Benchmark(ledger, session, plan, tmp_path, on_round=begin, on_change=see)
            clock = asyncio.get_running_loop().time
            view = BenchView(benchmark, plan, Account(None), clock=clock)
            await benchmark.run()
        assert begun == [planned]
        assert planned == 12
        assert notes[4][0].startswith("under")  # two minutes: eight jobs of one, by fours

    run(main)


def test_what_a_benchmark_still_costs_is_known_once_a_job_has_told_its_cost(tmp_path: Path) -> None:
    """No price was given: what a job really cost is the price of those to come."""
    plan = plan_benchmark((1,), jobs=4)
    seen: list[int | None] = []

    async def main() -> None:
        night = Measured(tmp_path)
        await night.measure((1,), jobs=4, max_videos=1)

        def see(change: RowChange) -> None:
            if change.outcome is not None:
                seen.append(view.to_come())

        async with (
            night.session(polling=FixedPolling(1.0)) as session,
            await Ledger.open(tmp_path, origin=session.base_url) as ledger,
        ):
            benchmark = Benchmark(ledger, session, plan, tmp_path, on_change=see)
            view = BenchView(benchmark, plan, Account(None))
            assert view.to_come() is None
            await benchmark.run()

    run(main)
    assert seen == [2 * 100_000, 100_000, 0]
