"""Polls: the GETs by which a session learns where a job stands, and what a broken one means."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from seedance_async.errors import ProtocolError, SeedanceError
from seedance_async.paths import result_path, status_path
from seedance_async.state import SessionState
from seedance_async.supervisor import is_cancelled
from seedance_async.tracks import Track
from seedance_async.turnstile import Turn
from seedance_async.verdicts import may_queue
from seedance_async.wire import Reading, Seen, Trouble, read_result, read_status

__all__ = ["Polls"]

logger = logging.getLogger("seedance_async")


class Polls:
    """Asks for the jobs of a session."""

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._slip_logged = False

    async def fetch(self, request_id: str) -> Reading:
        """Wait for a turn, then GET a job's result once and read it.

        Raises:
            TransportError: There was no answer.
        """
        await self._state.turnstile.wait(Turn.POLL, self._state.now())
        return await self._get_result(request_id)

    async def poll(self, track: Track) -> Reading:
        """Ask for a job that is followed and whose turn it is; what breaks is `Trouble`.

        While it may be queued and somebody watches its position, the status is asked too.
        """
        request_id = track.job.request_id
        reading = await self._try(self._get_result(request_id), request_id)
        if track.progress.position_watchers and may_queue(reading):
            status = await self._try(self._get_position(request_id), request_id)
            if isinstance(status, Seen) and status.status is not None:
                return status
        return reading

    async def _try(self, request: Awaitable[Reading], request_id: str) -> Reading:
        """Await a poll; whatever breaks says nothing about the job."""
        try:
            return await request
        except SeedanceError as error:
            return Trouble(error)
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            why = "the request was cancelled by somebody else"
        except Exception as error:
            why = repr(error)
            if not self._slip_logged:
                self._slip_logged = True
                logger.exception("a poll broke; please report it")
        return Trouble(ProtocolError(why, status=0, request_id=request_id))

    async def _get_result(self, request_id: str) -> Reading:
        state = self._state
        state.polls += 1
        answer = await state.transport.send(
            "GET", result_path(request_id), timeout=state.settings.poll_timeout
        )
        return read_result(answer, request_id, now=state.wall())

    async def _get_position(self, request_id: str) -> Reading:
        """Ask the status, which alone knows the place in the queue."""
        state = self._state
        await state.turnstile.wait(Turn.POLL, state.now())
        state.polls += 1
        answer = await state.transport.send(
            "GET", status_path(request_id), timeout=state.settings.poll_timeout
        )
        return read_status(answer, request_id, now=state.wall()) or Seen(None)
