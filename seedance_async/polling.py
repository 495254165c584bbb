"""When to poll next: frozen policies, and the schedules that keep their state in a session.

To add a policy, write one frozen class with a `schedule()` here. Pure: no I/O, no clock.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Final, Protocol

import attrs

from seedance_async.experience import Experience
from seedance_async.models import Shape

__all__ = ["BackoffPolling", "FixedPolling", "LearnedPolling", "Polling", "Schedule"]


class Schedule(Protocol):
    """What one session asks before each poll, and tells after each poll and each job.

    Ages are in seconds since acceptance. `shape` is None for a job that was attached.
    """

    def next_delay(self, shape: Shape | None, age: float | None, polls: int) -> float:
        """Return the seconds to wait before the next poll.

        Args:
            shape: What is generated.
            age: How old the job is, which was just seen to run or just accepted; None: that is
                not known, or it was attached and nobody has looked whether it still runs.
            polls: How many polls the job has had.
        """
        ...

    def running(self, shape: Shape | None, since: float, until: float) -> None:
        """Learn that a job ran on from one age to another; no span of a job is told twice."""
        ...

    def finished(self, shape: Shape | None, since: float, duration: float) -> None:
        """Learn that a job that ran at age `since` succeeded at the age `duration`."""
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

    def next_delay(self, shape: Shape | None, age: float | None, polls: int) -> float:
        """Return `seconds`, whatever the job."""
        del shape, age, polls
        return self.seconds

    def running(self, shape: Shape | None, since: float, until: float) -> None:
        """Learn nothing."""

    def finished(self, shape: Shape | None, since: float, duration: float) -> None:
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

    def next_delay(self, shape: Shape | None, age: float | None, polls: int) -> float:
        """Return `initial * factor ** polls`, at most `maximum`."""
        del shape, age
        return min(self.maximum, self.initial * self.factor ** min(polls, 64))

    def running(self, shape: Shape | None, since: float, until: float) -> None:
        """Learn nothing."""

    def finished(self, shape: Shape | None, since: float, duration: float) -> None:
        """Learn nothing."""


def _path(value: str | os.PathLike[str] | None) -> Path | None:
    return None if value is None else Path(value)


@attrs.frozen
class LearnedPolling:
    """Poll when a job is likely to have ended, from what is known of jobs like it.

    The next poll comes at the age at which the expected lateness E[(t - T)+ | T > now] reaches a
    bound, the same for all polls of a job and chosen so that jobs are known `lateness` seconds
    late on average. What is known comes from this session's polls and jobs, of the same model,
    resolution and duration first, and from `history`. While nothing is known no sleep is longer
    than those of a backoff from 2 to 5 s, and none than 5 s until several jobs of a kind are.

    Attributes:
        lateness: Mean seconds from a job's end to the poll that finds it; half of it takes twice
            the requests. The more durations vary, the more requests it takes: 0.75 s takes 70% of
            those of polling every 2 s at a sigma of the logarithm of 0.3, and 125% at 1.0.
        shortest: The least time between two polls of a job, in seconds.
        longest: The longest, once some twenty jobs of the kind are known.
        history: A file that carries what is learned from session to session; it is made if need
            be. None keeps nothing.
        random: Gives numbers in [0, 1), so that jobs that start together are not asked after
            together.
    """

    lateness: float = attrs.field(default=0.75, validator=_positive)
    shortest: float = attrs.field(default=0.5, validator=_positive)
    longest: float = attrs.field(default=30.0, validator=_positive)
    history: Path | None = attrs.field(default=None, converter=_path)
    random: Callable[[], float] = attrs.field(default=random.random, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.longest < self.shortest:
            raise ValueError(
                f"longest must be at least shortest, {self.shortest} s (given: {self.longest!r})"
            )

    def schedule(self) -> Schedule:
        """Return a schedule that knows nothing yet."""
        return _LearnedSchedule(self)


class _LearnedSchedule:
    """What one session learned, and the polls that follow from it."""

    def __init__(self, policy: LearnedPolling) -> None:
        self._policy = policy
        self._experience = Experience()

    def next_delay(self, shape: Shape | None, age: float | None, polls: int) -> float:
        """Return the seconds until the expected lateness is reached, less up to 15%."""
        policy = self._policy
        if age is None:
            wanted = policy.shortest if polls == 0 else _COLD.next_delay(shape, None, polls)
            return self._within(wanted, inf)
        survival = self._experience.survival(shape)
        most = self._longest(self._experience.known(shape), polls)
        bound = _SCALE * (policy.lateness / survival.roughness) ** 2
        wanted = survival.age_of_lateness(age, bound, age + most) - age
        return self._within(wanted * (1.0 - _STAGGER * policy.random()), most)

    def running(self, shape: Shape | None, since: float, until: float) -> None:
        """Learn that no job of this shape ended between these ages."""
        self._experience.running(shape, since, until)

    def finished(self, shape: Shape | None, since: float, duration: float) -> None:
        """Learn when a job of this shape ended."""
        self._experience.ended(shape, since, duration)

    def _longest(self, known: float, polls: int) -> float:
        """Return how long to sleep at most: the more is known, the longer."""
        if known < 1:
            return _COLD.next_delay(None, None, polls)
        sure = min(1.0, max(0.0, (known - _FEW) / (_ENOUGH - _FEW)))
        return _COLD.maximum + sure * (self._policy.longest - _COLD.maximum)

    def _within(self, seconds: float, most: float) -> float:
        policy = self._policy
        return max(policy.shortest, min(seconds, most, policy.longest))


_COLD: Final = BackoffPolling()
_FEW, _ENOUGH = 5, 20
"""Jobs of a kind up to which sleeps are as short as when cold, and from which not."""
_SCALE: Final = 2.5
"""Short sleeps at a hazard h are sqrt(2 * bound / h) long, which gives 2; the rest is what the
stagger takes off, by simulation (`benchmarks/polling.py`)."""
_STAGGER: Final = 0.15
"""The part of each sleep that chance may cut off. It costs some 0.2% of the lateness."""
