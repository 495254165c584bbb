"""What was seen of one job, and of a round, as values that go to the disk and come back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from seedance_async.bench.rounds import Round
from seedance_async.jobs import Outcome, Timings

__all__ = ["Record", "Sample", "sample_of"]


@attrs.frozen(kw_only=True)
class Sample:
    """When one job passed its stations, in seconds since the epoch; None: nobody saw it.

    Attributes:
        key: The job's row.
        succeeded: Whether it brought a video.
        over: Whether it is over, and not only followed no longer.
        submitted_at: Just before its POST.
        accepted_at: When its id was read.
        in_progress_at: When a poll first saw it in progress.
        finished_at: When it was over, by the service's clock.
        known_at: When we knew, and its slot became free.
    """

    key: str
    succeeded: bool
    over: bool
    submitted_at: float | None = None
    accepted_at: float | None = None
    in_progress_at: float | None = None
    finished_at: float | None = None
    known_at: float | None = None

    @property
    def latency(self) -> float | None:
        """Seconds from the POST to our knowing: how long it held its slot."""
        return _between(self.submitted_at, self.known_at)

    @property
    def wait(self) -> float | None:
        """Seconds from acceptance until a poll saw it in progress: up to a poll too long."""
        return _between(self.accepted_at, self.in_progress_at)

    @property
    def run(self) -> float | None:
        """Seconds from that poll to the end that the service tells: up to a poll too short."""
        return _between(self.in_progress_at, self.finished_at)

    @property
    def lateness(self) -> float | None:
        """Seconds from the end that the service tells to our knowing, if the clocks agree."""
        return _between(self.finished_at, self.known_at)


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else end - begin


def sample_of(key: str, outcome: Outcome, *, succeeded: bool, over: bool) -> Sample:
    """Return what an outcome's timings tell."""
    timings: Timings = outcome.timings
    return Sample(
        key=key,
        succeeded=succeeded,
        over=over,
        submitted_at=timings.submitted_at,
        accepted_at=timings.accepted_at,
        in_progress_at=timings.in_progress_at,
        finished_at=_seconds(timings.finished_at),
        known_at=timings.known_at,
    )


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


@attrs.frozen(kw_only=True)
class Record:
    """What was seen of a round.

    Attributes:
        round: Which.
        whole: Whether one run brought all its jobs from planned to their ends: only then do
            throughput and counted requests mean anything.
        samples: Its jobs, as they ended.
        polls: GETs.
        posts: POSTs, those that met a 429 included.
        limited: 429s met by POSTs.
    """

    round: Round
    whole: bool
    samples: tuple[Sample, ...] = ()
    polls: int = 0
    posts: int = 0
    limited: int = 0

    def joined(self, later: Record) -> Record:
        """Return this record with what a later run saw; it is whole no more."""
        ended = {sample.key for sample in later.samples}
        kept = tuple(sample for sample in self.samples if sample.key not in ended)
        return Record(
            round=self.round,
            whole=False,
            samples=(*kept, *later.samples),
            polls=self.polls + later.polls,
            posts=self.posts + later.posts,
            limited=self.limited + later.limited,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Record:
        """Return what `to_json` wrote.

        Raises:
            TypeError, KeyError: It is no record.
        """
        samples = tuple(Sample(**sample) for sample in document["samples"])
        return cls(**{**document, "round": Round(**document["round"]), "samples": samples})
