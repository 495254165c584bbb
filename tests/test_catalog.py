"""The catalog's answers, with their quirks."""

from __future__ import annotations

import json

import pytest

from seedance_async.bodies import Answer
from seedance_async.catalog import CatalogModel, read_model_answer
from seedance_async.errors import ProtocolError

ENTRY = {
    "model_id": "bytedance/seedance-2.5/image-to-video/720p",
    "display_name": "Seedance 2.5",
    "description": "Videos from images.",
    "base_price_usd": 0.35,
    "price_unit": "second",
    "pricing_note": "plus tax",
    "input_schema": {"properties": {"scale": {"type": "float", "default": None}}},
    "unheard_of": [1, 2],
}


def read(**changes: object) -> CatalogModel:
    return read_body(json.dumps({**ENTRY, **changes}).encode())


def read_body(body: bytes) -> CatalogModel:
    return read_model_answer(Answer(200, {}, body), now=0.0)


def test_an_entry_is_read_whole() -> None:
    """All documented fields arrive, the schema as it was given, and the rest is passed over."""
    assert read() == CatalogModel(
        model_id="bytedance/seedance-2.5/image-to-video/720p",
        display_name="Seedance 2.5",
        description="Videos from images.",
        base_price=350_000,
        price_unit="second",
        pricing_note="plus tax",
        input_schema={"properties": {"scale": {"type": "float", "default": None}}},
    )
    assert len({read(), read()}) == 1


@pytest.mark.parametrize(
    ("usd", "micro"),
    [
        (0.17, 170_000),
        ("0.88", 880_000),
        (1, 1_000_000),
        (0, 0),
        (0.0000001, 1),
        (0.1 + 0.2, 300_001),
        (None, None),
        (True, None),
        (-1, None),
        ("free", None),
        ([0.1], None),
        (float("nan"), None),
        (float("inf"), None),
        ("1e999999", None),
        (10**400, None),
    ],
)
def test_prices_are_whole_micro_dollars_rounded_up(usd: object, micro: int | None) -> None:
    """Money is integer and an estimate never too low; what is no price is none."""
    assert read(base_price_usd=usd).base_price == micro


@pytest.mark.parametrize(
    ("unit", "read_as"),
    [("second", "second"), ("Output ", "output"), ("minute", None), (1, None), (None, None)],
)
def test_price_units(unit: object, read_as: str | None) -> None:
    """A price of an unknown unit cannot be taken for one a second."""
    assert read(price_unit=unit).price_unit == read_as


def test_wrong_types_are_absent() -> None:
    """A quirk in one field costs that field only."""
    odd = {name: {"odd": 1} for name in ENTRY if name != "input_schema"}
    assert read(**odd, input_schema="text") == CatalogModel(model_id="", display_name="")
    assert read(display_name=None).display_name == ENTRY["model_id"]
    assert read_body(b"{}") == CatalogModel(model_id="", display_name="")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b"\xff\xfe\xff", b"[" * 100_000], ids=lambda b: b[:6]
)
def test_only_what_is_no_json_object_is_an_error(body: bytes) -> None:
    """The error keeps the status and the first 300 characters."""
    with pytest.raises(ProtocolError, match="no JSON object") as caught:
        read_body(body)
    assert caught.value.status == 200
    assert len(caught.value.excerpt) <= 300
