"""Downloads beside generation, with a bound of their own; a failed one is no failed generation."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import ReadyVideo
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.names import video_name
from seedance_async.batch.rowjournal import Step
from seedance_async.download import DownloadedFile, DownloadRules, refuse_url
from seedance_async.errors import (
    DownloadError,
    LedgerError,
    SessionClosedError,
    StorageError,
)
from seedance_async.session import Session
from seedance_async.supervisor import see_through

__all__ = ["VIDEOS", "Downloads"]

logger = logging.getLogger("seedance_async")

VIDEOS = "videos"
"""The folder of the videos, in the batch's folder."""

_MOST_WAITING = 1000
"""Videos that wait in memory; beyond, the ledger is asked again when these are done."""


class Downloads:
    """Brings the videos of a run to the disk; its loops are `work`, run by the run's own tasks.

    Args:
        ledger: Says what is to be downloaded, and learns what came of it.
        session: Fetches.
        folder: The batch's.
        rules: Hosts, sizes and tries.
        again: Also try what was given up for good in earlier runs.
        moved: Told of each row that is on disk, or is not.
        trouble: Told when the ledger could not be written.
    """

    def __init__(
        self,
        ledger: Ledger,
        session: Session,
        folder: Path,
        *,
        rules: DownloadRules,
        again: bool,
        moved: Callable[[Step], None],
        trouble: Callable[[LedgerError], None],
    ) -> None:
        self._ledger = ledger
        self._session = session
        self._folder = folder
        self._rules = rules
        self._again = again
        self._moved = moved
        self._trouble = trouble
        self._waiting: deque[ReadyVideo] = deque()
        self._known: set[str] = set()
        self._claims: dict[str, str] = {}
        self._left_out = False
        self._closed = False
        self._running = 0
        self._changed = asyncio.Event()
        self.downloaded = 0
        self.storage_trouble: str | None = None

    @property
    def open(self) -> int:
        """How many are on their way or wait for it."""
        return self._running + len(self._waiting)

    async def load(self) -> None:
        """Take from the ledger what is paid for and not on disk."""
        self._left_out = False
        async with aclosing(self._ledger.ready_videos(final=self._again)) as videos:
            async for video in videos:
                if not self.add(video):
                    return

    def add(self, video: ReadyVideo) -> bool:
        """Take a video; False if it is left to the ledger for now."""
        if self.storage_trouble is not None:
            return True
        if len(self._waiting) >= _MOST_WAITING:
            self._left_out = True
            return False
        if video.key not in self._known:
            self._known.add(video.key)
            self._waiting.append(video)
            self._changed.set()
        return True

    def close(self) -> None:
        """No more will be added; `work` ends when all is done."""
        self._closed = True
        self._changed.set()

    async def work(self) -> None:
        """Download one video after another until closed; several such loops may run.

        Cancelled, it leaves no half file, and the row stays as it was.
        """
        while True:
            if self._waiting:
                await self._guard(self._bring(self._waiting.popleft()))
            elif self._left_out:
                await self._guard(self.load())
            elif self._closed and not self._running:
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Let no error of one video reach the others."""
        self._running += 1
        try:
            await work
        except LedgerError as error:
            self._trouble(error)
        except SessionClosedError:
            self._waiting.clear()  # nothing can be fetched any more; the next run does
        except Exception:
            logger.exception("a download broke; please report it. The next run tries again")
        finally:
            self._running -= 1
            self._changed.set()

    async def _bring(self, video: ReadyVideo) -> None:
        if self.storage_trouble is not None:
            return
        try:
            # A page of the ledger may be older than what another loop has done meanwhile.
            entry = await self._ledger.row(video.key)
            if entry is None or entry.state is not RowState.SUCCEEDED:
                return
            began = self._ledger.now()
            file = await self._fetch(video)
            if file is not None:
                await see_through(asyncio.ensure_future(self._downloaded(video, file, began)))
        finally:
            self._unclaim(video.key)

    async def _downloaded(self, video: ReadyVideo, file: DownloadedFile, began: float) -> None:
        name = file.path.relative_to(self._folder).as_posix()
        await self._ledger.downloaded(video.key, name, file.size, file.sha256, began=began)
        self.downloaded += 1
        self._known.discard(video.key)  # the ledger does not offer it again
        self._moved(Step(video.key, RowState.DOWNLOADED, name, video.request_id))

    async def _fetch(self, video: ReadyVideo) -> DownloadedFile | None:
        """Fetch all videos of a row and return the first; None if it could not be done."""
        urls = (video.video_url, *video.more)
        for url in urls:
            if (why := refuse_url(url, self._session.base_url, self._rules)) is not None:
                await self._failed(video, f"{url} is not fetched: {why}", final=False)
                return None
        first: DownloadedFile | None = None
        try:
            for number, url in enumerate(urls, 1):
                name = await self._name(video.key, number)
                path = self._folder / VIDEOS / name
                file = await self._session.download_file(url, path, rules=self._rules)
                first = first or file
        except StorageError as error:
            if self.storage_trouble is None:
                self.storage_trouble = str(error)
                logger.error("downloads stop: %s", error)  # noqa: TRY400  the message says all
            return None
        except DownloadError as error:
            await self._failed(video, str(error), final=not error.retryable)
            return None
        return first

    async def _name(self, key: str, number: int) -> str:
        """Return a name that is no other row's; 8 digits of a hash are sometimes two rows'."""
        taken = await self._ledger.name_is_taken(key, number)
        for digits in (8, 64):
            name = video_name(key, number, taken=taken or digits > 8, digits=digits)
            owner = await self._ledger.owner_of_file(f"{VIDEOS}/{name}")
            if owner in (None, key) and self._claims.setdefault(name.casefold(), key) == key:
                break
        return name

    def _unclaim(self, key: str) -> None:
        for name in [name for name, owner in self._claims.items() if owner == key]:
            del self._claims[name]

    async def not_downloadable(self, succeeded: int) -> int:
        """Return how many of the rows without a file need a person's help, given their number."""
        again = 0
        async for video in self._ledger.ready_videos():
            urls = (video.video_url, *video.more)
            again += all(
                refuse_url(url, self._session.base_url, self._rules) is None for url in urls
            )
        return succeeded - again

    async def _failed(self, video: ReadyVideo, why: str, *, final: bool) -> None:
        await self._ledger.download_failed(video.key, why, final=final)
        self._moved(Step(video.key, RowState.SUCCEEDED, f"not downloaded: {why}", video.request_id))
