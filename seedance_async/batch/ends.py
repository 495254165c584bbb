"""How a job ended, in the ledger's terms: a frozen value."""

from __future__ import annotations

import json
from datetime import datetime

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.jobs import ErrorInfo, Timings

__all__ = ["End"]


@attrs.frozen
class End:
    """How a job ended.

    Attributes:
        state: succeeded, failed, cancelled, timed_out or lost.
        request_id: The job's.
        at: Wall-clock seconds.
        cost: Micro-dollars; None where the service did not say.
        video_url: Of a success.
        more_videos: Further ones of a success.
        error: Of anything else.
        timings: When it passed its stations.
    """

    state: RowState
    request_id: str
    at: float
    cost: int | None = None
    video_url: str | None = None
    more_videos: tuple[str, ...] = ()
    error: ErrorInfo | None = None
    timings: Timings = attrs.field(factory=Timings)

    @property
    def more_json(self) -> str | None:
        """The further videos as a JSON array; None if there are none."""
        return json.dumps(self.more_videos, ensure_ascii=False) if self.more_videos else None

    @property
    def stations(self) -> tuple[float | None, float | None, float | None, int | None]:
        """When it was seen in progress, the service's times of its beginning and end, its polls.

        Who attached a job came to it late: the first poll may see it in progress long after it
        began, and nobody knows how often it was polled before.
        """
        timings = self.timings
        followed = timings.submitted_at is not None
        began, polls = (timings.in_progress_at, timings.polls) if followed else (None, None)
        return began, _seconds(timings.created_at), _seconds(timings.finished_at), polls


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
