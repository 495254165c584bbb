"""The session: the door to everything that submits, tracks and downloads."""

from __future__ import annotations

import asyncio
import os
import time
import warnings
from collections.abc import AsyncIterable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from seedance_async.budget import Budget
from seedance_async.catalog import CatalogModel, read_model_answer
from seedance_async.credentials import Token
from seedance_async.download import DownloadedFile, DownloadRules, download
from seedance_async.events import Downloaded, Event
from seedance_async.handle import Job, report, success_of
from seedance_async.jobs import State, Succeeded
from seedance_async.journal import Journal, SilentJournal
from seedance_async.lifetime import Connection, Lifetime
from seedance_async.mapping import Fanout
from seedance_async.models import Request, Shape
from seedance_async.pacing import RetryPolicy
from seedance_async.paths import check_request_id, model_path
from seedance_async.polling import LearnedPolling, Polling
from seedance_async.rawrequest import check_model_id
from seedance_async.state import Settings, Statistics
from seedance_async.transport import Transport

if TYPE_CHECKING:
    import ssl as ssl_module

    import aiohttp

__all__ = ["Session"]

R = TypeVar("R", bound=Request)
K = TypeVar("K")


class Session:
    """A bounded pool of generations on one account.

    Use it as `async with Session() as session:`, or with `open()` and `aclose()`, which may be
    called from different tasks of one event loop. A clean exit waits for every job; an exit by an
    exception or a cancellation cancels what this session submitted and can still be cancelled.

    Args:
        token: The API token; None looks it up as the service's own tools do.
        base_url: The service's address; None reads RUNCOMFY_MODEL_API_BASE, else the public one.
        max_in_flight: Generations being submitted or tracked at once; a ceiling, cut by 429s.
        max_submitting: POSTs under way at once, which bounds what a crash can put in doubt.
        requests_per_second: Bounds all requests of the session; None does not.
        polling: When to poll a job; None learns how long jobs take (`LearnedPolling`).
        job_timeout: Seconds from acceptance (from attachment for attached jobs) to `TimedOut`.
        exit_timeout: Seconds that a clean exit waits for jobs; None waits for their deadlines.
        on_abort: What an exit by exception does with this session's jobs: one cancel attempt each,
            all together within 10 s, or `"detach"`.
        retry: Backoff for what is safe to try again.
        budget: A bound on spending; None does not bound it.
        journal: Where submissions are written down; None leaves the log at INFO.
        max_in_doubt: Submissions in doubt, in a row without an acceptance, that stop submitting.
        on_event: Called in the loop with each event; its errors are logged once.
        proxy: A proxy's URL; None reads the environment once, "" uses none. Loopback never is.
        ssl: As aiohttp takes it.
        connector: The caller's own for polls and downloads; never closed here.
        transport: A double of the network; never closed here. Token and base URL then do not
            matter.
        clock: Wall-clock seconds since the epoch.
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        base_url: str | None = None,
        max_in_flight: int = 4,
        max_submitting: int = 8,
        requests_per_second: float | None = None,
        polling: Polling | None = None,
        job_timeout: float = 1800.0,
        exit_timeout: float | None = None,
        on_abort: Literal["cancel", "detach"] = "cancel",
        retry: RetryPolicy | None = None,
        budget: Budget | None = None,
        journal: Journal | None = None,
        max_in_doubt: int = 3,
        on_event: Callable[[Event], object] | None = None,
        proxy: str | None = None,
        ssl: ssl_module.SSLContext | bool | aiohttp.Fingerprint | None = None,
        connector: aiohttp.BaseConnector | None = None,
        transport: Transport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = Settings(
            max_in_flight=max_in_flight,
            max_submitting=max_submitting,
            requests_per_second=requests_per_second,
            polling=LearnedPolling() if polling is None else polling,
            job_timeout=job_timeout,
            exit_timeout=exit_timeout,
            on_abort=on_abort,
            retry=retry or RetryPolicy(),
            budget=budget,
            journal=journal or SilentJournal(),
            max_in_doubt=max_in_doubt,
            on_event=on_event,
            clock=clock,
        )
        connection = Connection(
            transport=transport,
            token=None if token is None else Token(token, "the token argument"),
            base_url=base_url,
            options={"proxy": proxy, "ssl": ssl, "connector": connector},
        )
        self._lifetime = Lifetime(connection)

    def __repr__(self) -> str:
        state = self._lifetime.state
        if state is None:
            return "<Session, not open>"
        return f"<Session on {state.transport.base_url}: {state.pool!r}>"

    def __del__(self) -> None:
        lifetime = getattr(self, "_lifetime", None)  # None: an argument was refused
        if lifetime is not None and lifetime.state is not None:
            unclosed = f"unclosed {self!r}: use `async with`, or await aclose()"
            warnings.warn(unclosed, ResourceWarning, source=self, stacklevel=2)

    async def open(self) -> Session:
        """Open the session and return it.

        Raises:
            CredentialsError: No usable token, or a base URL that the token must not go to.
            RuntimeError: It was opened before.
        """
        await self._lifetime.open(self._settings)
        return self

    async def aclose(self) -> None:
        """Wait for every job, at most `exit_timeout` seconds, then close.

        Cancelled, it aborts as `on_abort` says and still leaves nothing behind. May be repeated.
        """
        await self._lifetime.close(abort=False)

    async def __aenter__(self) -> Session:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._lifetime.close(abort=error is not None)

    # --- generations -----------------------------------------------------------------------

    async def submit(
        self, request: Request, *, tag: str | None = None, journal: Journal | None = None
    ) -> Job:
        """Submit a request once, as soon as there is a slot, and return the accepted job.

        Never repeat it after `SubmissionInDoubtError`: the job may exist. Cancelled before the
        POST, it has spent nothing. Cancelled during the POST, it leaves at once; the session
        finishes the POST, records the id, tries one cancel, and tracks the job otherwise.

        Args:
            request: What to generate.
            tag: Its name for the journal and the events; must be unique in the journal.
            journal: Where this one is written down; None: in the session's.

        Raises:
            RejectedError: The service refused this request; so do other `ApiError`s.
            RateLimitedError: 429s went on for 15 minutes; nothing was accepted.
            SubmissionInDoubtError: Nobody knows whether it was accepted.
            SubmittingStoppedError: The account's trouble or the brake stopped submitting.
            BudgetExceededError: It does not fit into the budget; nothing was sent.
            TransportError: The service could not be reached; nothing was sent.
            LedgerError: The journal could not be written; nothing was accepted.
            SessionClosedError: The session is not open.
            SeedanceError: Others cancelled the session's own task before the POST, as by
                `asyncio.all_tasks()`; nothing was sent.
        """
        self._lifetime.open_state()
        return await self._lifetime.submitter.submit(request, tag, journal=journal)

    async def generate(
        self,
        request: Request,
        *,
        tag: str | None = None,
        on_update: Callable[[State], object] | None = None,
    ) -> Succeeded:
        """Submit and wait for the video.

        Cancelled, it leaves at once, and the session makes the one cancel attempt.

        Args:
            request: What to generate.
            tag: Its name for the journal and the events.
            on_update: Called with each new state and the outcome; its errors are logged once.

        Raises:
            SeedanceError: As `submit` and awaiting a `Job` do.
        """
        job = await self.submit(request, tag=tag)
        try:
            if on_update is not None:
                await report(job, on_update)
            return success_of(await job.wait())
        except asyncio.CancelledError:
            if not job.done():
                self._lifetime.submitter.cancel_in_session(job)
            raise

    def attach(
        self,
        request_id: str,
        *,
        tag: str | None = None,
        accepted_at: float | None = None,
        journal: Journal | None = None,
    ) -> Job:
        """Track a job by its id, from any process; no I/O, and never waits for a slot.

        The same id twice is the same `Job`. An id that the service does not know is polled for
        60 s after acceptance before it is `Lost`.

        Args:
            request_id: The job's id.
            tag: Its name in the journal; None takes the id.
            accepted_at: When it was accepted, in seconds since the epoch; None counts from now.
            journal: Where its end is written down; None: in the session's.

        Raises:
            InvalidRequestError: It cannot be a request id.
            SessionClosedError: The session is not open.
        """
        self._lifetime.open_state()
        check_request_id(request_id)
        tracker = self._lifetime.tracker
        return tracker.attach(request_id, tag=tag, accepted_at=accepted_at, journal=journal)

    async def fetch(self, request_id: str) -> State:
        """Ask for a job's state once, without tracking it.

        Raises:
            InvalidRequestError: It cannot be a request id.
            ApiError: The token may not see it, or the service is in trouble.
            ProtocolError: An answer that cannot be read.
            TransportError: There was no answer.
        """
        self._lifetime.open_state(closing_too=True)
        check_request_id(request_id)
        return await self._lifetime.tracker.look(request_id)

    @overload
    def map(
        self, requests: Iterable[R] | AsyncIterable[R], *, key: None = None, ordered: bool = False
    ) -> Fanout[R, int]: ...

    @overload
    def map(
        self,
        requests: Iterable[R] | AsyncIterable[R],
        *,
        key: Callable[[R], K],
        ordered: bool = False,
    ) -> Fanout[R, K]: ...

    def map(
        self,
        requests: Iterable[R] | AsyncIterable[R],
        *,
        key: Callable[[R], Any] | None = None,
        ordered: bool = False,
    ) -> Fanout[R, Any]:
        """Fan out many requests; use as `async with session.map(...) as results: async for ...`.

        The input is read lazily, one request ahead of the pool. Outcomes are values: one that
        fails disturbs no other. If submitting stops (account, brake, budget), what runs is yielded
        first, then the iteration raises.

        Args:
            requests: An iterable or async iterable of requests.
            key: Names each result; None takes its index.
            ordered: Yield in the order of the input instead of completion.
        """
        state = self._lifetime.open_state()
        return Fanout(state, self._lifetime.submitter, requests, key=key, ordered=ordered)

    async def download(
        self,
        video: Succeeded | str,
        path: str | os.PathLike[str],
        *,
        rules: DownloadRules | None = None,
    ) -> Path:
        """Download a video, whole or not at all, and return its path.

        The session's clean exit waits for it. Cancelled, it leaves nothing; what stood at `path`
        before stays. May be repeated.

        Args:
            video: An outcome, or a video's URL.
            path: The file to write; replaced only by a complete video.
            rules: Hosts, sizes and tries; None takes the defaults.

        Raises:
            DownloadError: It could not be fetched or stored; the generation itself succeeded.
        """
        return (await self.download_file(video, path, rules=rules)).path

    async def download_file(
        self,
        video: Succeeded | str,
        path: str | os.PathLike[str],
        *,
        rules: DownloadRules | None = None,
    ) -> DownloadedFile:
        """Download a video as `download` does, and return its path, size and digest."""
        state = self._lifetime.open_state(closing_too=True)
        url = video if isinstance(video, str) else video.video_url
        rules = rules or DownloadRules()
        with state.downloading():
            file = await download(state.transport, url, Path(path), rules, self._settings.retry)
        state.emit(
            Downloaded(
                at=state.wall(),
                request_id="" if isinstance(video, str) else video.request_id,
                path=str(file.path),
                size=file.size,
                sha256=file.sha256,
            )
        )
        return file

    # --- steering --------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """The service's address, without a slash at its end.

        Raises:
            SessionClosedError: The session is not open.
        """
        return self._lifetime.open_state(closing_too=True).transport.base_url

    async def catalog_model(self, model_id: str) -> CatalogModel:
        """Ask the catalog what a model is called, costs and takes; one free GET.

        Args:
            model_id: The full id.

        Raises:
            ApiError: The catalog does not know the model, or refuses the token.
            ProtocolError: An answer that cannot be read.
            TransportError: There was no answer.
        """
        state = self._lifetime.open_state()
        check_model_id(model_id)
        path = model_path(model_id)
        answer = await state.transport.send("GET", path, timeout=state.settings.poll_timeout)
        return read_model_answer(answer, now=state.wall())

    def teach(self, durations: Iterable[tuple[Shape, float]]) -> None:
        """Tell the polling policy how long jobs took elsewhere: shapes, and seconds.

        It is not added to the policy's history.

        Raises:
            SessionClosedError: The session is not open.
        """
        self._lifetime.open_state().teach(durations)

    def statistics(self) -> Statistics:
        """Return the session's numbers at this moment, or those of its end.

        Raises:
            SessionClosedError: The session was never opened.
        """
        return self._lifetime.statistics()

    def set_max_in_flight(self, limit: int) -> None:
        """Move the ceiling of generations in flight; what runs beyond it runs on.

        There stay as many connections as at the opening: above 2,000 in flight polls may be late.

        Raises:
            ValueError: Not a whole number from 1.
            SessionClosedError: The session is not open.
        """
        self._lifetime.open_state().set_max_in_flight(limit)

    def reopen(self) -> None:
        """Let submissions pass again after the account's trouble or the brake."""
        self._lifetime.open_state().reopen()
