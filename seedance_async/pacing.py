"""How fast, how many, and when to stop: decisions on numbers, without I/O or a clock.

`now` is the loop's monotonic time in seconds wherever it is asked for.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum

import attrs

from seedance_async.jobs import ErrorInfo

__all__ = ["AdaptiveLimit", "Admission", "Gate", "Rate", "RetryPolicy"]


@attrs.frozen
class RetryPolicy:
    """How often and how long to try again what is safe to try again.

    Attributes:
        initial: The first backoff, in seconds.
        maximum: The longest backoff, in seconds.
        connect_patience: Seconds for which a submission of which nothing was sent is tried again.
        limited_initial: The first pause after a 429 without Retry-After, in seconds.
        limited_patience: The longest pause, and the longest that a submission waits out pauses
            while none is accepted, in seconds.
        random: Gives numbers in [0, 1) for the jitter.
    """

    initial: float = 0.5
    maximum: float = 15.0
    connect_patience: float = 120.0
    limited_initial: float = 1.0
    limited_patience: float = 900.0
    random: Callable[[], float] = attrs.field(default=random.random, repr=False)

    def backoff(self, attempt: int) -> float:
        """Return the seconds to wait after failure number `attempt` (from 0), with full jitter."""
        ceiling = min(self.maximum, self.initial * 2.0 ** min(attempt, 32))
        return ceiling * self.random()

    def poll_backoff(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds until a failed poll is tried again; Retry-After is the floor.

        A floor is honoured up to `limited_patience`.
        """
        floor = min(retry_after or 0.0, self.limited_patience)
        return max(floor, 0.1 * self.initial) + self.backoff(attempt)

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds for which the session submits nothing after a 429.

        Retry-After is the floor, jitter comes on top, `limited_patience` is the ceiling.
        """
        step = min(60.0, self.limited_initial * 2.0 ** min(attempt, 32))
        floor = retry_after if retry_after is not None else step / 2
        return min(self.limited_patience, floor + step / 2 * self.random())


class Admission(Enum):
    """What the gate says to one submission."""

    OPEN = "open"
    PROBE = "probe"
    SHUT = "shut"


@attrs.define
class Gate:
    """Shuts when the account is in trouble, brakes when nothing succeeds (promise 4).

    The account's trouble half-opens: one submission every `probe_every` seconds passes and opens
    the gate if it is accepted. A brake waits for a person (`reopen`).
    """

    probe_every: float = 30.0
    doubts_to_stop: int = 3
    refusals_to_stop: int = 10
    cause: ErrorInfo | None = None
    braked: bool = False
    _next_probe: float = 0.0
    _shut_at: float = 0.0
    _doubts: int = 0
    _refusals: int = 0
    _refusal_kind: tuple[str, int | None] | None = None

    def admit(self, now: float) -> Admission:
        """Say whether a submission may go now; a probe is used up by asking."""
        if self.cause is None:
            return Admission.OPEN
        if self.braked or now < self._next_probe:
            return Admission.SHUT
        self._next_probe = now + self.probe_every
        return Admission.PROBE

    def is_shut(self, now: float) -> bool:
        """Tell whether a submission would be refused now, without using up a probe."""
        return self.cause is not None and (self.braked or now < self._next_probe)

    def account_trouble(self, error: ErrorInfo, now: float) -> None:
        """Shut: no balance, or a token that is not taken."""
        self.cause = error
        self._shut_at = now
        self._next_probe = now + self.probe_every

    def stop(self, error: ErrorInfo) -> None:
        """Shut until a person reopens: what must be written down cannot be, or a brake."""
        self.cause = error
        self.braked = True

    def doubt(self, error: ErrorInfo) -> bool:
        """Count a submission in doubt; True if this one pulled the brake."""
        self._doubts += 1
        if self._doubts < self.doubts_to_stop or self.braked:
            return False
        self.stop(error)
        return True

    def refusal(self, error: ErrorInfo) -> bool:
        """Count a refused submission; True if this one pulled the brake."""
        kind = (error.kind, error.code)
        self._refusals = self._refusals + 1 if kind == self._refusal_kind else 1
        self._refusal_kind = kind
        if self._refusals < self.refusals_to_stop or self.braked:
            return False
        self.stop(error)
        return True

    def success(self, began: float) -> bool:
        """Count an accepted submission whose POST left at `began`; True if it opened the gate.

        One that left before the gate was shut says nothing about the account now.
        """
        self._doubts = self._refusals = 0
        self._refusal_kind = None
        opened = self.cause is not None and not self.braked and began >= self._shut_at
        if opened:
            self.cause = None
        return opened

    def reopen(self) -> None:
        """Forget all trouble."""
        self.cause = None
        self.braked = False
        self._doubts = self._refusals = 0
        self._refusal_kind = None


@attrs.define
class AdaptiveLimit:
    """How many generations may be in flight: cut by a 429, grown back by clean completions.

    Attributes:
        ceiling: The user's `max_in_flight`.
        cooldown: Seconds after a cut in which another 429 does not cut again: the answers of
            submissions that were under way together are one signal.
    """

    ceiling: int
    cooldown: float = 10.0
    _limit: float = attrs.field(init=False)
    _cut_at: float = attrs.field(default=float("-inf"), init=False)

    def __attrs_post_init__(self) -> None:
        self._limit = float(self.ceiling)

    @property
    def limit(self) -> int:
        """The working limit, from 1 to the ceiling."""
        return max(1, min(self.ceiling, int(self._limit)))

    def limited(self, in_flight: int, now: float) -> bool:
        """Learn of a 429 on a submission; True if the limit was cut."""
        if now - self._cut_at < self.cooldown:
            return False
        self._cut_at = now
        before = self.limit
        self._limit = max(1.0, min(self._limit, float(in_flight)) * 0.7)
        return self.limit != before

    def completed(self) -> bool:
        """Learn of a clean completion; True if the limit grew."""
        if self._limit >= self.ceiling:
            return False
        before = self.limit
        self._limit = min(float(self.ceiling), self._limit + 1.0 / max(1.0, self._limit))
        return self.limit != before

    def set_ceiling(self, ceiling: int) -> None:
        """Move the ceiling; the working limit starts again from there."""
        self.ceiling = ceiling
        self._limit = float(ceiling)


@attrs.define
class Rate:
    """At most `per_second` requests a second, evenly spaced; None does not bound them."""

    per_second: float | None
    _free_at: float = 0.0

    def delay(self, now: float) -> float:
        """Return the seconds until the next request may leave."""
        return 0.0 if self.per_second is None else max(0.0, self._free_at - now)

    def take(self, now: float) -> None:
        """Spend one request now."""
        if self.per_second is not None:
            self._free_at = max(now, self._free_at) + 1.0 / self.per_second
