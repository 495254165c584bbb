"""When to poll next: frozen policies, and the schedules that keep their state in a session.

To add a policy, write one frozen class with a `schedule()` here. Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from seedance_async.models import Shape

__all__ = ["BackoffPolling", "FixedPolling", "Polling", "Schedule"]


class Schedule(Protocol):
    """What one session asks before each poll and tells after each job."""

    def next_delay(self, shape: Shape | None, age: float, polls: int) -> float:
        """Return the seconds to wait before the next poll.

        Args:
            shape: What is generated; None for an attached job.
            age: Seconds since acceptance.
            polls: How many polls the job has had.
        """
        ...

    def finished(self, shape: Shape | None, duration: float) -> None:
        """Learn that a job of this shape took `duration` seconds from acceptance."""
        ...


class Polling(Protocol):
    """A policy: frozen configuration that makes a schedule for each session."""

    def schedule(self) -> Schedule:
        """Return a new schedule, which belongs to one session."""
        ...


def _positive(_owner: object, field: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"{field.name} must be a positive number of seconds (given: {value!r})")


def _growth(_owner: object, field: attrs.Attribute[float], value: float) -> None:
    if not 1 <= value <= 10:
        raise ValueError(f"{field.name} must be a number from 1 to 10 (given: {value!r})")


@attrs.frozen
class FixedPolling:
    """Poll every `seconds`.

    Attributes:
        seconds: The time between two polls of a job, in seconds.
    """

    seconds: float = attrs.field(default=2.0, validator=_positive)

    def schedule(self) -> Schedule:
        """Return the schedule; it has no state."""
        return self

    def next_delay(self, shape: Shape | None, age: float, polls: int) -> float:
        """Return `seconds`, whatever the job."""
        del shape, age, polls
        return self.seconds

    def finished(self, shape: Shape | None, duration: float) -> None:
        """Learn nothing."""


@attrs.frozen
class BackoffPolling:
    """Poll after `initial` seconds, then at growing intervals up to `maximum`.

    Attributes:
        initial: The first interval, in seconds.
        maximum: The longest interval, in seconds.
        factor: How many times as long each interval is as the one before, from 1 to 10.
    """

    initial: float = attrs.field(default=2.0, validator=_positive)
    maximum: float = attrs.field(default=5.0, validator=_positive)
    factor: float = attrs.field(default=1.2, validator=_growth)

    def schedule(self) -> Schedule:
        """Return the schedule; it has no state."""
        return self

    def next_delay(self, shape: Shape | None, age: float, polls: int) -> float:
        """Return `initial * factor ** polls`, at most `maximum`."""
        del shape, age
        return min(self.maximum, self.initial * self.factor ** min(polls, 64))

    def finished(self, shape: Shape | None, duration: float) -> None:
        """Learn nothing."""
