"""What goes wrong in the night, in the tests that people write about it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from seedance_async import DownloadError, JobFailedError, ProFastTextToVideo
from seedance_async.simulator import Fault, FaultPlan
from seedance_async.testing import SimulatedSession

FOX = ProFastTextToVideo(text="A red fox crosses a frozen lake at dawn")


@pytest.mark.seedance(faults=FaultPlan({"failed": 1.0}))
async def test_a_failed_job_says_why_and_costs_nothing(seedance_session: SimulatedSession) -> None:
    async with seedance_session as session:
        with pytest.raises(JobFailedError, match="The model stopped"):
            await session.generate(FOX)
    assert seedance_session.books.billed == 0


@pytest.mark.seedance(faults=FaultPlan([Fault("429", since=30, until=120)]))
async def test_a_storm_of_429s_is_waited_out(seedance_session: SimulatedSession) -> None:
    foxes = [ProFastTextToVideo(text=f"A red fox, take {number}") for number in range(12)]
    async with seedance_session as session:
        await asyncio.gather(*(session.generate(fox) for fox in foxes))
    books, storm = seedance_session.books, seedance_session.faults_log
    assert len(books.accepted) == 12
    assert storm
    assert all(30 <= fault.at < 120 for fault in storm)
    assert books.requests("submit") == 12 + len(storm), "sent again only what was refused"


@pytest.mark.seedance(faults=FaultPlan([Fault("truncated-video", until=3600)]))
async def test_a_lost_download_is_no_lost_video(
    seedance_session: SimulatedSession, tmp_path: Path
) -> None:
    async with seedance_session as session:
        video = await session.generate(FOX)
        with pytest.raises(DownloadError):
            await session.download(video, tmp_path / "fox.mp4")
        assert not list(tmp_path.iterdir()), "whole or not there"
        await asyncio.sleep(3600)  # of virtual time
        await session.download(video, tmp_path / "fox.mp4")
    assert len(seedance_session.books.accepted) == 1, "only the download was tried again"
