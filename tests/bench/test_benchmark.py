"""Benchmarks against a simulator whose capacity is known, in virtual time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from seedance_async import BenchmarkReport, Budget, FixedPolling, Session, run_benchmark
from seedance_async.batch.edges import RowState
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.planning import InvalidManifestError
from seedance_async.batch.report import RowChange
from seedance_async.batch.stops import StopReason
from seedance_async.bench.knee import Verdict
from seedance_async.errors import LedgerError
from seedance_async.simulator import Simulator
from seedance_async.simulator.virtualtime import run
from seedance_async.testing import SimulatedTransport

from .scene import Measured, level_of


def test_a_capacity_of_eight_is_found_and_the_figures_are_the_theorys(tmp_path: Path) -> None:
    """Jobs take 60 s; acceptance, the last poll and its way add less than 1.2 s to each slot."""

    async def main() -> None:
        night = Measured(tmp_path)
        report = await night.measure((1, 2, 4, 8, 16, 32), jobs=40)
        best = report.recommendation
        assert (best.verdict, best.max_in_flight) == (Verdict.KNEE, 8)
        for level in report.levels:
            ceiling = min(level.level, 8)
            assert level.throughput is not None
            assert ceiling * 60 / 61.2 <= level.throughput <= ceiling * 1.005, level
            assert (level.limited, level.partial) == (0, 0)
            assert level.counts == {RowState.SUCCEEDED: 40}
            assert level.cost == 40 * 100_000
        waits = {n: level_of(report, n).latency for n in (1, 8, 16, 32)}
        p50 = {n: None if found is None else round(found.p50 / 60) for n, found in waits.items()}
        assert p50 == {1: 1, 8: 1, 16: 2, 32: 4}
        queue = level_of(report, 32).wait
        assert queue is not None
        assert 179 <= queue.p50 <= 182
        ran = level_of(report, 32).run
        late = level_of(report, 32).lateness
        assert ran is not None
        assert late is not None
        assert 58.9 <= ran.p50 <= 60
        assert 0 <= late.p95 <= 1.1
        await night.judge()
        assert len(night.simulator.books.accepted) == 240

    run(main)


def test_requests_a_job_are_what_the_service_counted(tmp_path: Path) -> None:
    async def main() -> None:
        night = Measured(tmp_path)
        report = await night.measure((4,), jobs=10)
        books = night.simulator.books
        asked = books.requests("submit") + books.requests("result") + books.requests("status")
        assert level_of(report, 4).requests_per_job == asked / 10

    run(main)


def test_429s_are_counted_and_speak_against_a_level(tmp_path: Path) -> None:
    """Eight run and two wait; whoever comes then is refused for now."""

    async def main() -> None:
        night = Measured(tmp_path, max_queue=2)
        report = await night.measure((2, 4, 8, 16, 32), jobs=60)
        limited = {level.level: level.limited for level in report.levels}
        assert limited[2] == limited[4] == limited[8] == 0 < limited[16]
        books = night.simulator.books
        assert sum(limited.values()) == books.requests("submit") - 300
        asked = sum(level.requests_per_job or 0 for level in report.levels) * 60
        assert asked == pytest.approx(books.requests("submit") + books.requests("result"))
        assert (report.recommendation.verdict, report.recommendation.max_in_flight) == (
            Verdict.LIMITED,
            8,
        )
        await night.judge()

    run(main)


def test_repeats_are_rounds_of_their_own_and_give_a_spread(tmp_path: Path) -> None:
    async def main() -> None:
        night = Measured(tmp_path, durations=None)
        report = await night.measure((1, 8), jobs=20, repeats=3)
        order = [(this.round.level, this.round.repeat) for this in report.rounds]
        assert order == [(1, 1), (8, 1), (1, 2), (8, 2), (1, 3), (8, 3)]
        for level in report.levels:
            assert level.low is not None
            assert level.throughput is not None
            assert level.high is not None
            assert level.low < level.throughput < level.high
        assert len(night.simulator.books.accepted) == 120

    run(main)


def test_the_same_call_again_pays_for_nothing_and_finds_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        night = Measured(tmp_path)
        first = await night.measure((1, 4), jobs=6)
        sent = len(night.wire.sent)
        again = await night.measure((1, 4), jobs=6)
        assert again == first
        assert len(night.wire.sent) == sent

    run(main)


def test_a_further_level_is_added_to_what_is_there(tmp_path: Path) -> None:
    async def main() -> None:
        night = Measured(tmp_path)
        await night.measure((4,), jobs=10)
        report = await night.measure((2, 4, 8), jobs=10)
        assert len(night.simulator.books.accepted) == 30
        assert not any(level.partial for level in report.levels)

    run(main)


async def cancelled_after(night: Measured, jobs: int, state: RowState = RowState.SUCCEEDED) -> None:
    """Cancel a benchmark of the levels 2 and 4, ten jobs each, when so many came to a state."""
    seen: list[str] = []

    def count(change: RowChange) -> None:
        if change.state is state and not change.detail.startswith("in progress"):
            seen.append(change.key)
            if len(seen) == jobs:
                task.cancel()

    task = asyncio.create_task(night.measure((2, 4), jobs=10, on_change=count))
    with pytest.raises(asyncio.CancelledError):
        await task


def test_never_pays_twice_when_a_cancelled_benchmark_is_resumed(tmp_path: Path) -> None:
    """The first level is over and stays measured; the interrupted one gets no throughput."""

    async def main() -> None:
        night = Measured(tmp_path)
        await cancelled_after(night, 13)
        assert 13 <= len(night.simulator.books.accepted) < 20
        report = await night.measure((2, 4), jobs=10)
        await night.judge()
        assert len(night.simulator.books.accepted) == 20
        whole, partial = report.levels
        assert whole.partial == 0
        assert whole.throughput == pytest.approx(2.0, rel=0.02)
        assert (partial.partial, partial.throughput, partial.requests_per_job) == (1, None, None)
        assert partial.counts == {RowState.SUCCEEDED: 10}
        assert partial.latency is not None
        assert report.recommendation.verdict is Verdict.UNKNOWN
        assert (await night.measure((2, 4), jobs=10)) == report

    run(main)


def test_a_round_that_a_killed_process_had_begun_gets_no_throughput(tmp_path: Path) -> None:
    """Such a process leaves jobs in the ledger, and no record of them."""

    async def main() -> None:
        night = Measured(tmp_path)
        await cancelled_after(night, 13)
        (tmp_path / "rounds" / "level-04-1.json").unlink()
        report = await night.measure((2, 4), jobs=10)
        assert [level.partial for level in report.levels] == [0, 1]
        assert level_of(report, 4).throughput is None

    run(main)


def test_what_an_earlier_run_left_under_way_is_in_no_other_rounds_way(tmp_path: Path) -> None:
    """A level that is new comes first, and yet asks for its own jobs alone."""

    async def main() -> None:
        undisturbed = await Measured(tmp_path / "other").measure((1,), jobs=10)
        night = Measured(tmp_path / "this")
        await cancelled_after(night, 13, RowState.SUBMITTED)  # so they have a minute to go
        report = await night.measure((1, 2, 4), jobs=10)
        expected = undisturbed.levels[0].requests_per_job
        assert level_of(report, 1).requests_per_job == pytest.approx(expected, abs=0.2)

    run(main)


def test_a_round_whose_record_is_lost_is_partial_and_not_paid_again(tmp_path: Path) -> None:
    """As after kill -9 between the last job and the record."""

    async def main() -> None:
        night = Measured(tmp_path)
        await night.measure((2,), jobs=5)
        (tmp_path / "rounds" / "level-02-1.json").unlink()
        report = await night.measure((2,), jobs=5)
        assert len(night.simulator.books.accepted) == 5
        assert (report.levels[0].partial, report.levels[0].throughput) == (1, None)
        assert report.levels[0].cost == 500_000

    run(main)


def test_a_record_that_nobody_wrote_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    async def main() -> None:
        night = Measured(tmp_path)
        await night.measure((2,), jobs=5)
        (tmp_path / "rounds" / "level-02-1.json").write_text('{"round": []}')
        with pytest.raises(LedgerError, match="Remove it"):
            await night.measure((2,), jobs=5)

    run(main)


def test_one_budget_holds_for_all_levels_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    """Thirteen videos of $0.10 fit: the first level and three jobs of the second."""

    async def main() -> None:
        night = Measured(tmp_path)
        small = Budget(usd=1.35, price_per_second=0.05)
        report = await night.measure((2, 4, 8), jobs=10, budget=small)
        assert report.stop is not None
        assert report.stop.reason is StopReason.BUDGET
        assert len(night.simulator.books.accepted) == 13
        assert [level.partial for level in report.levels] == [0, 1, 1]
        assert report.levels[1].counts == {RowState.SUCCEEDED: 3, RowState.PLANNED: 7}
        enough = Budget(usd=3.0, price_per_second=0.05)
        report = await night.measure((2, 4, 8), jobs=10, budget=enough)
        assert report.stop is None
        assert len(night.simulator.books.accepted) == 30
        assert [level.throughput is None for level in report.levels] == [False, True, False]
        await night.judge()

    run(main)


def test_doubts_are_set_aside_and_told_and_measured_nowhere(tmp_path: Path) -> None:
    async def main() -> None:
        night = Measured(tmp_path, faults=["drop-after-accept=0.05"])
        report = await night.measure((2, 4), jobs=10)
        doubts = report.counts[RowState.IN_DOUBT]
        assert doubts >= 1
        assert report.counts[RowState.SUCCEEDED] == 20 - doubts
        assert sum(len(this.samples) for this in report.rounds) == 20 - doubts
        assert sum(report.troubles.values()) == doubts
        await night.judge()

    run(main)


def test_a_job_that_times_out_is_told_and_the_same_call_comes_back_to_it(tmp_path: Path) -> None:
    """It may have taken the service's room in later rounds, which the page says."""

    async def main() -> None:
        night = Measured(tmp_path, faults=["stuck,nth=3"])
        async with night.session(polling=FixedPolling(5.0), job_timeout=300.0) as session:
            report = await run_benchmark((2, 4), session=session, out=tmp_path, jobs=6)
            assert report.counts[RowState.TIMED_OUT] == 1
            assert [level.partial for level in report.levels] == [1, 0]
            assert "1 job was not over in time" in (tmp_path / "benchmark.html").read_text()
            again = await run_benchmark((2, 4), session=session, out=tmp_path, jobs=6)
        assert again.counts == report.counts
        assert again.levels[1] == report.levels[1]
        assert len(night.simulator.books.accepted) == 12

    run(main)


def test_another_request_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        night = Measured(tmp_path)
        await night.measure((2,), jobs=5)
        from tests.session.scene import fox

        with pytest.raises(InvalidManifestError):
            await night.measure((2,), jobs=5, request=fox(1))
        assert len(night.simulator.books.accepted) == 5

    run(main)


def test_its_folder_is_a_batchs_folder(tmp_path: Path) -> None:
    """`resolve`, `results` and `cancel` find what they know."""

    async def main() -> None:
        night = Measured(tmp_path)
        await night.measure((2,), jobs=5)
        async with await Ledger.read(tmp_path) as ledger:
            assert (await ledger.counts())[RowState.SUCCEEDED] == 5
        assert [row["key"] for row in night.results()] == [f"level-02-1-00{n}" for n in range(1, 6)]
        document = json.loads((tmp_path / "benchmark.json").read_text())
        assert len(document["rounds"][0]["samples"]) == 5
        assert (tmp_path / "benchmark.csv").read_text().count("\n") == 2

    run(main)


def session_on(simulator: Simulator) -> Session:
    def clock() -> float:
        return simulator.epoch + asyncio.get_running_loop().time()

    return Session(transport=SimulatedTransport(simulator), clock=clock, polling=FixedPolling(1.0))


def test_a_simulated_benchmark_needs_no_folder_and_a_paid_one_does() -> None:
    async def main() -> BenchmarkReport:
        async with session_on(Simulator(seed=7)) as session:
            with pytest.raises(ValueError, match="give `out`"):
                await run_benchmark((1, 2), session=session, jobs=4)
            return await run_benchmark((1, 2), session=session, jobs=4, simulated=True)

    report = run(main)
    assert report.folder is None
    assert report.service == "simulator"
    assert report.counts[RowState.SUCCEEDED] == 8
