"""What the service checks before it takes a job on; every rule strictly."""

import json
from collections.abc import Mapping
from typing import Final, NoReturn

from .catalog import Offer, properties
from .images import Probe, complaints
from .reply import JSON_TYPE, Reply, refusal

Document = dict[str, object]
Violation = dict[str, object]

_ROOT: Final = "body"


def read_document(headers: Mapping[str, str], body: bytes) -> Document | Reply:
    """Read a body that must be a JSON object, sent as such; else the refusal."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON_TYPE:
        return invalid([_violation("Content-Type", f"must be {JSON_TYPE}, not {kind!r}", "type")])
    try:
        document = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return invalid([_violation(_ROOT, f"is not JSON: {error}", "json_invalid")])
    if not isinstance(document, dict):
        return invalid([_violation(_ROOT, "must be an object", "type")])
    return document


def violations(offer: Offer, document: Document, probes: Mapping[str, Probe]) -> list[Violation]:
    """List everything that a request breaks, each with the field's name."""
    fields = properties(offer.schema)
    required = offer.schema.get("required", [])
    assert isinstance(required, list)
    missing = [name for name in required if name not in document]
    unknown = [name for name in document if name not in fields]
    found = [_violation(name, "Field required", "missing") for name in missing]
    found += [_violation(name, "Unknown field", "extra_forbidden") for name in unknown]
    found += [
        _violation(str(next(iter(error.path), _ROOT)), error.message, str(error.validator))
        for error in offer.validator.iter_errors(document)
        if error.validator != "required" or error.path
    ]
    for name, rules in offer.images.items():
        if isinstance(url := document.get(name), str):
            found += [_violation(name, text, "image") for text in complaints(url, rules, probes)]
    return found


def invalid(found: list[Violation]) -> Reply:
    """Refuse a request for what it breaks."""
    return refusal(422, 422001, "Input validation failed.", found)


def _violation(field: str, message: str, kind: str) -> Violation:
    location = [_ROOT] if field == _ROOT else [_ROOT, field]
    return {"loc": location, "msg": message, "type": kind}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
