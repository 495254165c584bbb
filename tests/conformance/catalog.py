"""Checks of the catalog: pages, entries, prices, and the schemas that the package ships."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from .free import NO_SUCH_MODEL
from .notes import Checks, Notes
from .service import Document, Service
from .shapes import (
    INTEGER,
    LIST,
    NUMBER,
    OBJECT,
    TEXT,
    compare_error,
    compare_fields,
    compare_json,
    exactly,
    one_of,
)

CATALOG: Checks[Service] = Checks()

_PAGE = {"models": LIST, "total": INTEGER, "limit": INTEGER, "offset": INTEGER}
_ENTRY = {
    "model_id": TEXT,
    "display_name": TEXT,
    "description": TEXT,
    "category": TEXT,
    "base_price_usd": NUMBER,
    "price_unit": one_of("second", "output"),
    "pricing_note": TEXT,
}
_SAME_IN_SCHEMAS = ("type", "enum", "default", "minimum", "maximum", "maxLength")


def shipped_schemas() -> dict[str, Document]:
    """Read the input schemas of the package by model id."""
    schemas = {}
    for file in (resources.files("seedance_async") / "schemas").iterdir():
        schema = json.loads(file.read_text(encoding="utf-8"))
        if found := re.match(r"model_id ([^\s;]+)", schema.get("$comment", "")):
            schemas[found[1]] = schema
    return schemas


@CATALOG.rule("models", "a page has models, total, limit and offset, and each entry has a price")
async def a_page_of_the_catalog_counts_and_cuts(service: Service, notes: Notes) -> None:
    """Two pages of one entry each differ; the limit and the offset asked for are given back."""
    firsts = []
    for offset in (0, 1):
        where = f"catalog page at {offset}"
        answer = await service.get(f"/v1/models?search=seedance&limit=1&offset={offset}")
        if not compare_json(notes, where, answer, 200):
            continue
        page = answer.document
        compare_fields(
            notes, where, page, {**_PAGE, "limit": exactly(1), "offset": exactly(offset)}
        )
        entries = _entries(page)
        notes.same(f"{where}, number of models", 1, len(entries))
        firsts += [entry.get("model_id") for entry in entries]
        for entry in entries:
            compare_fields(notes, f"{where}, entry", entry, _ENTRY)
    notes.must(len(set(firsts)) == len(firsts), "catalog pages", "different entries", firsts)


@CATALOG.rule("models", "search narrows the page; include_schema=true adds input_schema to entries")
async def a_page_is_searched_and_may_have_schemas(service: Service, notes: Notes) -> None:
    """The schemas are left out unless asked for."""
    for more, wanted in (("", False), ("&include_schema=true", True)):
        where = f"catalog searched for seedance{more}"
        answer = await service.get(f"/v1/models?search=seedance&limit=3&offset=0{more}")
        if compare_json(notes, where, answer, 200):
            for entry in _entries(answer.document):
                name = str(entry.get("model_id"))
                notes.must("seedance" in name, where, "ids with seedance", name)
                notes.same(f"{where}, input_schema", wanted, "input_schema" in entry)
    nothing = await service.get("/v1/models?search=no-such-model-anywhere&limit=3&offset=0")
    notes.same("catalog searched for nothing, total", 0, nothing.document.get("total"))


@CATALOG.rule("models", "a model's entry has its id, its price with the unit, and its input_schema")
async def the_entry_of_the_model_names_its_price(service: Service, notes: Notes) -> None:
    """The catalog is the only authority on prices."""
    where = f"catalog entry of {service.model}"
    answer = await service.get(f"/v1/models/{service.model}")
    if compare_json(notes, where, answer, 200):
        entry = answer.document
        forms = {**_ENTRY, "model_id": exactly(service.model), "input_schema": OBJECT}
        compare_fields(notes, where, entry, forms)
        price = f"{entry.get('base_price_usd')} USD a {entry.get('price_unit')}"
        notes.observe(f"price of {service.model}", "0.05 USD a second", price)


@CATALOG.rule("models", "the models that the package ships are offered with the schemas it ships")
async def the_shipped_schemas_are_the_catalogs(service: Service, notes: Notes) -> None:
    """Field by field; the catalog's quirks (`float`, a default of null) count as the same."""
    for model, shipped in shipped_schemas().items():
        answer = await service.get(f"/v1/models/{model}")
        schema = answer.document.get("input_schema")
        if not isinstance(schema, dict):
            notes.differ(f"catalog entry of {model}", "an input_schema", answer)
            continue
        where = f"schema of {model}"
        wanted, seen = (sorted(one.get("required", ())) for one in (shipped, schema))
        notes.same(f"{where}, required", wanted, seen)
        _compare_properties(notes, where, shipped, schema)


@CATALOG.rule("models", "a model that is not offered is HTTP 404 with 404001 in the catalog too")
async def an_unknown_model_is_not_in_the_catalog(service: Service, notes: Notes) -> None:
    """Free, so that a client can look before it submits."""
    answer = await service.get(f"/v1/models/{NO_SUCH_MODEL}")
    compare_error(notes, "catalog entry of an unknown model", answer, (404, 404001))


def _entries(page: Document) -> list[Document]:
    entries = page.get("models")
    return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []


def _compare_properties(notes: Notes, where: str, shipped: Document, seen: Document) -> None:
    ours, theirs = _properties(shipped), _properties(seen)
    notes.same(f"{where}, fields", sorted(ours), sorted(theirs))
    for name in sorted(ours.keys() & theirs.keys()):
        for key in _SAME_IN_SCHEMAS:
            wanted, found = _plain(ours[name].get(key)), _plain(theirs[name].get(key))
            notes.same(f"{where}, {name}.{key}", wanted, found)


def _properties(schema: Document) -> Mapping[str, Mapping[str, Any]]:
    fields = schema.get("properties")
    return fields if isinstance(fields, dict) else {}


def _plain(value: object) -> object:
    return "number" if value in ("float", "integer") else value
