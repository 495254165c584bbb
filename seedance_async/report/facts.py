"""What the page says of a row: plain JSON values from what the ledger knows. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import FullRow, RowProblem
from seedance_async.batch.results import what_is_wrong
from seedance_async.budget import to_usd
from seedance_async.models import find_model
from seedance_async.report.remedies import (
    Again,
    Remedy,
    remedies,
    remedies_of_invalid,
    settles,
)
from seedance_async.report.stretches import stretches

__all__ = ["LONGEST_TEXT", "Place", "href", "invalid_facts", "model_name", "row_facts"]

LONGEST_TEXT: Final = 8_000
"""Characters of a prompt, an error or a setting that the page keeps; it says what it cut off."""

_PROMPTS: Final = ("prompt", "text")
_MOST_SETTINGS: Final = 40


@attrs.frozen
class Place:
    """Where a batch is, seen from its page.

    Attributes:
        folder: As a command names it.
        prefix: What leads from the page to the folder, as a URL that ends with a slash, or nothing.
        simulated: Whether its jobs died with an embedded simulator.
        again: The batch's command.
    """

    folder: str
    prefix: str
    simulated: bool
    again: Again


def row_facts(row: FullRow, place: Place, *, gone: bool) -> dict[str, Any]:
    """Return what the page says of a row; what is not known is left out.

    Args:
        row: From the ledger.
        place: Where the batch is.
        gone: Whether its file is no longer there.
    """
    entry = row.entry
    prompt, settings = _asked(row.input_json)
    failed_download = entry.state is RowState.SUCCEEDED and entry.error is not None
    parts = stretches(entry.submitted_at, row.accepted_at, entry.finished_at, row.stations)
    trouble = settles(entry.state, failed_download=failed_download, gone=gone)
    facts: dict[str, Any] = {
        "key": entry.key,
        "line": entry.line,
        "state": entry.state.value,
        "model": model_name(entry.model_id),
        "prompt": prompt,
        "settings": settings,
        "request": entry.request_id,
        "url": entry.video_url,
        "file": None if entry.file is None else href(place.prefix, entry.file),
        "gone": gone or None,
        "bytes": entry.bytes,
        "cost": None if entry.cost is None else to_usd(entry.cost),
        "estimate": None if row.estimate is None else to_usd(row.estimate),
        "attempts": entry.attempts,
        "submitted": entry.submitted_at,
        "accepted": row.accepted_at,
        "finished": entry.finished_at,
        "queue": _tenths(parts.queue),
        "run": _tenths(parts.run),
        "late": _tenths(parts.late),
        "download": _tenths(parts.download),
        "polls": row.stations.polls,
    }
    if entry.error is not None:
        facts["error"] = {
            "kind": entry.error.kind,
            "code": entry.error.code,
            "message": _cut(entry.error.message),
        }
    if trouble:
        facts["remedies"] = _told(
            remedies(entry.key, entry.state, place.folder, place.again, simulated=place.simulated)
        )
    return {name: value for name, value in facts.items() if value is not None}


def invalid_facts(problems: Sequence[RowProblem], again: Again) -> dict[str, Any]:
    """Return what the page says of a line that was left out, given all that is wrong with it.

    Its key, if it has one, is only what it calls itself: see `remedies_of_invalid`.
    """
    return {
        "key": problems[0].key or "",
        "line": problems[0].line,
        "state": "invalid",
        "model": "",
        "prompt": "",
        "settings": {},
        "attempts": 0,
        "error": {"kind": "InvalidRow", "message": _cut(what_is_wrong(problems))},
        "remedies": _told(remedies_of_invalid(problems[0].line, again)),
    }


def _told(found: Sequence[Remedy]) -> list[list[str]]:
    return [[remedy.when, remedy.command] for remedy in found]


def model_name(model_id: str) -> str:
    """Return a model's short name, or its id where it has none."""
    known = find_model(model_id)
    return model_id if known is None else known.short_name


def href(prefix: str, file: str) -> str:
    """Return the relative URL of a file; nothing in its name is taken for a scheme or a query."""
    return f"{prefix}{quote(file.replace(chr(92), '/'), safe='/', errors='surrogatepass')}"


def _tenths(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _asked(input_json: str) -> tuple[str, dict[str, Any]]:
    """Return the prompt of an input, and all other fields."""
    try:
        given = json.loads(input_json)
    except ValueError:
        return _cut(input_json), {}
    if not isinstance(given, dict):
        return _cut(input_json), {}
    name = next((name for name in _PROMPTS if isinstance(given.get(name), str)), None)
    prompt = _cut(given.pop(name)) if name is not None else ""
    return prompt, _settings(given)


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    kept = list(given.items())[:_MOST_SETTINGS]
    return {_cut(name): _setting(value) for name, value in kept if value is not None}


def _setting(value: Any) -> str | int | float | bool:
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 1 << 53):
        return value
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}… ({len(text) - LONGEST_TEXT:,} more characters)"
