"""How long jobs usually take and how long the rest will: learned from what ended and what runs."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from seedance_async.batch.report import RowChange
from seedance_async.experience import Experience
from seedance_async.jobs import Failed, Outcome, Succeeded
from seedance_async.models import Shape
from seedance_async.timeleft import Kind, time_left, usual_time

__all__ = ["NOTHING_KNOWN", "Foresight", "Prospect"]


@attrs.frozen
class Prospect:
    """What is to be expected; None: nothing is known.

    Attributes:
        usual: The seconds between which four of five of these jobs take.
        left: The seconds until all is over, from and to.
    """

    usual: tuple[float, float] | None = None
    left: tuple[float, float] | None = None

    def after(self, seconds: float) -> Prospect:
        """Return what it is some seconds later, if nothing new is known."""
        if self.left is None:
            return self
        low, high = self.left
        return Prospect(self.usual, (max(0.0, low - seconds), max(0.0, high - seconds)))


NOTHING_KNOWN: Final = Prospect()


class Foresight:
    """Learns while a batch runs, and is asked from a display's thread.

    It learns apart from the polling policy, which need not learn at all.
    """

    def __init__(self) -> None:
        self._experience = Experience()
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    def teach(self, durations: Iterable[tuple[Shape, float]]) -> None:
        """Learn how long jobs took elsewhere, in seconds."""
        with self._lock:
            for of_shape, seconds in durations:
                self._experience.ended(of_shape, 0.0, seconds)

    def take(self, change: RowChange) -> None:
        """Learn from a step of a row, if it is the end of a job."""
        if change.outcome is None:
            return
        with self._lock:
            told = self._told.pop(change.key, 0.0)
            seconds = _duration(change.outcome)
            if seconds is not None and change.shape is not None:
                self._experience.ended(change.shape, min(told, seconds), seconds)

    def look(
        self,
        waiting: Mapping[Shape, int],
        ages: Mapping[Shape, Mapping[str, float]],
        at_once: int,
    ) -> Prospect:
        """Return what is to be expected of these jobs.

        Args:
            waiting: How many of each shape are still to start.
            ages: Of each shape the jobs that run, by key, and the seconds since their acceptance;
                of this moment, for one that has ended since would be counted twice.
            at_once: How many may run at once.
        """
        with self._lock:
            self._experience.foresee(at_once)
            self._learn_from(ages)
            kinds = [
                Kind(
                    self._experience.survival(of_shape),
                    self._experience.known(of_shape),
                    self._experience.doubt(of_shape),
                    max(0, waiting.get(of_shape, 0)),
                    tuple(ages.get(of_shape, {}).values()),
                )
                for of_shape in {**waiting, **ages}
            ]
        return Prospect(usual_time(kinds), time_left(kinds, at_once))

    def _learn_from(self, ages: Mapping[Shape, Mapping[str, float]]) -> None:
        """Take in that these still run: those that have ended so far are the quick ones."""
        for of_shape, jobs in ages.items():
            for key, age in jobs.items():
                self._experience.running(of_shape, self._told.get(key, 0.0), age)
        self._told = {key: age for jobs in ages.values() for key, age in jobs.items()}


def _duration(outcome: Outcome) -> float | None:
    """Return the seconds from a job's acceptance to our knowing of its end."""
    if not isinstance(outcome, Succeeded | Failed):
        return None
    accepted, known = outcome.timings.accepted_at, outcome.timings.known_at
    return None if accepted is None or known is None else max(0.0, known - accepted)
