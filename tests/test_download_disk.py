"""What disks and cancellations may do to a download (design, section 6, "Downloads").

Real sockets need the real clock, so the times here are real, and short.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

import anyio
import pytest

from seedance_async.download import DownloadedFile, DownloadRules, download
from seedance_async.errors import StorageError

from .fileserver import QUICK, cut, mp4, run, whole
from .misbehaving import Conversation, live, server, transport_to

VIDEO = mp4()
FULL = Path("/dev/full")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A target in a folder that exists."""
    return tmp_path / "fox.mp4"


# --- disks ---------------------------------------------------------------------------------


def check_storage_error(path: Path, video: bytes = VIDEO) -> StorageError:
    """Download, and expect an error that says where, why, and that the URL still stands."""
    met = run(path, whole(video))
    assert isinstance(met.error, StorageError), met.error
    assert met.error.retryable
    assert met.error.url == f"{met.place.url}/output/fox%3D1.mp4"
    assert str(path) in str(met.error)
    assert met.error.url in str(met.error)
    return met.error


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    """Where a folder should be stands a file: a StorageError, and the file is left alone."""
    (tmp_path / "videos").write_text("mine")
    check_storage_error(tmp_path / "videos" / "fox.mp4")
    assert (tmp_path / "videos").read_text() == "mine"


@pytest.mark.parametrize("name", ["fox.mp4", "fox.mp4.part"])
def test_a_file_that_is_a_folder(name: str, path: Path) -> None:
    """Where the file (or its `.part`) should be stands a folder: it is left alone, too."""
    inside = path.with_name(name) / "mine"
    inside.mkdir(parents=True)
    check_storage_error(path)
    assert inside.exists()


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("size", [100, 100_000], ids=["at the flush", "at a write"])
def test_a_full_disk(size: int, path: Path) -> None:
    """No space left, whether it shows while writing or at the end only, and says so."""
    path.write_bytes(b"old")
    path.with_name("fox.mp4.part").symlink_to(FULL)
    assert "No space left" in str(check_storage_error(path, mp4(size)))
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["fox.mp4"]  # noqa: PTH208  # names are what is compared


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights(tmp_path: Path) -> None:
    """No right to write is told as such."""
    folder = tmp_path / "videos"
    folder.mkdir(mode=0o500)
    assert "ermission" in str(check_storage_error(folder / "fox.mp4"))


def test_a_failed_download_keeps_the_old_file(path: Path) -> None:
    """Until the new file is whole, the old one stands."""
    path.write_bytes(b"old")
    met = run(path, cut(VIDEO, 40_000))
    assert met.error.retryable
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


# --- time and cancellation -----------------------------------------------------------------


async def drip(talk: Conversation) -> None:
    """Send half of a video and then a byte now and then, for ever."""
    await talk.request()
    await talk.answer(200, VIDEO[:50_000], content_length=str(len(VIDEO)))
    while True:
        await asyncio.sleep(0.01)
        await talk.send(b"x")


def test_the_whole_takes_a_bounded_time(path: Path) -> None:
    """A server that drips without end is given up after `DownloadRules.timeout`."""

    async def slow(talk: Conversation, _request: object) -> None:
        await talk.answer(200, VIDEO[:50_000], content_length=str(len(VIDEO)))
        while True:
            await asyncio.sleep(0.01)
            await talk.send(b"x")

    met = run(path, slow, rules=DownloadRules(timeout=0.3))
    assert met.error.retryable
    assert "0.3 s" in str(met.error)
    assert not list(path.parent.iterdir())


Fetching = Callable[[], Coroutine[object, object, DownloadedFile]]


async def by_task_cancel(fetch: Fetching, half: asyncio.Event) -> None:
    task = asyncio.ensure_future(fetch())
    await half.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_three_cancels(fetch: Fetching, half: asyncio.Event) -> None:
    task = asyncio.ensure_future(fetch())
    await half.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_wait_for(fetch: Fetching, half: asyncio.Event) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(fetch(), 0.3)


async def by_timeout(fetch: Fetching, half: asyncio.Event) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await fetch()


async def by_anyio_scope(fetch: Fetching, half: asyncio.Event) -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(fetch)
            await half.wait()
            scope.cancel()


CANCELLATIONS = [by_task_cancel, by_three_cancels, by_wait_for, by_timeout, by_anyio_scope]


@pytest.mark.parametrize("cancel", CANCELLATIONS, ids=lambda cancel: cancel.__name__)
def test_a_cancelled_download_leaves_nothing(
    cancel: Callable[[Fetching, asyncio.Event], Awaitable[None]], path: Path
) -> None:
    """However it is cancelled: no `.part`, the old file in place, the cancellation passed on."""
    path.write_bytes(b"old")
    part = path.with_name("fox.mp4.part")

    async def main() -> None:
        half = asyncio.Event()
        async with server(drip) as here, transport_to(here.url) as transport:

            async def watch() -> None:
                while not (part.exists() and part.stat().st_size >= 40_000):
                    await asyncio.sleep(0.005)
                half.set()

            async def fetch() -> DownloadedFile:
                return await download(transport, f"{here.url}/x", path, DownloadRules(), QUICK)

            watching = asyncio.ensure_future(watch())
            await cancel(fetch, half)
            assert half.is_set()
            await watching
            assert list(path.parent.iterdir()) == [path]
        assert path.read_bytes() == b"old"

    live(main)
