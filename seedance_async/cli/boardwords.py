"""A batch in words: each step of a row, and the numbers of a moment. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Final

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.report import Glance, RowChange
from seedance_async.budget import shown
from seedance_async.cli.cleaning import one_line
from seedance_async.cli.foresight import NOTHING_KNOWN, Prospect
from seedance_async.cli.words import between, known_part, seconds
from seedance_async.models import find_model

__all__ = [
    "Moment",
    "Speed",
    "change_in_words",
    "ends",
    "flowing",
    "moment_lines",
    "over",
    "short_model",
    "total",
]

_WINDOW: Final = 60.0
"""Seconds whose rows the speed is reckoned from."""
_ENDS: Final = frozenset({RowState.DOWNLOADED, RowState.FAILED, RowState.CANCELLED, RowState.LOST})


def change_in_words(change: RowChange) -> str:
    """Say a step of a row in a few words."""
    state, detail = change.state, one_line(change.detail)
    why = f": {detail}" if detail else ""
    match state:
        case RowState.PLANNED:
            return f"not sent{why}" if detail else "planned again"
        case RowState.SUBMITTING:
            return "submitting"
        case RowState.SUBMITTED if not detail:
            return f"accepted: job {change.request_id}"
        case RowState.SUBMITTED | RowState.TIMED_OUT if detail == "attached":
            return f"attached: job {change.request_id}"
        case RowState.SUBMITTED:
            return detail
        case RowState.SUCCEEDED if detail.startswith("not downloaded"):
            return detail
        case RowState.SUCCEEDED:
            return "succeeded"
        case RowState.TIMED_OUT:
            return f"not over, but no longer tracked{why}"
        case _:
            return f"{state.value.replace('_', ' ')}{why}"


def ends(*, download: bool) -> frozenset[RowState]:
    """Return the states at which a run is done with a row."""
    return _ENDS if download else _ENDS | {RowState.SUCCEEDED}


def over(glance: Glance, *, download: bool) -> int:
    """Return how many rows are at an end that this run brings them to."""
    return sum(glance.counts[state] for state in ends(download=download))


def total(glance: Glance) -> int:
    """Return how many rows there are, but for planned ones that are not selected."""
    return sum(glance.counts.values()) - glance.counts[RowState.PLANNED] + glance.left


class Speed:
    """Rows a second over the last minute, and what that makes of the rest."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, now: float, done: int) -> float | None:
        """Take note of a moment, and return the rows a second; None while nothing is known."""
        if not self._seen or now - self._seen[-1][0] >= 1.0:
            self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] > _WINDOW:
            self._seen.popleft()
        began, before = self._seen[0]
        return (done - before) / (now - began) if now > began and done > before else None


@attrs.frozen(kw_only=True)
class Moment:
    """A run at one moment; money in micro-dollars.

    Attributes:
        glance: The numbers.
        elapsed: Seconds since the run began.
        note: What is on, in parts; empty: nothing in particular.
        rate: Rows a second that come to their end; None: not known yet.
        limit: The budget; None: there is none.
        to_come: The estimate of what waits; None: no price is known.
        prospect: What is to be expected.
    """

    glance: Glance
    elapsed: float
    note: Sequence[str] = ()
    rate: float | None = None
    limit: int | None = None
    to_come: int | None = None
    prospect: Prospect = NOTHING_KNOWN


def moment_lines(moment: Moment) -> list[list[str]]:
    """Return the numbers of a moment, in groups; each says its most important thing first."""
    glance = moment.glance
    now = [
        (glance.in_flight, "in flight"),
        (glance.left, "to submit"),
        (glance.downloading, "downloading"),
    ]
    states = [
        (number, state.value.replace("_", " "))
        for state, number in glance.counts.items()
        if number and state not in {RowState.PLANNED, RowState.SUBMITTING, RowState.SUBMITTED}
    ]
    groups = [
        list(moment.note),
        [f"{number:,} {what}" for number, what in now if number],
        [f"{number:,} {what}" for number, what in states],
        _money(moment),
        _time(moment),
    ]
    if glance.stop is not None:
        groups.append([f"no more is submitted: {one_line(glance.stop.message)}"])
    return [group for group in groups if group]


def _money(moment: Moment) -> list[str]:
    glance = moment.glance
    parts = [
        known_part(glance.settled, glance.unpriced, "settled"),
        known_part(glance.reserved, glance.unestimated, "reserved"),
    ]
    if glance.stop is None and glance.left:
        if moment.to_come is None:
            parts.append("unknown to come")
        elif moment.to_come:
            parts.append(f"{shown(moment.to_come)} to come")
    return parts if moment.limit is None else [*parts, f"budget {shown(moment.limit)}"]


def _time(moment: Moment) -> list[str]:
    """Return how long it took, and what is to be expected; nothing is said of what is unknown."""
    left, usual, rate = moment.prospect.left, moment.prospect.usual, moment.rate
    parts = [] if left is None else [f"{between(*left)} left"]
    parts.append(f"{seconds(moment.elapsed)} so far" if parts else seconds(moment.elapsed))
    if rate is not None:
        parts.append(f"{60 * rate:.0f} a minute" if rate < 10 else f"{rate:.0f} a second")
    if usual is not None:
        parts.append(f"a video takes {between(*usual)}")
    return parts


def flowing(parts: Iterable[str], width: int) -> list[str]:
    """Return parts with commas between them, on as many lines as they need."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f", {part}"
        else:
            lines[-1:] = [*(f"{line}," for line in lines[-1:]), part]
    return lines


def short_model(model_id: str) -> str:
    """Return what people call a model."""
    known = find_model(model_id)
    return known.short_name if known else PurePath(model_id).name
