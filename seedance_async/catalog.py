"""The catalog's answers as values: what a model is called, costs and takes (wire.md, section 8).

The catalog is the only authority on prices, and its schemas have quirks (`"type": "float"`,
`"default": null`); whatever has another type than documented is read as absent. No I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final, Literal, cast

import attrs

from seedance_async.bodies import Answer, api_error, read_body, read_error_code
from seedance_async.errors import ProtocolError

__all__ = ["CatalogModel", "PriceUnit", "read_model_answer"]

PriceUnit = Literal["second", "output"]

_DEAREST_USD: Final = 1_000_000  # a number beyond this is no price


@attrs.frozen(kw_only=True)
class CatalogModel:
    """One model of the catalog.

    Attributes:
        model_id: The full id; empty if the answer does not say.
        display_name: A name for people; the id where the catalog has none.
        description: A sentence or more; may be empty.
        base_price: Micro-dollars a `price_unit`, rounded up; None: not told.
        price_unit: What the price is for: a second of video, or an output.
        pricing_note: What else the catalog says about the price.
        input_schema: The JSON schema of the input, as the catalog gave it.
    """

    model_id: str
    display_name: str
    description: str = ""
    base_price: int | None = None
    price_unit: PriceUnit | None = None
    pricing_note: str | None = None
    input_schema: Mapping[str, Any] | None = attrs.field(default=None, hash=False, repr=False)


def read_model_answer(answer: Answer, *, now: float) -> CatalogModel:
    """Read the answer to `GET /v1/models/{model_id}`, errors included; `now` is wall-clock time.

    Raises:
        ApiError: It is an error.
        ProtocolError: The body is no JSON object.
    """
    body = read_body(answer)
    if not 200 <= answer.status < 300 or read_error_code(body, answer.status) is not None:
        raise api_error(answer, body, None, now)
    return _model(_read_object(answer))


def _read_object(answer: Answer) -> dict[str, Any]:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return document
    raise ProtocolError(
        "the catalog's answer is no JSON object",
        status=answer.status,
        excerpt=answer.excerpt(answer.body),
    )


def _model(entry: Mapping[str, Any]) -> CatalogModel:
    model_id = _text(entry.get("model_id")) or ""
    schema = entry.get("input_schema")
    return CatalogModel(
        model_id=model_id,
        display_name=_text(entry.get("display_name")) or model_id,
        description=_text(entry.get("description")) or "",
        base_price=_micro_dollars(entry.get("base_price_usd")),
        price_unit=_price_unit(entry.get("price_unit")),
        pricing_note=_text(entry.get("pricing_note")),
        input_schema=schema if isinstance(schema, dict) else None,
    )


def _text(value: object) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None


def _price_unit(value: object) -> PriceUnit | None:
    word = (_text(value) or "").lower()
    return cast("PriceUnit", word) if word in {"second", "output"} else None


def _micro_dollars(usd: object) -> int | None:
    """Return USD as micro-dollars, rounded up so that an estimate is never too low."""
    if isinstance(usd, bool) or not isinstance(usd, int | float | str):
        return None
    try:
        price = Decimal(str(usd))  # by way of the shortest text: 0.17, not 0.17000000000000001
    except (ArithmeticError, ValueError):
        return None
    if not price.is_finite() or not 0 <= price <= _DEAREST_USD:
        return None
    return int((price * 1_000_000).to_integral_value(ROUND_CEILING))
