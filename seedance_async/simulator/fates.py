"""Decides about a job, when it is accepted, what the fault plan has in store for it."""

from typing import Final

from .dice import Dice, Occasion
from .job import Fate

EXPIRES_SOON: Final = 0.1
"""Seconds from a job's end to the loss of its id, for the fault `expired`."""

KNOWN_LATE: Final = 5.0
"""Seconds from a job's acceptance until its id is known, for the fault `not-yet-known`."""

ERRORS: Final[tuple[object, ...]] = (
    {"code": "OutputVideoSensitiveContentDetected", "message": "The video was held back."},
    "The model stopped while rendering.",
    {"error_code": 500001, "error_message": "No worker finished this request.", "detail": []},
)
"""What a failed job says, by turns; the wire allows any JSON."""

STATES: Final = ("rendering", "pending", "post-processing", "STARTING")
"""How a job in flight reads under `unknown-state`, by turns; two are known from elsewhere."""


def draw_fate(dice: Dice, occasion: Occasion, id_lifetime: float | None) -> Fate:
    """Throw for every fault that belongs to a job; `id_lifetime` is in seconds."""
    if dice.idle:
        return Fate(expires_after=id_lifetime)
    subject = occasion.subject

    def strikes(name: str) -> bool:
        return dice.strikes(name, occasion)

    return Fate(
        error=dice.turn("failed", subject, ERRORS) if strikes("failed") else None,
        stuck=strikes("stuck"),
        expires_after=EXPIRES_SOON if strikes("expired") else id_lifetime,
        known_after=KNOWN_LATE if strikes("not-yet-known") else 0.0,
        without_video=strikes("no-video"),
        in_flight_name=dice.turn("unknown-state", subject, STATES)
        if strikes("unknown-state")
        else "in_progress",
        success_name="succeeded" if strikes("succeeded") else "completed",
        not_ready_is_400=strikes("not-ready-400"),
        as_array=strikes("videos"),
        accepted_status=202 if strikes("accepted-202") else 200,
        bare_acceptance=strikes("bare-acceptance"),
        cancelled_name="canceled" if strikes("canceled") else "cancelled",
        tells_position=not strikes("no-position"),
        tells_times=not strikes("no-times"),
        tells_cost=not strikes("no-cost"),
    )
