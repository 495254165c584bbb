"""From a session's opening to its close: what it consists of meanwhile, and what is left of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from seedance_async.closing import Closing
from seedance_async.credentials import Token, find_token, resolve_base_url
from seedance_async.history import append_history, read_history
from seedance_async.polling import LearnedPolling
from seedance_async.state import SessionState, Settings, Statistics, closed_error
from seedance_async.submitting import Submitter
from seedance_async.supervisor import in_thread
from seedance_async.tracking import Tracker
from seedance_async.transport import Transport

__all__ = ["Connection", "Lifetime"]


@attrs.frozen(kw_only=True)
class Connection:
    """How a session comes by its transport, as `Session` was told.

    Attributes:
        transport: The caller's own, which makes the rest idle; None: one is made.
        token: None looks it up.
        base_url: None looks it up.
        options: Passed on to `HttpTransport`.
    """

    transport: Transport | None
    token: Token | None
    base_url: str | None
    options: Mapping[str, Any]

    def make(self, max_in_flight: int) -> Transport:
        """Return the caller's transport, or a new one.

        Raises:
            CredentialsError: No usable token, or a base URL that the token must not go to.
        """
        if self.transport is not None:
            return self.transport
        from seedance_async.http import HttpTransport, Limits

        token = self.token or find_token(None, os.environ, Path.home())
        base_url = resolve_base_url(self.base_url, os.environ)
        return HttpTransport(base_url, token, limits=Limits.for_jobs(max_in_flight), **self.options)


class Lifetime:
    """The one life of a session.

    Attributes:
        state: What its parts share; None before it is opened and once it is closed.
        tracker: Follows its jobs; there once it was opened.
        submitter: Submits for it; likewise.
    """

    tracker: Tracker
    submitter: Submitter

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.state: SessionState | None = None
        self._closed: asyncio.Event | None = None
        self._last_statistics: Statistics | None = None

    async def open(self, settings: Settings) -> None:
        """Begin; see `Session.open`."""
        history = _history(settings)
        known = [] if history is None else await in_thread(read_history, history)
        if self._closed is not None:
            raise RuntimeError("a session is opened once; make a new one")
        transport = self._connection.make(settings.max_in_flight)
        self._closed = asyncio.Event()
        self.state = state = SessionState(settings, transport)
        state.teach(known)
        self.tracker = Tracker(state)
        self.submitter = Submitter(state, self.tracker)

    async def close(self, *, abort: bool) -> None:
        """Close it, or wait until who closes it already has done so.

        Args:
            abort: Do not wait for jobs.
        """
        state, closed = self.state, self._closed
        if state is None or closed is None:
            return
        self._check_loop(state)
        if state.supervisor.owns_current_task():
            raise RuntimeError("a session cannot be closed by its own journal, input or callback")
        if state.closing:
            await closed.wait()
            return
        state.closing = True
        owns_transport = self._connection.transport is None
        closing = Closing(state, self.tracker, self.submitter, owns_transport=owns_transport)
        try:
            await closing.run(abort=abort)
        finally:
            self._last_statistics = state.statistics()
            self.state = None
            try:
                history = _history(state.settings)
                if history is not None and state.learned:
                    await in_thread(append_history, history, tuple(state.learned))
            finally:
                closed.set()

    def open_state(self, *, closing_too: bool = False) -> SessionState:
        """Return the state of a session that can be used now, here.

        Args:
            closing_too: Also while it closes.

        Raises:
            SessionClosedError: It is not open.
            RuntimeError: It belongs to another event loop.
        """
        if self.state is None or (self.state.closing and not closing_too):
            raise closed_error()
        self._check_loop(self.state)
        return self.state

    def statistics(self) -> Statistics:
        """Return the numbers of this moment, or those of its end.

        Raises:
            SessionClosedError: It was never opened.
        """
        if self.state is not None:
            return self.state.statistics()
        if self._last_statistics is None:
            raise closed_error()
        return self._last_statistics

    def _check_loop(self, state: SessionState) -> None:
        if state.loop is asyncio.get_running_loop():
            return
        if self._closed is not None and state.loop.is_closed():
            self.state = None
        ids = ", ".join(job.request_id for job in self.tracker.tracked) or "none"
        raise RuntimeError(
            f"the session belongs to the event loop that opened it; jobs it still tracked: {ids}"
        )


def _history(settings: Settings) -> Path | None:
    polling = settings.polling
    return polling.history if isinstance(polling, LearnedPolling) else None
