"""Each behaviour of the service meets a batch of one row: where it is left, and at what price."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import attrs
import pytest

from seedance_async import DownloadRules
from seedance_async.batch import BatchReport, RowState, StopReason
from seedance_async.http import HttpTransport

from .acts import accept, answer, html, until_well
from .batch_meeting import meet, rows_of
from .batch_posts import ACCOUNT_ROWS, POSTED_ROWS
from .batch_rows import POLLED_ROWS, VIDEO_ROWS, BatchRow
from .batch_times import ALONE, RETRY
from .meeting import Stage
from .server import Plan, acceptance
from .video_rows import serve

ROWS = [*ACCOUNT_ROWS, *POSTED_ROWS, *POLLED_ROWS, *VIDEO_ROWS]


def test_the_table_names_each_behaviour_once() -> None:
    assert len({case.word for case in ROWS}) == len(ROWS) >= 34


def _param(case: BatchRow) -> Any:
    return pytest.param(case, id=case.word)


@pytest.mark.parametrize("case", [_param(case) for case in ROWS])
def test_a_row_ends_as_its_rule_says_and_is_accepted_once(stage: Stage, case: BatchRow) -> None:
    """What can go on goes on by the same command; the test of all together repeats the others."""

    async def scene() -> None:
        settings = {"job_timeout": 0.3 if case.state is RowState.TIMED_OUT else 3.0}
        async with meet(stage, [case]) as meeting:
            report = await meeting.run(rows_of([case]), settings=settings)
            assert not meeting.judge(case)
            _assert_reported(case, report)
            if case.again is not None:
                meeting.server.well = True
                report = await meeting.run(rows_of([case]))
                assert not meeting.judge(case, again=True)
                assert report.submitted == (case.state is RowState.PLANNED)

    stage.run(scene)


class _WithoutTls(HttpTransport):
    """Takes the foreign server, which has no certificate, for one that has."""

    @contextlib.asynccontextmanager
    async def stream(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Any]:
        """Open a GET of a video, by http where it says https."""
        plain = url.replace("https://localhost", "http://localhost")
        async with super().stream(plain, headers) as stream:
            yield stream


def test_a_foreign_host_may_be_allowed(stage: Stage) -> None:
    """A refused video stays where it is; the same command with the host allowed downloads it.

    The token stays at home in any case.
    """

    async def scene() -> None:
        case = next(case for case in VIDEO_ROWS if case.word == "film-foreign")
        async with meet(stage, [case], foreign_may_be_asked=True) as meeting:
            meeting.foreign.plans = {"x": Plan(video=(serve(),))}
            report = await meeting.run(rows_of([case]))
            assert report.not_downloadable == 1
            assert not meeting.foreign.received
            rules = DownloadRules(allow_hosts=("localhost",))
            report = await meeting.run(rows_of([case]), rules=rules, make_transport=_WithoutTls)
            assert not meeting.judge(attrs.evolve(case, again=RowState.DOWNLOADED), again=True)
            assert (report.downloaded, report.submitted) == (1, 0)
            assert len(meeting.foreign.received) == 1
            assert meeting.foreign.received[0].header("authorization") is None

    stage.run(scene)


def test_a_download_that_was_given_up_is_tried_again_on_request_only(stage: Stage) -> None:
    """Three 404s are final; `retry_downloads` asks again, and what is there by then comes."""

    async def scene() -> None:
        plan = Plan(video=(*[html(404)] * 3, serve()))
        case = BatchRow(word="gone", plan=plan, state=RowState.SUCCEEDED, helpless=True, gets=3)
        async with meet(stage, [case]) as meeting:
            for _ in range(3):
                report = await meeting.run(rows_of([case]))
                assert not meeting.judge(case)
                assert (report.to_download, report.not_downloadable) == (0, 1)
            report = await meeting.run(rows_of([case]), retry_downloads=True)
            assert not meeting.judge(attrs.evolve(case, again=RowState.DOWNLOADED), again=True)
            assert (report.downloaded, report.submitted, meeting.gets(case)) == (1, 0, 4)

    stage.run(scene)


def test_a_download_that_failed_for_now_is_tried_again_by_the_same_command(stage: Stage) -> None:
    """A host in trouble loses nobody's video."""

    async def scene() -> None:
        film = until_well(html(503), serve())
        case = BatchRow(word="later", plan=Plan(video=(film,)), state=RowState.SUCCEEDED)
        async with meet(stage, [case]) as meeting:
            report = await meeting.run(rows_of([case]))
            assert not meeting.judge(case)
            assert (report.to_download, report.not_downloadable) == (1, 0)
            meeting.server.well = True
            await meeting.run(rows_of([case]))
            assert not meeting.judge(attrs.evolve(case, again=RowState.DOWNLOADED), again=True)

    stage.run(scene)


def test_a_service_that_cannot_be_reached_at_first_is_waited_for(stage: Stage) -> None:
    """A refused connection has sent nothing, so the same row is tried again."""

    async def scene() -> None:
        case = BatchRow(word="early", plan=Plan(video=(serve(),)))
        async with meet(stage, [case]) as meeting:
            await meeting.server.stop_listening()
            run = asyncio.create_task(meeting.run(rows_of([case])))
            await asyncio.sleep(0.2)  # of the three seconds of patience
            await meeting.server.listen_again()
            report = await run
            assert not meeting.judge(case)
            _assert_reported(case, report)

    stage.run(scene)


def test_a_service_that_cannot_be_reached_stops_the_batch(stage: Stage) -> None:
    """Nothing was sent: the rows stay planned, and the same command goes on another day."""

    async def scene() -> None:
        cases = [BatchRow(word=f"away-{n}", plan=Plan(video=(serve(),))) for n in range(3)]
        times = attrs.evolve(ALONE, retry=attrs.evolve(RETRY, connect_patience=0.1))
        async with meet(stage, cases) as meeting:
            await meeting.server.stop_listening()
            report = await meeting.run(rows_of(cases), times=times)
            assert report.stop is not None
            assert report.stop.reason is StopReason.UNREACHABLE
            assert report.counts[RowState.PLANNED] == 3
            assert {line["attempts"] for line in meeting.results().values()} <= {0, 1}
            await meeting.server.listen_again()
            report = await meeting.run(rows_of(cases))
            assert (report.submitted, report.stop) == (3, None)
            assert not [wrong for case in cases for wrong in meeting.judge(case)]

    stage.run(scene)


def test_429s_for_ever_leave_the_rows_planned(stage: Stage) -> None:
    """The batch gives up for now and says so: nothing was accepted, the same command goes on."""

    async def scene() -> None:
        plan = Plan(post=(until_well(answer(429), acceptance),), video=(serve(),))
        cases = [BatchRow(word=f"limited-{n}", plan=plan) for n in range(24)]
        times = attrs.evolve(ALONE, retry=attrs.evolve(RETRY, limited_patience=0.1))
        async with meet(stage, cases) as meeting:
            settings = {"max_in_flight": 24, "max_submitting": 24}
            report = await meeting.run(rows_of(cases), settings=settings, times=times)
            assert report.stop is not None
            assert report.stop.reason is StopReason.LIMITED, report.stop.message
            assert report.counts[RowState.PLANNED] == 24
            meeting.server.well = True
            report = await meeting.run(rows_of(cases))
            assert (report.submitted, report.downloaded, report.stop) == (24, 24, None)
            assert all(len(ids) == 1 for ids in meeting.server.accepted.values())

    stage.run(scene)


def test_an_id_that_is_given_twice_stays_with_its_first_row(stage: Stage) -> None:
    """Nobody knows what became of the other row: it is in doubt, and not submitted again."""

    async def scene() -> None:
        plan = Plan(post=(accept(request_id="twin"),), video=(serve(),))
        cases = [BatchRow(word=f"twin-{n}", plan=plan) for n in range(2)]
        async with meet(stage, cases) as meeting:
            for _ in range(3):
                await meeting.run(rows_of(cases))
            assert set(meeting.server.posts.values()) == {1}
            lines = meeting.results().values()
            assert sorted(line["state"] for line in lines) == ["downloaded", "in_doubt"]
            known = [line["request_id"] for line in lines if line["state"] == "downloaded"]
            assert known == ["twin"]
            assert any(r.levelname == "CRITICAL" and "twin" in r.message for r in stage.log.records)

    stage.run(scene)


def test_three_doubts_stop_a_batch_and_its_rows_wait_for_a_person(stage: Stage) -> None:
    """The brake holds as it is set unless a test loosens it; what was not sent stays planned."""

    async def scene() -> None:
        plan = Plan(post=(accept(html(502)),))
        cases = [BatchRow(word=f"brake-{n}", plan=plan) for n in range(9)]
        async with meet(stage, cases) as meeting:
            settings = {"max_in_doubt": 3, "max_in_flight": 2}
            for _ in range(2):
                report = await meeting.run(rows_of(cases), settings=settings)
                assert report.stop is not None
                assert report.stop.reason is StopReason.BRAKE
            posts = meeting.server.posts
            assert report.counts[RowState.IN_DOUBT] == posts.total()
            assert max(posts.values()) == 1

    stage.run(scene)


def _assert_reported(case: BatchRow, report: BatchReport) -> None:
    """The report says what the ledger does, and what is to be done."""
    assert {state: n for state, n in report.counts.items() if n} == {case.state: 1}
    paid = {RowState.PLANNED, RowState.IN_DOUBT}
    assert report.submitted == (case.accepted if case.state not in paid else 0)
    assert report.downloaded == (case.state is RowState.DOWNLOADED)
    assert (report.stop and report.stop.reason) == case.stop
    assert (report.denied is not None) == case.denied
    kept = case.state is RowState.SUCCEEDED
    assert report.to_download + report.not_downloadable == kept
    assert not (case.helpless and report.to_download)
