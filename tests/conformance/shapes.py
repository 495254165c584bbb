"""What the wire's bodies look like, as comparisons that note every field that is otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .notes import Notes
from .service import Answer, Document

JSON = "application/json"
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

Form = tuple[str, Callable[[Any], bool]]
"""What a value is, in words, and whether one is it."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


TEXT: Form = ("a text", lambda value: isinstance(value, str) and value != "")
INTEGER: Form = ("an integer", lambda value: isinstance(value, int) and not isinstance(value, bool))
NUMBER: Form = ("a number", _is_number)
LIST: Form = ("a list", lambda value: isinstance(value, list))
OBJECT: Form = ("an object", lambda value: isinstance(value, dict))
ID: Form = (
    "an id of letters, digits, _ and -, at most 128",
    lambda value: isinstance(value, str) and REQUEST_ID.fullmatch(value) is not None,
)


def exactly(wanted: object) -> Form:
    """Say that a value is this very one."""
    return repr(wanted), lambda value: type(value) is type(wanted) and value == wanted


def one_of(*wanted: object) -> Form:
    """Say that a value is one of these."""
    return " or ".join(map(repr, wanted)), lambda value: value in wanted


def compare_fields(
    notes: Notes,
    where: str,
    document: Document,
    forms: Mapping[str, Form],
    optional: Mapping[str, Form] | None = None,
) -> None:
    """Note every field that is missing or otherwise; fields that nobody wrote down are observed."""
    optional = optional or {}
    for name, (words, holds) in {**optional, **forms}.items():
        if name not in document:
            if name in forms:
                notes.differ(f"{where}, {name}", words, "no such field")
        elif not holds(document[name]):
            notes.differ(f"{where}, {name}", words, repr(document[name]))
    if more := sorted(document.keys() - forms.keys() - optional.keys()):
        notes.observe(f"{where}, further fields", "none", ", ".join(more))


def compare_json(notes: Notes, where: str, answer: Answer, status: int) -> bool:
    """Note an answer that has another status or is no JSON object; say whether it can be read."""
    if answer.status != status:
        notes.differ(where, f"HTTP {status}", answer)
    elif not answer.document:
        notes.differ(where, "a JSON object", answer)
    else:
        notes.same(f"{where}, Content-Type", JSON, answer.kind)
    return bool(answer.document)


def compare_error(
    notes: Notes, where: str, answer: Answer, *wanted: tuple[int, int]
) -> tuple[int, int]:
    """Note an answer that is not an error of the documented form.

    Args:
        notes: of the check.
        where: the request in words.
        answer: what came.
        wanted: HTTP statuses and error codes that are documented for it, the double's own first.

    Returns:
        HTTP status and error code that were seen, 0 for a code that is none.
    """
    document = answer.document
    code = document.get("error_code")
    seen = answer.status, code if isinstance(code, int) else 0
    if seen not in wanted:
        words = " or ".join(f"HTTP {http} with error_code {number}" for http, number in wanted)
        notes.differ(where, words, answer)
    if document:
        forms = {"error_code": INTEGER, "error_message": TEXT}
        detail = ("a text or a list", lambda value: isinstance(value, str | list))
        compare_fields(notes, f"{where}, the error", document, forms, {"detail": detail})
        notes.same(f"{where}, Content-Type", JSON, answer.kind)
    return seen
