"""The cells of a CSV manifest as values: text is all that they are, the schema knows better."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Final

from seedance_async.batch.jsonrows import decode_strictly
from seedance_async.models import MODELS, FieldRule, field_rules, find_model

__all__ = ["cell_reader", "known_columns"]

_TEXTS: Final = frozenset({"model", "key", "prompt", "text"})


@functools.cache
def known_columns() -> frozenset[str]:
    """Return the columns that some known model's row may have."""
    models = dict.fromkeys(MODELS.values())
    return _TEXTS.union(rule.name for model in models for rule in field_rules(model))


def cell_reader(model: str | None, column: str) -> Callable[[str], object]:
    """Return what makes a value of a cell that is not empty, for rows of `model`.

    What the field's type does not allow stays text, for its rule to refuse: `1.5E+09`, too, which
    is what a spreadsheet makes of a seed, with digits lost. The cells of an unknown model are JSON
    scalars where they can be read as such, except its prompt; `"5"` between quotation marks of its
    own stays text.
    """
    if column == "model":
        return str.strip
    if column in _TEXTS:
        return str
    known = None if model is None else find_model(model)
    if known is None:
        return _scalar
    rule = next((rule for rule in field_rules(known) if rule.name == column), None)
    return str if rule is None else _reader_of(rule)


def _reader_of(rule: FieldRule) -> Callable[[str], object]:
    if rule.type == "integer":
        return _integer
    if rule.type == "boolean":
        return _boolean
    return str.strip if rule.choices else str


def _integer(cell: str) -> int | str:
    whole = re.fullmatch(r"([+-]?[0-9]{1,30})(?:\.0*)?", cell.strip())
    return int(whole[1]) if whole else cell


def _boolean(cell: str) -> bool | str:
    return {"true": True, "false": False}.get(cell.strip().lower(), cell)


def _scalar(cell: str) -> object:
    try:
        value = decode_strictly(cell)
    except (ValueError, RecursionError):
        return cell
    return cell if isinstance(value, list | dict) else value
