"""All behaviours in one batch: each row ends as it does alone, in process and by the command."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from seedance_async.batch import BatchReport, RowState, StopReason
from seedance_async.cli.exits import Exit

from .acts import CANARY, html
from .batch_meeting import BatchMeeting, meet, rows_of
from .batch_posts import ACCOUNT_ROWS, POSTED_ROWS
from .batch_rows import POLLED_ROWS, VIDEO_ROWS
from .batch_times import TOGETHER
from .meeting import Stage
from .server import Received

# those that stop submitting come first: each time, all that runs is waited for
KINDS = [*ACCOUNT_ROWS, *POLLED_ROWS, *VIDEO_ROWS, *POSTED_ROWS]
ROWS = list(KINDS)
AT_ONCE = {"max_in_flight": 40, "max_submitting": 20, "job_timeout": 1.2}


def test_one_rows_trouble_is_its_own(stage: Stage) -> None:
    """One batch of one row per kind, run until it stops no more, then well, then once more."""

    async def scene() -> None:
        async with meet(stage, ROWS) as meeting:
            await meeting.server.stop_listening()
            start = asyncio.create_task(_run(meeting))
            await asyncio.sleep(0.1)  # the first connections are refused
            await meeting.server.listen_again()
            report = await start
            while report.stop is not None:
                assert report.stop.reason is StopReason.ACCOUNT
                _assert_none_strays(meeting)
                report = await _run(meeting)
            _assert_none_strays(meeting)
            meeting.server.well = True
            report = await _run(meeting)
            _judge(meeting)
            _assert_counted(report)
            seen = len(meeting.server.received)
            report = await _run(meeting)
            _judge(meeting)
            _assert_counted(report)
            assert report.submitted == report.downloaded == 0
            _assert_only_videos(meeting.server.received[seen:])

    stage.run(scene, within=30)


def test_the_command_leaves_each_row_where_its_rule_says(stage: Stage) -> None:
    """The real command in processes of its own: the same again goes on."""

    async def scene() -> None:
        async with meet(stage, ROWS) as meeting:
            meeting.server.catalog = html(502)  # prices are not known, and not needed
            posts = sum(case.posts_again or case.posts for case in ROWS)
            while meeting.server.posts.total() < posts:
                assert await _command(meeting, stage) == Exit.ACCOUNT  # at last as polls are denied
                _assert_none_strays(meeting)
            meeting.server.well = True
            assert await _command(meeting, stage) == Exit.AGAIN  # for some downloads
            _judge(meeting)
            assert meeting.server.posts.total() == posts
            for request in meeting.server.browsed:
                assert [v for _, v in request.headers if CANARY in v] == [f"Bearer {CANARY}"]

    stage.run(scene, within=40)


async def _command(meeting: BatchMeeting, stage: Stage) -> int:
    """Run the batch's command once; return its exit code."""
    manifest = stage.folder / "manifest.jsonl"
    lines = [{"key": key, "model": asked.model_id, **asked.input()} for key, asked in rows_of(ROWS)]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hostile.batch_process", "batch", str(manifest)),
        *("--out", str(meeting.folder), "--yes", "-v", "--job-timeout", "1.2"),
        *("--max-in-flight", "40", "--poll-interval", "0.05", "--max-in-doubt", "1000"),
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            "HOME": str(stage.folder),
            "XDG_STATE_HOME": str(stage.folder / "state"),
            "RUNCOMFY_MODEL_API_BASE": meeting.server.url,
            "RUNCOMFY_TOKEN": CANARY,
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    stage.saw(out.decode())
    stage.saw(err.decode())
    meeting.assert_token_kept()
    assert process.returncode is not None
    assert process.returncode not in {Exit.BUG, Exit.USAGE, Exit.DATA}, err.decode()
    return process.returncode


async def _run(meeting: BatchMeeting) -> BatchReport:
    return await meeting.run(rows_of(ROWS), settings=AT_ONCE, times=TOGETHER)


def _assert_none_strays(meeting: BatchMeeting) -> None:
    """On the way, a row is planned, or where its first run leaves it, or where it will end."""
    for case in ROWS:
        state = meeting.results()[case.word]["state"]
        assert state in {RowState.PLANNED, case.state, case.final}, (case.word, state)


def _assert_only_videos(received: list[Received]) -> None:
    """The same command once more asks for videos that may come yet, and for nothing else."""
    late = {c.word for c in ROWS if c.final is RowState.SUCCEEDED and not c.helpless}
    assert {request.method for request in received} == {"GET"}
    assert {request.path.split("/")[2] for request in received} <= late
    assert all(request.path.startswith("/videos/") for request in received)


def _judge(meeting: BatchMeeting) -> None:
    wrong = [what for case in ROWS for what in meeting.judge(case, again=True)]
    assert not wrong
    meeting.assert_no_other_files(ROWS)


def _assert_counted(report: BatchReport) -> None:
    ends = [case.final for case in ROWS]
    assert {state: n for state, n in report.counts.items() if n} == {
        state: ends.count(state) for state in ends
    }
