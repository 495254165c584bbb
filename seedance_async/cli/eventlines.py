"""What happens in a run, as JSON Lines for programs; the names are stable. Pure."""

from __future__ import annotations

import json
from typing import Any

from seedance_async.batch.report import RowChange
from seedance_async.budget import known_usd, to_usd
from seedance_async.cli.boardwords import Moment, over, total
from seedance_async.cli.standing import Standing, standing_json

__all__ = ["event_line", "interrupted_event", "message_event", "progress_event", "row_event"]


def event_line(event: dict[str, Any], *, elapsed: float) -> str:
    """Return an event as a line; `seconds` is the time since the run began."""
    name, *rest = event.items()
    return json.dumps(dict([name, ("seconds", round(elapsed, 3)), *rest])) + "\n"


def row_event(change: RowChange) -> dict[str, Any]:
    """Return a step of a row."""
    return {
        "event": "row",
        "key": change.key,
        "line": change.line,
        "model": change.model_id or None,
        "state": change.state.value,
        "detail": change.detail or None,
        "request_id": change.request_id,
    }


def progress_event(moment: Moment, *, download: bool) -> dict[str, Any]:
    """Return the numbers of a moment; null is what is not known."""
    glance, prospect = moment.glance, moment.prospect
    return {
        "event": "progress",
        "note": ", ".join(moment.note) or None,
        "rows": total(glance),
        "over": over(glance, download=download),
        "in_flight": glance.in_flight,
        "to_submit": glance.left,
        "downloading": glance.downloading,
        "counts": {state.value: number for state, number in glance.counts.items()},
        "money": {
            "settled_usd": known_usd(glance.settled, glance.unpriced),
            "reserved_usd": known_usd(glance.reserved, glance.unestimated),
            "unpriced": glance.unpriced,
            "unestimated": glance.unestimated,
            "to_come_usd": None if moment.to_come is None else to_usd(moment.to_come),
            "budget_usd": None if moment.limit is None else to_usd(moment.limit),
        },
        "usual_seconds": _range(prospect.usual),
        "left_seconds": _range(prospect.left),
        "stop": None if glance.stop is None else glance.stop.reason.value,
    }


def _range(found: tuple[float, float] | None) -> list[float] | None:
    return None if found is None else [round(seconds, 1) for seconds in found]


def message_event(text: str, *, label: str = "") -> dict[str, Any]:
    """Return what is said to a person; `label` is such as warning or error."""
    return {"event": "message", "label": label or None, "text": text}


def interrupted_event(
    standing: Standing | None, *, stage: int, text: str, again: str
) -> dict[str, Any]:
    """Return what an interrupt found and which command goes on."""
    return {
        "event": "interrupted",
        "stage": stage,
        "text": text,
        "standing": None if standing is None else standing_json(standing),
        "next": again,
    }
