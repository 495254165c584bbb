"""What a reading of the wire means for a job: decisions on values."""

from __future__ import annotations

from seedance_async.jobs import (
    Cancelled,
    CancelResult,
    Failed,
    InQueue,
    Outcome,
    Succeeded,
    Timings,
)
from seedance_async.wire import Ended, Reading, Seen

__all__ = ["cancel_result", "is_final", "may_queue", "outcome_of"]


def outcome_of(
    ended: Ended, request_id: str, model_id: str | None, timings: Timings | None = None
) -> Succeeded | Failed | Cancelled:
    """Make the outcome that a verdict stands for."""
    model_id = model_id or ended.model_id
    timings = timings or Timings(created_at=ended.created_at, finished_at=ended.finished_at)
    if ended.video_url is not None:
        return Succeeded(
            request_id=request_id,
            video_url=ended.video_url,
            output=ended.output,
            cost_usd=ended.cost_usd,
            model_id=model_id,
            timings=timings,
        )
    if ended.error is not None:
        return Failed(
            error=ended.error,
            request_id=request_id,
            cost_usd=ended.cost_usd,
            model_id=model_id,
            timings=timings,
        )
    return Cancelled(
        request_id=request_id, cost_usd=ended.cost_usd, model_id=model_id, timings=timings
    )


def is_final(outcome: Outcome | None) -> bool:
    """Tell whether the server gave a verdict that no later poll can change."""
    return isinstance(outcome, (Succeeded, Failed, Cancelled))


def may_queue(reading: Reading) -> bool:
    return isinstance(reading, Seen) and not (
        reading.status is not None and not isinstance(reading.status, InQueue)
    )


def cancel_result(said: CancelResult, outcome: Outcome | None) -> CancelResult:
    """Decide what came of a cancel: the verdict if there is one, else what the answer said."""
    match outcome:
        case Cancelled():
            return CancelResult.CANCELLED
        case Succeeded() | Failed():
            return CancelResult.NOT_CANCELLABLE
    return said
