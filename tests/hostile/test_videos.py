"""Videos arrive whole or not at all, and a failed download is never a failed generation."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path

import pytest

from seedance_async import DownloadError, DownloadRules, Failed, Succeeded

from .acts import CANARY, polls, result
from .meeting import Meeting, Stage, ask
from .server import Call, Plan
from .video_rows import FILE, MP4, VIDEO_ROWS, VideoRow, serve

RULES = DownloadRules(max_bytes=1_000_000, timeout=3.0)
BEFORE = b"what stood here before"


@pytest.mark.parametrize("row", VIDEO_ROWS, ids=lambda row: row.word)
def test_a_video_is_stored_whole_or_not_at_all(stage: Stage, row: VideoRow) -> None:
    """The file holds the whole video or what it held before, and nothing lies beside it."""

    async def scene() -> None:
        folder = stage.folder / "videos"
        folder.mkdir()
        path = folder / "fox.mp4"
        path.write_bytes(BEFORE)
        plans = {row.word: Plan(video=row.acts), "whole": Plan(video=(serve(),))}
        async with stage.meet(plans, times={"poll_timeout": 0.5}) as meeting:
            job = await meeting.session.submit(ask(row.word))
            video = await job
            error = await _download(meeting, video, path)
            if row.ends != "either":
                assert (error is None) == (row.ends == "whole"), error
            assert path.read_bytes() == (row.data if error is None else BEFORE)
            assert [entry.name for entry in folder.iterdir()] == ["fox.mp4"]
            asked = [r for r in meeting.server.received if r.target.startswith("/videos/")]
            assert row.gets in (None, len(asked))
            assert isinstance(job.outcome, Succeeded)

    stage.run(scene)


async def _download(meeting: Meeting, video: Succeeded | str, path: Path) -> DownloadError | None:
    try:
        got = await meeting.session.download(video, path, rules=RULES)
    except DownloadError as error:
        meeting.stage.saw(error)
        return error
    assert got == path
    return None


@pytest.mark.parametrize(
    "name",
    [
        "e5ef_%3D%3d.mp4",
        "a%2Fb%20c%7E~.mp4?x=%3D&y=a+b&z",
        "%E2%98%83+.mp4",
        "a,b;c=d(1)'!*.mp4",
        "a%25b..%2e.mp4?x=",
        "a//b.mp4",
        "x/../y.mp4",
    ],
)
def test_a_videos_url_is_fetched_exactly_as_given(stage: Stage, name: str) -> None:
    """No escape is undone, made, or spelled anew, and no path is tidied up.

    One exception is yarl's: a question mark with nothing behind it is not sent.
    """

    async def scene() -> None:
        def output(call: Call) -> dict[str, str]:
            return {"video": call.video_url(name)}

        plan = Plan(polls=(result(output=output),), video=(serve(),))
        async with stage.meet({"verbatim": plan}) as meeting:
            video = await meeting.session.generate(ask("verbatim"))
            assert video.video_url == f"{meeting.server.url}/videos/verbatim/{name}"
            assert await _download(meeting, video, stage.folder / "fox.mp4") is None
            assert meeting.server.received[-1].target == f"/videos/verbatim/{name}"

    stage.run(scene)


def test_a_foreign_video_host_is_refused(stage: Stage) -> None:
    """The video of a host that is not the service's is not asked for; its job has succeeded."""

    async def scene() -> None:
        plan = polls(last=result(output=lambda c: {"video": f"{c.server.foreign}/v.mp4"}))
        async with stage.meet({"foreign": plan}) as meeting:
            end = await meeting.end_of(ask("foreign"), tag="row")
            assert isinstance(end, Succeeded)
            error = await _download(meeting, end, stage.folder / "fox.mp4")
            assert error is not None
            assert error.url == end.video_url
            meeting.assert_told("row", end, [end.request_id])

    stage.run(scene)


BAD_URLS = [
    "",
    "fox.mp4",
    "/etc/passwd",
    "file:///etc/passwd",
    "ftp://a.runcomfy.net/v.mp4",
    "data:video/mp4;base64,AAAA",
    "http://a.runcomfy.net/v.mp4",
    "https://evilruncomfy.net/v.mp4",
    "https://runcomfy.net.evil.example/v.mp4",
    "https://a.runcomfy.net@evil.example/v.mp4",
    "https://user:secret@a.runcomfy.net/v.mp4",
    "https://evil.example/a.runcomfy.net",
    "https://evil.example#.runcomfy.net",
    "https://evil.example\\.runcomfy.net/v.mp4",
    "https://evil.example?.runcomfy.net",
    "https://[::1/v.mp4",
    "https://a.runcomfy.net:99999/v.mp4",
    "https://a.runcomfy.net:22/v.mp4",
    "http://127.0.0.1.evil.example/v.mp4",
    "http://127.0.0.1\r\nX: y/v.mp4",
    "http://127.0.0.1:1/\r\nX-Evil: y",
    "http://2130706433/v.mp4",
    "http://[::ffff:127.0.0.1]/v.mp4",
    "\ud800",
    f"https://evil.example/?t={CANARY[:4]}",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_an_odd_videos_url_is_refused(stage: Stage, url: str) -> None:
    """What stands in `output` is kept, be it a URL or not, and fetched only where it is safe."""

    async def scene() -> None:
        plan = polls(last=result(output={"video": url or "x"}))
        async with stage.meet({"odd": plan}) as meeting:
            end = await meeting.end_of(ask("odd"), tag="row")
            assert isinstance(end, Succeeded | Failed)
            assert end.request_id is not None
            if isinstance(end, Succeeded):
                assert end.video_url == (url or "x")
            else:  # it has been paid for: a person must see what the service gave
                assert json.dumps(url or "x")[1:-1] in f"{end.error.message} {end.error.detail}"
            assert await _download(meeting, url, stage.folder / "fox.mp4") is not None
            assert not (stage.folder / "fox.mp4").exists()
            meeting.assert_told("row", end, [end.request_id])

    stage.run(scene)


def test_a_cancelled_download_leaves_nothing(stage: Stage) -> None:
    """Left in the middle, a download leaves what stood there before."""

    async def scene() -> None:
        async def forever(call: Call) -> None:
            await call.answer(200, FILE[:50_000], headers=[MP4], length=len(FILE))
            while True:
                await call.send(b"v")
                await asyncio.sleep(0.01)

        folder = stage.folder / "videos"
        folder.mkdir()
        path = folder / "fox.mp4"
        path.write_bytes(BEFORE)
        async with stage.meet({"slow": Plan(video=(forever,))}) as meeting:
            video = await meeting.session.generate(ask("slow"))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await meeting.session.download(video, path)
            assert path.read_bytes() == BEFORE
            assert [entry.name for entry in folder.iterdir()] == ["fox.mp4"]

    stage.run(scene)


def test_a_slow_download_ends(stage: Stage) -> None:
    """A byte now and then is no stall; the whole download has its own bound."""

    async def scene() -> None:
        async def forever(call: Call) -> None:
            await call.answer(200, FILE[:5], headers=[MP4], length=len(FILE))
            while True:
                await call.send(b"v")
                await asyncio.sleep(0.01)

        async with stage.meet({"slow": Plan(video=(forever,))}) as meeting:
            video = await meeting.session.generate(ask("slow"))
            rules = DownloadRules(timeout=0.3)
            began = time.monotonic()
            with pytest.raises(DownloadError):
                await meeting.session.download(video, stage.folder / "fox.mp4", rules=rules)
            assert 0.3 <= time.monotonic() - began < 1

    stage.run(scene)


def test_a_videos_url_is_never_logged_above_info(stage: Stage) -> None:
    """A video that was read and stored makes no warning."""

    async def scene() -> None:
        async with stage.meet({"whole": Plan(video=(serve(),))}) as meeting:
            video = await meeting.session.generate(ask("whole"))
            assert await _download(meeting, video, stage.folder / "fox.mp4") is None
        assert all(record.levelno < logging.WARNING for record in stage.log.records)

    stage.run(scene)
