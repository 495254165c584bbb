"""What disks and cancellations may do to a download (design, section 6, "Downloads").

Real sockets need the real clock, so the times here are real, and short.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from pathlib import Path

import anyio
import pytest

from seedance_async.download import DownloadedFile, DownloadRules, download
from seedance_async.errors import StorageError
from seedance_async.sink import Sink, Writing

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


class SlowSink(Sink):
    """A disk that takes nothing until it is let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reached = threading.Event()
        self.let_go = threading.Event()
        self.writes = 0

    def write(self, chunks: Iterable[bytes]) -> None:
        self.writes += 1
        self.reached.set()
        assert self.let_go.wait(10)
        super().write(chunks)


async def filled(sink: SlowSink, chunks: Sequence[bytes]) -> tuple[Writing, asyncio.Task[None]]:
    """Put chunks in one after the other; return when the first is being written."""
    sink.restart()
    writing = Writing(sink)

    async def put_all() -> None:
        for chunk in chunks:
            await writing.put(chunk)

    task = asyncio.ensure_future(put_all())
    await asyncio.get_running_loop().run_in_executor(None, sink.reached.wait)
    return writing, task


def test_the_network_goes_on_while_the_disk_writes(path: Path) -> None:
    """What came meanwhile is written together, in order, and counts in the digest."""
    chunks = [bytes([number]) * 1000 for number in range(200)]

    async def main() -> None:
        sink = SlowSink(path.with_name("fox.mp4.part"))
        writing, task = await filled(sink, chunks)
        await asyncio.wait_for(task, 10)  # although nothing is written yet
        assert sink.size == 0
        sink.let_go.set()
        await writing.finish()
        assert sink.writes == 2
        file = sink.finish(path)
        assert file.sha256 == hashlib.sha256(b"".join(chunks)).hexdigest()
        assert path.read_bytes() == b"".join(chunks)

    asyncio.run(main())


def test_a_disk_that_is_far_behind_holds_the_network_up(path: Path) -> None:
    """Memory stays bounded: a few megabytes a download."""

    async def main() -> None:
        sink = SlowSink(path.with_name("fox.mp4.part"))
        writing, task = await filled(sink, [bytes(300_000)] * 100)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not task.done()
        assert sink.writes == 1
        sink.let_go.set()
        await task
        await writing.finish()
        assert sink.size == 30_000_000
        sink.discard()

    asyncio.run(main())


def test_cancelled_it_leaves_no_thread_that_still_writes(path: Path) -> None:
    """Else the file would be closed or removed under its hands."""

    async def main() -> None:
        sink = SlowSink(path.with_name("fox.mp4.part"))
        writing, task = await filled(sink, [bytes(1000)] * 3)
        await task
        ending = asyncio.ensure_future(writing.finish())
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.sleep(0.01)
        assert not ending.done()
        sink.let_go.set()
        await asyncio.wait({ending})
        assert ending.cancelled()
        assert sink.size == 1000
        sink.discard()
        assert not list(path.parent.iterdir())

    asyncio.run(main())


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
