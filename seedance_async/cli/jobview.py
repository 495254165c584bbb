"""What is to be expected of one job, and how it stands when somebody interrupts it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from seedance_async.budget import known_cost
from seedance_async.cli.foresight import NOTHING_KNOWN, Foresight, Prospect
from seedance_async.cli.standing import Standing
from seedance_async.cli.words import between
from seedance_async.jobs import Cancelled, Failed, InDoubt, Outcome, Succeeded, TimedOut
from seedance_async.models import Shape

__all__ = ["JobView", "job_standing"]

_FRESH: Final = 1.0


class JobView:
    """One generation as a display looks at it, from a thread of its own.

    Args:
        durations: How long jobs took before, in seconds.
        shape: What is generated; None: not known, so that nothing is said.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        durations: Iterable[tuple[Shape, float]],
        shape: Shape | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._foresight = Foresight()
        self._foresight.teach(durations)
        self._shape = shape
        self._clock = clock
        self._accepted: float | None = None
        self._over = False
        self._seen: tuple[float, Prospect] | None = None

    def accepted(self) -> None:
        """Take note that the job begins."""
        self._accepted = self._clock()

    def over(self) -> None:
        """Take note that the job is over."""
        self._over = True

    def prospect(self) -> Prospect:
        """Return what is to be expected."""
        if self._shape is None or self._accepted is None or self._over:
            return NOTHING_KNOWN
        now = self._clock()
        if self._seen is None or now - self._seen[0] >= _FRESH:
            ages = {self._shape: {"": now - self._accepted}}
            self._seen = now, self._foresight.look({}, ages, 1)
        return self._seen[1]

    def words(self) -> str:
        """Return what is to be expected in a few words; empty: nothing is known."""
        found = self.prospect()
        parts = [] if found.left is None else [f"{between(*found.left)} left"]
        if found.usual is not None:
            parts.append(f"such a video takes {between(*found.usual)}")
        return ", ".join(parts)


def job_standing(
    state: str, outcome: Outcome | None, *, downloading: bool, tracked: bool = True
) -> Standing:
    """Return how one generation stands; its price is not known before it is over.

    Args:
        state: As the job file calls it.
        outcome: How the job ended, if it has.
        downloading: Whether the video is on its way.
        tracked: Whether somebody waits for it.
    """
    if state == "planned":
        return Standing(what="jobs", waiting=1, settled=0, committed=0)
    match outcome:
        case None if tracked:
            return _open(running=1)
        case None if state == "submitting":
            return _open(in_doubt=1)
        case None | TimedOut():
            return _open(left=1)
        case InDoubt():
            return _open(in_doubt=1)
        case Succeeded(cost_usd=cost):
            settled = known_cost(cost)
            return Standing(
                what="jobs",
                done=int(not downloading),
                downloading=int(downloading),
                settled=settled,
                unpriced=int(settled is None),
                committed=0,
                not_spent=0,
            )
        case Failed(cost_usd=cost) | Cancelled(cost_usd=cost):
            return _without_video(known_cost(cost))
        case _:
            return _without_video(None)


def _open(**number: int) -> Standing:
    return Standing(what="jobs", settled=0, unestimated=1, not_spent=0, **number)


def _without_video(settled: int | None) -> Standing:
    """Return how a job stands that failed; without a cost it may be billed nevertheless."""
    if settled is None:
        return Standing(what="jobs", failed=1, unestimated=1, not_spent=0)
    return Standing(what="jobs", failed=1, settled=settled, committed=0, not_spent=0)
