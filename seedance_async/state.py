"""What the parts of one session share: its settings, its counters, and its voice."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, Protocol
from weakref import WeakSet

import attrs

from seedance_async.budget import Account, Budget, to_usd
from seedance_async.errors import (
    LedgerError,
    SeedanceError,
    SessionClosedError,
    SubmittingStoppedError,
)
from seedance_async.events import Event, GateChanged, LimitChanged
from seedance_async.history import Lasted
from seedance_async.jobs import ErrorInfo
from seedance_async.journal import Journal, SilentJournal
from seedance_async.models import Shape
from seedance_async.pacing import AdaptiveLimit, Gate, Rate, RetryPolicy
from seedance_async.polling import LearnedPolling, Polling
from seedance_async.pool import Pool
from seedance_async.supervisor import Supervisor, is_cancelled
from seedance_async.transport import Transport
from seedance_async.turnstile import Turnstile
from seedance_async.watchdog import Watchdog

__all__ = ["SessionState", "Settings", "Statistics"]

logger = logging.getLogger("seedance_async")

_LEARNED = 1000
"""Durations kept for the polling policy's history."""


def _positive(_owner: object, field: attrs.Attribute[float], value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise ValueError(f"{field.name} must be a finite number above zero (given: {value!r})")


def _positive_or_zero(_owner: object, field: attrs.Attribute[float], value: float | None) -> None:
    if value is not None and not 0 <= value < math.inf:
        raise ValueError(f"{field.name} must be None or a finite number from 0 (given: {value!r})")


def _count(_owner: object, field: attrs.Attribute[int], value: int) -> None:
    _check_count(field.name, value)


def _check_count(name: str, value: int) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be a whole number from 1 (given: {value!r})")


@attrs.frozen(kw_only=True)
class Settings:
    """How a session behaves; times in seconds. The public ones are described at `Session`."""

    max_in_flight: int = attrs.field(default=4, validator=_count)
    max_submitting: int = attrs.field(default=8, validator=_count)
    requests_per_second: float | None = attrs.field(default=None, validator=_positive)
    polling: Polling = attrs.field(factory=LearnedPolling)
    job_timeout: float = attrs.field(default=1800.0, validator=_positive)
    exit_timeout: float | None = attrs.field(default=None, validator=_positive_or_zero)
    on_abort: Literal["cancel", "detach"] = attrs.field(
        default="cancel", validator=attrs.validators.in_(("cancel", "detach"))
    )
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)
    budget: Budget | None = None
    journal: Journal = attrs.field(factory=SilentJournal)
    max_in_doubt: int = attrs.field(default=3, validator=_count)
    on_event: Callable[[Event], object] | None = None
    clock: Callable[[], float] = time.time
    submit_timeout: float = 100.0
    poll_timeout: float = 30.0
    cancel_timeout: float = 5.0
    abort_timeout: float = 10.0
    journal_timeout: float = 60.0
    lost_grace: float = 60.0


@attrs.frozen(kw_only=True)
class Statistics:
    """A session at one moment.

    Attributes:
        in_flight: Being submitted, or accepted and tracked.
        submitting: POSTs under way or about to be.
        waiting: Submissions that wait for a slot.
        untracked: Jobs that timed out or were detached, lost or in doubt: they may still run.
        submitted: Submissions that were accepted.
        polls: GETs of a result or status.
        retries: Requests that were or will be sent again.
        limited: 429s met by submissions.
        spent: Settled costs, in USD.
        reserved: Set aside for what runs or may be billed, in USD.
        limit: The working limit of generations in flight.
    """

    in_flight: int
    submitting: int
    waiting: int
    untracked: int
    submitted: int
    polls: int
    retries: int
    limited: int
    spent: float
    reserved: float
    limit: int


class Feeding(Protocol):
    """A fan-out that submits what its input gives."""

    def stop_feeding(self) -> None:
        """Read no more of the input."""
        ...


class SessionState:
    """The shared state of one open session; belongs to one event loop."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self.settings = settings
        self.transport = transport
        self.supervisor = Supervisor()
        self.watchdog = Watchdog()
        self.limit = AdaptiveLimit(settings.max_in_flight)
        self.pool = Pool(self.limit, settings.max_submitting)
        self.turnstile = Turnstile(Rate(settings.requests_per_second))
        self.gate = Gate(doubts_to_stop=settings.max_in_doubt)
        self.account = Account(settings.budget)
        self.schedule = settings.polling.schedule()
        self.learned: deque[Lasted] = deque(maxlen=_LEARNED)
        self.loop = asyncio.get_running_loop()
        self.name = secrets.token_hex(6)
        self.closing = False
        self.aborting = False
        self.paused_until = 0.0
        self.paused = self.paused_before = 0.0  # seconds: in all, and before the last acceptance
        self.submitted = self.polls = self.retries = self.limited = self.doubts = 0
        self.untracked_ids: set[str] = set()
        self.fanouts: WeakSet[Feeding] = WeakSet()
        self.downloads = 0
        self._nappers: set[asyncio.Future[None]] = set()
        self._callback_failed = False

    def now(self) -> float:
        """Return the loop's monotonic time, in seconds."""
        return self.loop.time()

    def wall(self) -> float:
        """Return the injected wall clock, in seconds since the epoch."""
        return self.settings.clock()

    @property
    def heard(self) -> bool:
        """Whether anybody listens to events; asked before those of every job are made."""
        return self.settings.on_event is not None or logger.isEnabledFor(logging.DEBUG)

    def emit(self, event: Event) -> None:
        """Tell `on_event`; an error in it is logged once and harms nothing."""
        logger.debug("%s", event)
        callback = self.settings.on_event
        if callback is None:
            return
        try:
            callback(event)
        except (Exception, asyncio.CancelledError):  # its own trouble (promise 5)
            if not self._callback_failed:
                self._callback_failed = True
                logger.exception("on_event failed; further failures of it are not logged")

    def learn(self, shape: Shape | None, since: float, seconds: float) -> None:
        """Tell the schedule that a job seen running at age `since` ended `seconds` old."""
        if shape is not None:
            self.learned.append(Lasted(shape, seconds))
        self.schedule.finished(shape, since, seconds)

    def teach(self, durations: Iterable[tuple[Shape, float]]) -> None:
        """Tell the schedule how long jobs took elsewhere."""
        try:
            for of_shape, seconds in durations:
                self.schedule.finished(of_shape, 0.0, seconds)
        except Exception:  # a bad policy is its own trouble (promise 5)
            logger.exception("the polling policy could not learn")

    async def tell(self, journal: Journal, word: Awaitable[None]) -> None:
        """Await a word to a journal, for at most `journal_timeout` seconds.

        Raises:
            LedgerError: It could not be written, whatever the reason.
        """
        if type(journal) is SilentJournal:
            await word  # which is over at once
            return
        seconds = self.settings.journal_timeout
        try:
            # In two halves: a computer that slept has the second one when it wakes.
            with self.watchdog.limit(seconds / 2, strikes=2):
                await word
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            raise LedgerError("the journal's own work was cancelled") from error
        except LedgerError:
            raise
        except TimeoutError as error:
            raise LedgerError(f"the journal did not answer within {seconds:g} s") from error
        except Exception as error:
            raise LedgerError(f"the journal could not be written: {error!r}") from error

    async def nap(self, seconds: float) -> None:
        """Sleep, less if the session is closed, or submitting stops or goes on, meanwhile."""
        waker: asyncio.Future[None] = self.loop.create_future()
        self._nappers.add(waker)
        timer = self.loop.call_later(seconds, _wake, waker)
        try:
            await waker
        finally:
            timer.cancel()
            self._nappers.discard(waker)

    def pause(self, seconds: float) -> None:
        """Submit nothing for so long from now on; a longer pause that holds already stays."""
        left = max(0.0, self.paused_until - self.now())
        if seconds > left:
            self.paused += seconds - left
            self.paused_until = self.now() + seconds

    def stir(self) -> None:
        """Wake all who nap, to look whether they may go on."""
        for waker in self._nappers:
            _wake(waker)

    @contextmanager
    def downloading(self) -> Iterator[None]:
        """Count a download for as long as the block runs; a clean exit waits for it."""
        self.downloads += 1
        try:
            yield
        finally:
            self.downloads -= 1
            self.stir()

    def check_submitting(self, *, probing: bool = False) -> None:
        """Raise if nothing may be submitted now; a probe may pass a shut gate.

        Raises:
            SessionClosedError: The session is closing.
            SubmittingStoppedError: The gate or the brake is shut.
        """
        if self.closing:
            raise closed_error()
        if not probing and self.gate.is_shut(self.now()):
            raise self.stopped_error()

    def stopped_error(self) -> SubmittingStoppedError:
        """Return the error for a submission that the gate holds back."""
        cause = self.gate.cause or ErrorInfo("SubmittingStopped", "submitting was stopped")
        way_out = (
            "Mend the cause, then call session.reopen()"
            if self.gate.braked
            else f"One submission every {self.gate.probe_every:g} s passes as a probe; "
            f"session.reopen() lets all pass at once"
        )
        return SubmittingStoppedError(
            f"nothing more is submitted: {cause.sentence} What runs, runs on. {way_out}.",
            cause=cause,
        )

    def gate_shut(self, reason: str) -> None:
        """Tell that submitting stopped, and let those who wait for a slot know."""
        logger.warning("submitting stopped: %s", reason)
        self.pool.refuse_waiting(self.stopped_error)
        self.stir()
        self.emit(GateChanged(at=self.wall(), open=False, reason=reason))

    def gate_opened(self, reason: str) -> None:
        """Tell that submitting goes on."""
        self.stir()
        self.emit(GateChanged(at=self.wall(), open=True, reason=reason))

    def reopen(self) -> None:
        """Let submissions pass again."""
        self.gate.reopen()
        self.emit(GateChanged(at=self.wall(), open=True, reason="reopen"))

    def set_max_in_flight(self, limit: int) -> None:
        """Move the ceiling of generations in flight."""
        _check_count("max_in_flight", limit)
        self.limit.set_ceiling(limit)
        self.limit_changed("set_max_in_flight")

    def limit_changed(self, reason: str) -> None:
        """Tell the new working limit, and grant what it allows."""
        self.emit(LimitChanged(at=self.wall(), limit=self.limit.limit, reason=reason))
        self.pool.wake()

    def statistics(self) -> Statistics:
        """Return the numbers of this moment."""
        return Statistics(
            in_flight=self.pool.submitting + self.pool.tracked,
            submitting=self.pool.submitting,
            waiting=self.pool.waiting,
            untracked=len(self.untracked_ids) + self.doubts,
            submitted=self.submitted,
            polls=self.polls,
            retries=self.retries,
            limited=self.limited,
            spent=to_usd(self.account.settled),
            reserved=to_usd(self.account.reserved),
            limit=self.limit.limit,
        )


def closed_error() -> SeedanceError:
    """Return the error for the use of a session that is not open."""
    return SessionClosedError(
        "the session is not open: use it inside `async with Session() as session:`, or between "
        "open() and aclose()"
    )


def _wake(waker: asyncio.Future[None]) -> None:
    if not waker.done():
        waker.set_result(None)
