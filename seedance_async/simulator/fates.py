"""Decides about a job, when it is accepted, what the fault plan has in store for it."""

from typing import Final

from .faults import Dice
from .job import Fate

EXPIRES_SOON: Final = 0.1
"""Seconds from a job's end to the loss of its id, for the fault `expired`."""

ERRORS: Final[tuple[object, ...]] = (
    {"code": "OutputVideoSensitiveContentDetected", "message": "The video was held back."},
    "The model stopped while rendering.",
    {"error_code": 500001, "error_message": "No worker finished this request.", "detail": []},
)
"""What a failed job says, by turns; the wire allows any JSON."""

STATES: Final = ("rendering", "pending", "post-processing", "STARTING")
"""How a job in flight reads under `unknown-state`, by turns; two are known from elsewhere."""


def draw_fate(dice: Dice, now: float, request_id: str, id_lifetime: float | None) -> Fate:
    """Throw for every fault that belongs to a job; `id_lifetime` is in seconds."""

    def strikes(name: str) -> bool:
        return dice.strikes(name, now, "job", request_id)

    return Fate(
        error=dice.turn("failed", ERRORS) if strikes("failed") else None,
        stuck=strikes("stuck"),
        expires_after=EXPIRES_SOON if strikes("expired") else id_lifetime,
        in_flight_name=dice.turn("unknown-state", STATES)
        if strikes("unknown-state")
        else "in_progress",
        success_name="succeeded" if strikes("succeeded") else "completed",
        not_ready_is_400=strikes("not-ready-400"),
        as_array=strikes("videos"),
    )
