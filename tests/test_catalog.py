"""The catalog's answers, with their quirks."""

from __future__ import annotations

import json

import pytest

from seedance_async.catalog import CatalogModel, read_catalog_model, read_catalog_page
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
    return read_catalog_model(json.dumps({**ENTRY, **changes}).encode(), 200)


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
    assert read_catalog_model(b"{}", 200) == CatalogModel(model_id="", display_name="")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b"\xff\xfe\xff", b"[" * 100_000], ids=lambda b: b[:6]
)
def test_only_what_is_no_json_object_is_an_error(body: bytes) -> None:
    """The error keeps the status and the first 300 characters."""
    for read_body in (read_catalog_model, read_catalog_page):
        with pytest.raises(ProtocolError, match="no JSON object") as caught:
            read_body(body, 502)
        assert caught.value.status == 502
        assert len(caught.value.excerpt) <= 300


def test_a_page_keeps_the_models_that_have_an_id() -> None:
    """Broken entries hide no good ones."""
    body = {"models": [ENTRY, 5, {"display_name": "?"}], "total": 7, "limit": "50", "offset": 0}
    page = read_catalog_page(json.dumps(body).encode(), 200)
    assert [model.model_id for model in page.models] == [ENTRY["model_id"]]
    assert (page.total, page.limit, page.offset) == (7, None, 0)
    assert read_catalog_page(b'{"models": null, "total": true}', 200).models == ()
