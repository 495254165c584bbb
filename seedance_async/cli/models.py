"""`models`: which models this version knows, and what they take."""

import csv
import io
from typing import Annotated, Any, Literal

import attrs
from cyclopts import Parameter
from rich.table import Table

from seedance_async.cli.exits import CommandError
from seedance_async.cli.fields import allowed_values, known_models
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.terminal import console, print_json
from seedance_async.models import FieldRule, TypedRequest, field_rules, find_model

__all__ = ["models"]

_SAMPLE_KEY = "fox-at-dawn"
_SAMPLE_TEXT = "A red fox crosses a frozen lake at dawn"
_SAMPLE_IMAGE = "https://example.com/first-frame.png"


def models(
    model: Annotated[str | None, Parameter(help="A full id or a short name; none: all.")] = None,
    /,
    *,
    template: Annotated[
        Literal["csv"] | None,
        Parameter(help="Print the header and a sample row of a manifest for MODEL."),
    ] = None,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> None:
    """List the known models, or one model's fields with their rules.

    Another model's full id is let through by `generate`, unchecked, with `--input JSON`.
    """
    reporting.start()
    if model is None:
        if template is not None:
            raise CommandError("--template needs a model, as in `models pro-fast --template csv`")
        _list(reporting)
        return
    known = find_model(model)
    if known is None:
        names = ", ".join(known.short_name for known in known_models())
        raise CommandError(f"{model} is no model that this version knows: {names}")
    if template == "csv":
        print(_sample_csv(known), end="")
    elif reporting.json:
        print_json(_as_json(known))
    else:
        _show(known)


def _list(reporting: Reporting) -> None:
    if reporting.json:
        print_json({"models": [_as_json(model) for model in known_models()]})
        return
    table = _table("short name", "model id", "fields (* required)")
    for model in known_models():
        fields = (f"{rule.name}{'*' if rule.required else ''}" for rule in field_rules(model))
        table.add_row(model.short_name, model.model_id, ", ".join(fields))
    _print(table)


def _show(model: type[TypedRequest]) -> None:
    print(f"{model.short_name}: {model.model_id}\n{(model.__doc__ or '').partition(chr(10))[0]}\n")
    table = _table("field", "type", "default", "allowed", "notes")
    for rule in field_rules(model):
        default = "(required)" if rule.required else _text(rule.default)
        table.add_row(rule.name, rule.type, default, allowed_values(rule), rule.description)
    _print(table)


def _as_json(model: type[TypedRequest]) -> dict[str, Any]:
    rules = [attrs.asdict(rule) for rule in field_rules(model)]
    return {"model_id": model.model_id, "short_name": model.short_name, "fields": rules}


def _sample_csv(model: type[TypedRequest]) -> str:
    rules = field_rules(model)
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(["key", *(rule.name for rule in rules)])
    writer.writerow([_SAMPLE_KEY, *(_sample(rule) for rule in rules)])
    return sheet.getvalue()


def _sample(rule: FieldRule) -> str:
    """Return a value to start from: never the schema's own sample of a prompt or an image."""
    if rule.required:
        return _SAMPLE_IMAGE if rule.is_image else _SAMPLE_TEXT
    return _text(rule.default)


def _text(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table) -> None:
    console(stderr=False).print(table, highlight=False, markup=False)
