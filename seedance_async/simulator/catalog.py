"""The models that the simulator offers, read from the package's schema files."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import attrs
from jsonschema import Draft202012Validator

from .books import MICRO
from .images import ImageRule
from .reply import Reply, in_json, refusal
from .routes import Route

SCHEMAS: Final = Path(__file__).parent.parent / "schemas"

Schema = Mapping[str, object]

_MODEL_ID: Final = re.compile(r"model_id ([^\s;]+)")
_USUAL_LENGTH: Final = 5


@attrs.frozen(kw_only=True)
class Shape:
    """What of a request decides about its video: resolution, ratio and seconds."""

    resolution: str
    ratio: str
    seconds: float


@attrs.frozen(eq=False)
class Offer:
    """One model: its id, its input schema, and what was compiled from it once."""

    model_id: str
    schema: Schema
    validator: Draft202012Validator = attrs.field(repr=False)
    images: Mapping[str, tuple[ImageRule, ...]] = attrs.field(repr=False)

    @classmethod
    def from_schema(cls, model_id: str, schema: Schema) -> "Offer":
        """Compile a schema.

        Raises:
            jsonschema.SchemaError: it is no JSON schema.
        """
        Draft202012Validator.check_schema(schema)
        images = {
            field: tuple(ImageRule.from_schema(rule) for rule in rules)
            for field, definition in properties(schema).items()
            if isinstance(rules := definition.get("validations"), list)
        }
        return cls(model_id, schema, Draft202012Validator(schema), images)

    def shape(self, document: Mapping[str, object]) -> Shape:
        """Read the shape of a valid request, with the schema's defaults for what it omits."""

        def value(field: str, otherwise: object) -> object:
            definition = properties(self.schema).get(field, {})
            return document.get(field, definition.get("default", otherwise))

        resolution = value("resolution", self.model_id.rpartition("/")[2])
        ratio = value("ratio", None) or value("aspect_ratio", None)
        seconds = value("duration", _USUAL_LENGTH)
        return Shape(
            resolution=str(resolution),
            ratio=str(ratio),
            seconds=float(seconds) if isinstance(seconds, int | float) else _USUAL_LENGTH,
        )


def properties(schema: Schema) -> Mapping[str, Mapping[str, object]]:
    """Return the fields of a schema with their definitions."""
    fields = schema.get("properties", {})
    return fields if isinstance(fields, dict) else {}


@cache
def shipped() -> Mapping[str, Offer]:
    """Read every input schema in `schemas/`; its `$comment` names the model."""
    offers = {}
    for path in sorted(SCHEMAS.glob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        if found := _MODEL_ID.match(schema.get("$comment", "")):
            offers[found[1]] = Offer.from_schema(found[1], schema)
    return offers


class Catalog:
    """All offers of one simulator, with their prices."""

    def __init__(
        self, extra_models: Mapping[str, Schema], price_per_second: float | Mapping[str, float]
    ) -> None:
        """Offer the shipped models and `extra_models`, by id; prices are USD a second.

        Raises:
            ValueError: a mapping of prices names a model that is not offered.
        """
        extra = {name: Offer.from_schema(name, schema) for name, schema in extra_models.items()}
        self.offers: Final = {**shipped(), **extra}
        if not isinstance(price_per_second, Mapping):
            price_per_second = dict.fromkeys(self.offers, price_per_second)
        if unknown := price_per_second.keys() - self.offers.keys():
            raise ValueError(f"prices for models that are not offered: {sorted(unknown)}")
        self._prices = {name: round(usd * MICRO) for name, usd in price_per_second.items()}

    def find(self, model_id: str) -> Offer | None:
        """Return the offer of a model, None for an unknown id."""
        return self.offers.get(model_id)

    def price(self, offer: Offer, seconds: float) -> int:
        """Tell what a video costs, in micro-dollars; a model without a price costs nothing."""
        return round(self._prices.get(offer.model_id, 0) * seconds)

    def answer(self, there: Route) -> Reply:
        """Answer what is asked of the catalog: about one model, or about those that match."""
        if there.subject:
            offer = self.find(there.subject)
            if offer is None:
                return refusal(404, 404001, f"Resource not found: model {there.subject!r}.")
            return in_json(200, self._entry(offer))
        limit, offset = there.query.get("limit", "20"), there.query.get("offset", "0")
        if not (limit.isdecimal() and offset.isdecimal()):
            return refusal(422, 422001, "Input validation failed.", "limit, offset: integers")
        page = self._page(
            search=there.query.get("search", ""),
            category=there.query.get("category", ""),
            include_schema=there.query.get("include_schema", "").lower() == "true",
            limit=int(limit),
            offset=int(offset),
        )
        return in_json(200, page)

    def _entry(self, offer: Offer, *, include_schema: bool = True) -> dict[str, object]:
        """Describe a model as `GET /v1/models/{model_id}` does (wire.md, section 8)."""
        words = offer.model_id.partition("/")[2].replace("/", " ").replace("-", " ")
        entry: dict[str, object] = {
            "model_id": offer.model_id,
            "display_name": words.title(),
            "description": "Simulated; its videos are bars that move.",
            "category": offer.model_id.rpartition("/")[2],
            "base_price_usd": self._prices.get(offer.model_id, 0) / MICRO,
            "price_unit": "second",
            "pricing_note": "An invented price.",
        }
        if include_schema:
            entry["input_schema"] = _with_quirks(offer)
        return entry

    def _page(
        self, *, search: str, category: str, include_schema: bool, limit: int, offset: int
    ) -> dict[str, object]:
        """Describe the models that match, as `GET /v1/models` does."""
        entries = [
            self._entry(offer, include_schema=include_schema)
            for offer in self.offers.values()
            if search.lower() in offer.model_id and offer.model_id.endswith(category)
        ]
        return {
            "models": entries[offset : offset + limit],
            "total": len(entries),
            "limit": limit,
            "offset": offset,
        }


def _with_quirks(offer: Offer) -> dict[str, object]:
    """Spell a schema as the live catalog does: `image_uri` formats, null for no default."""
    required = offer.schema.get("required", ())
    required = required if isinstance(required, list) else []
    fields: dict[str, object] = {}
    for name, definition in properties(offer.schema).items():
        quirks: dict[str, object] = {"format": "image_uri"} if name in offer.images else {}
        if name not in required and "default" not in definition:
            quirks["default"] = None
        fields[name] = {**definition, **quirks}
    return {**offer.schema, "properties": fields}
