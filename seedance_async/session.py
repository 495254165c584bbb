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
from seedance_async.closing import Closing
from seedance_async.credentials import Token, find_token, resolve_base_url
from seedance_async.download import DownloadedFile, DownloadRules, download
from seedance_async.events import Downloaded, Event, GateChanged
from seedance_async.handle import Job, report, success_of
from seedance_async.history import append_history, read_history
from seedance_async.jobs import State, Succeeded
from seedance_async.journal import Journal, SilentJournal
from seedance_async.mapping import Fanout
from seedance_async.models import RawRequest, Request, Shape
from seedance_async.pacing import RetryPolicy
from seedance_async.paths import check_request_id, model_path
from seedance_async.polling import LearnedPolling, Polling
from seedance_async.state import SessionState, Settings, Statistics, closed_error
from seedance_async.submitting import Submitter
from seedance_async.supervisor import in_thread
from seedance_async.tracking import Tracker
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
        self._token = None if token is None else Token(token, "the token argument")
        self._base_url = base_url
        self._connection = {"proxy": proxy, "ssl": ssl, "connector": connector}
        self._given_transport = transport
        self._state: SessionState | None = None
        self._closed: asyncio.Event | None = None
        self._last_statistics: Statistics | None = None

    def __repr__(self) -> str:
        if self._state is None:
            return "<Session, not open>"
        return f"<Session on {self._state.transport.base_url}: {self._state.pool!r}>"

    def __del__(self) -> None:
        if getattr(self, "_state", None) is not None:
            warnings.warn(
                f"unclosed {self!r}: use `async with`, or await aclose()",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    # --- lifetime --------------------------------------------------------------------------

    async def open(self) -> Session:
        """Open the session and return it.

        Raises:
            CredentialsError: No usable token, or a base URL that the token must not go to.
            RuntimeError: It was opened before.
        """
        history = self._history
        known = [] if history is None else await in_thread(read_history, history)
        if self._closed is not None:
            raise RuntimeError("a session is opened once; make a new one")
        transport = self._given_transport or self._connect()
        self._closed = asyncio.Event()
        self._state = SessionState(self._settings, transport)
        self.teach(known)
        self._tracker = Tracker(self._state)
        self._submitter = Submitter(self._state, self._tracker)
        return self

    @property
    def _history(self) -> Path | None:
        polling = self._settings.polling
        return polling.history if isinstance(polling, LearnedPolling) else None

    def _connect(self) -> Transport:
        from seedance_async.http import HttpTransport, Limits

        token = self._token or find_token(None, os.environ, Path.home())
        base_url = resolve_base_url(self._base_url, os.environ)
        options: Any = self._connection
        return HttpTransport(
            base_url, token, limits=Limits.for_jobs(self._settings.max_in_flight), **options
        )

    async def aclose(self) -> None:
        """Wait for every job, at most `exit_timeout` seconds, then close.

        Cancelled, it aborts as `on_abort` says and still leaves nothing behind. May be repeated.
        """
        await self._exit(abort=False)

    async def __aenter__(self) -> Session:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._exit(abort=error is not None)

    async def _exit(self, *, abort: bool) -> None:
        state, closed = self._state, self._closed
        if state is None or closed is None:
            return
        self._check_loop(state)
        if state.supervisor.owns_current_task():
            raise RuntimeError("a session cannot be closed by its own journal, input or callback")
        if state.closing:
            await closed.wait()
            return
        state.closing = True
        closing = Closing(
            state, self._tracker, self._submitter, owns_transport=self._given_transport is None
        )
        try:
            await closing.run(abort=abort)
        finally:
            self._last_statistics = state.statistics()
            self._state = None
            try:
                if self._history is not None and state.learned:
                    await in_thread(append_history, self._history, tuple(state.learned))
            finally:
                closed.set()

    def _check_loop(self, state: SessionState) -> None:
        if state.loop is asyncio.get_running_loop():
            return
        if self._closed is not None and state.loop.is_closed():
            self._state = None
        ids = ", ".join(job.request_id for job in self._tracker.tracked) or "none"
        raise RuntimeError(
            f"the session belongs to the event loop that opened it; jobs it still tracked: {ids}"
        )

    def _open_state(self, *, closing_too: bool = False) -> SessionState:
        if self._state is None or (self._state.closing and not closing_too):
            raise closed_error()
        self._check_loop(self._state)
        return self._state

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
        self._open_state()
        return await self._submitter.submit(request, tag, journal=journal)

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
                self._submitter.cancel_in_session(job)
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
        self._open_state()
        check_request_id(request_id)
        return self._tracker.attach(request_id, tag=tag, accepted_at=accepted_at, journal=journal)

    async def fetch(self, request_id: str) -> State:
        """Ask for a job's state once, without tracking it.

        Raises:
            InvalidRequestError: It cannot be a request id.
            ApiError: The token may not see it, or the service is in trouble.
            ProtocolError: An answer that cannot be read.
            TransportError: There was no answer.
        """
        self._open_state(closing_too=True)
        check_request_id(request_id)
        return await self._tracker.look(request_id)

    @overload
    def map(
        self,
        requests: Iterable[R] | AsyncIterable[R],
        *,
        key: None = None,
        ordered: bool = False,
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
        state = self._open_state()
        return Fanout(state, self._submitter, requests, key=key, ordered=ordered)

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
        state = self._open_state(closing_too=True)
        url = video if isinstance(video, str) else video.video_url
        rules = rules or DownloadRules()
        state.downloads += 1
        try:
            file = await download(state.transport, url, Path(path), rules, self._settings.retry)
        finally:
            state.downloads -= 1
            state.stir()
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
        return self._open_state(closing_too=True).transport.base_url

    async def catalog_model(self, model_id: str) -> CatalogModel:
        """Ask the catalog what a model is called, costs and takes; one free GET.

        Args:
            model_id: The full id.

        Raises:
            ApiError: The catalog does not know the model, or refuses the token.
            ProtocolError: An answer that cannot be read.
            TransportError: There was no answer.
        """
        state = self._open_state()
        path = model_path(RawRequest(model_id, {}).model_id)
        answer = await state.transport.send("GET", path, timeout=state.settings.poll_timeout)
        return read_model_answer(answer, now=state.wall())

    def teach(self, durations: Iterable[tuple[Shape, float]]) -> None:
        """Tell the polling policy how long jobs took elsewhere: shapes, and seconds.

        It is not added to the policy's history.

        Raises:
            SessionClosedError: The session is not open.
        """
        self._open_state().teach(durations)

    def statistics(self) -> Statistics:
        """Return the session's numbers at this moment, or those of its end.

        Raises:
            SessionClosedError: The session was never opened.
        """
        if self._state is not None:
            return self._state.statistics()
        if self._last_statistics is None:
            raise closed_error()
        return self._last_statistics

    def set_max_in_flight(self, limit: int) -> None:
        """Move the ceiling of generations in flight; what runs beyond it runs on.

        The number of connections stays as the session was opened with: above 2,000 in flight,
        polls are late unless the session was opened with the most that will be asked for.
        """
        state = self._open_state()
        if type(limit) is not int or limit < 1:
            raise ValueError(f"max_in_flight must be a whole number from 1 (given: {limit!r})")
        state.limit.set_ceiling(limit)
        state.limit_changed("set_max_in_flight")

    def reopen(self) -> None:
        """Let submissions pass again after the account's trouble or the brake."""
        state = self._open_state()
        state.gate.reopen()
        state.emit(GateChanged(at=state.wall(), open=True, reason="reopen"))
