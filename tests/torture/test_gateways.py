"""A gateway that answers each POST with a page of its own: the brake, over real HTTP.

Nobody can tell from a 502 whether the job exists, so each is a doubt, and the brake bounds them:
it is pulled by doubt number `max_in_doubt` in a row, and the POSTs that are under way at that
moment, `max_submitting` at most with the one that pulls it, may all become doubts.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from seedance_async.batch.edges import RowState
from seedance_async.batch.report import BatchReport
from seedance_async.batch.stops import StopReason
from seedance_async.cli.batchexit import batch_exit
from seedance_async.cli.exits import Exit
from seedance_async.simulator import Fault, FaultPlan
from tests.batch.night import foxes
from tests.torture.behind import Behind, behind, play
from tests.torture.judge import Figures, judge
from tests.torture.proxy import Cut, Flow, Kind, Place, Way

SUBMITTING: Final = (1, 2, 3, 8, 16, 32, 64) if "SEEDANCE_LONG" in os.environ else (1, 8, 20)
MAX_IN_DOUBT: Final = 3
"""The session's default."""
MENDED: Final = 3600.0
"""When the gateway works again."""

Tell = Callable[..., None]


def look(scene: Behind) -> Figures:
    """Let the judge look; a doubt needs a POST that got a page, or whose answer was cut."""
    pages, cut = len(scene.simulator.faults_log), scene.proxy.posts_cut
    figures = judge(scene.folder, scene.simulator.books, posts_under_way=pages + cut)
    return figures + Figures(faults=pages)


def rows_for(submitting: int) -> int:
    """Return enough rows for jobs that run, and for all doubts of two runs."""
    return 30 + 3 * submitting


async def submit(scene: Behind, submitting: int) -> BatchReport:
    """Run the batch's command once."""
    settings = {"max_submitting": submitting, "max_in_flight": max(8, submitting)}
    return await scene.run(foxes(rows_for(submitting)), session=settings)


def assert_braked(report: BatchReport, doubts: int, rows: int) -> None:
    """What ran is finished, what was not begun stays planned, and the run says why."""
    counts = report.counts
    assert report.stop is not None
    assert report.stop.reason is StopReason.BRAKE
    assert counts[RowState.IN_DOUBT] == doubts
    assert counts[RowState.PLANNED] == rows - doubts - counts[RowState.DOWNLOADED]
    assert batch_exit(report) == Exit.PERSON


async def end_of(scene: Behind, submitting: int) -> None:
    """After the gateway is mended the same command goes on, and again when doubts are settled."""
    await asyncio.sleep(MENDED - asyncio.get_running_loop().time())
    scene.proxy.heal()
    rows = rows_for(submitting)
    report = await submit(scene, submitting)
    doubts = report.counts[RowState.IN_DOUBT]
    assert report.counts[RowState.DOWNLOADED] == rows - doubts
    assert batch_exit(report) == Exit.PERSON
    assert await scene.settle_doubts() == doubts
    report = await submit(scene, submitting)
    assert report.counts[RowState.DOWNLOADED] == rows
    assert batch_exit(report) == Exit.OK
    accepted = scene.simulator.books.accepted_by_body()
    assert sorted(accepted.values()) == [1] * rows


@pytest.mark.parametrize("submitting", SUBMITTING)
@pytest.mark.parametrize("fault", ["html-502", "html-502-after-accept"])
def test_never_pays_twice_behind_a_gateway_that_breaks_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell, fault: str, submitting: int
) -> None:
    """It breaks down while jobs run, whether or not it lets the POSTs through behind its pages."""
    plan = FaultPlan([Fault(fault, since=20, until=MENDED)])
    most, rows = MAX_IN_DOUBT - 1 + submitting, rows_for(submitting)

    async def main() -> None:
        async with behind(tmp_path, seed=1, capacity=64, faults=plan) as scene:
            report = await submit(scene, submitting)
            began = report.counts[RowState.DOWNLOADED]
            assert began >= max(8, submitting)
            first = report.counts[RowState.IN_DOUBT]
            assert MAX_IN_DOUBT <= first <= most
            assert_braked(report, first, rows)
            report = await submit(scene, submitting)  # by somebody who does not look
            both = report.counts[RowState.IN_DOUBT]
            assert first + MAX_IN_DOUBT <= both <= first + most
            assert_braked(report, both, rows)
            assert scene.proxy.count(Kind.SUBMIT) == began + both
            tell(look(scene), most_submitting=submitting, most_doubts=2 * most)
            await end_of(scene, submitting)

    play(monkeypatch, main)


@pytest.mark.parametrize("submitting", SUBMITTING)
def test_never_loses_what_was_paid_when_the_brake_comes_as_late_as_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell, submitting: int
) -> None:
    """One doubt less than brakes comes first; then all POSTs that may be under way are.

    So many, and no more, come into doubt: `max_in_doubt - 1 + max_submitting`.
    """
    plan = FaultPlan([Fault("html-502-after-accept", until=MENDED)])

    async def main() -> None:
        async with behind(tmp_path, seed=1, capacity=64, faults=plan) as scene:
            for _ in range(MAX_IN_DOUBT - 1):
                scene.proxy.plan(Cut(Kind.SUBMIT, Place.BEFORE_ANSWER, Way.RESET))
            scene.proxy.set_flow(scene.proxy.down, Flow.DELAY, 5)
            report = await submit(scene, submitting)
            most = MAX_IN_DOUBT - 1 + submitting
            assert_braked(report, most, rows_for(submitting))
            assert len(scene.simulator.books.accepted) == most
            tell(look(scene), most_submitting=submitting, most_doubts=most)
            await end_of(scene, submitting)

    play(monkeypatch, main)
