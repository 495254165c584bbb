"""How long a job was in each part of its way, as far as the ledger can tell. Pure."""

from __future__ import annotations

from typing import Final

import attrs

from seedance_async.batch.entries import Stations

__all__ = ["Stretches", "stretches"]

_CLOCKS: Final = 2.0
"""Seconds by which the service's clock and ours may differ and still be taken for one."""


@attrs.frozen
class Stretches:
    """Seconds; None where a beginning or an end is not known.

    Attributes:
        queue: From acceptance until a poll saw it in progress: up to a poll too long.
        run: From that poll to the end that the service tells: up to a poll too short.
        late: From the end that the service tells until it was known.
        download: From asking for the file until it was on the disk.
    """

    queue: float | None
    run: float | None
    late: float | None
    download: float | None


def stretches(
    submitted_at: float | None,
    accepted_at: float | None,
    known_at: float | None,
    stations: Stations,
) -> Stretches:
    """Return how long the parts of a job's way took.

    Args:
        submitted_at: When its POST left, in wall-clock seconds.
        accepted_at: When its id was read.
        known_at: When its end became known.
        stations: What lies between.
    """
    began = stations.in_progress_at
    over = _over(submitted_at, accepted_at, known_at, stations)
    return Stretches(
        queue=_between(accepted_at, began),
        run=_between(began, over),
        late=_between(over, known_at),
        download=_between(stations.download_began_at, stations.downloaded_at),
    )


def _over(
    submitted_at: float | None, accepted_at: float | None, known_at: float | None, at: Stations
) -> float | None:
    """Return the end that the service tells, by our clock; None: the two clocks do not agree."""
    if at.over_at is None or submitted_at is None or accepted_at is None or known_at is None:
        return None
    made_at = accepted_at if at.created_at is None else at.created_at
    if not submitted_at - _CLOCKS <= made_at <= accepted_at + _CLOCKS:
        return None
    if not accepted_at - _CLOCKS <= at.over_at <= known_at + _CLOCKS:
        return None
    return min(at.over_at, known_at)


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None or end < begin else end - begin
