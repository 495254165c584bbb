"""The flags of `generate`: every field of every known model, as the request classes state it."""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Group, Parameter

from seedance_async.cli.exits import CommandError
from seedance_async.models import MODELS, FieldRule, TypedRequest, field_rules

__all__ = ["Fields", "allowed_values", "given_fields", "known_models"]


def known_models() -> tuple[type[TypedRequest], ...]:
    """Return each known model once."""
    return tuple(dict.fromkeys(MODELS.values()))


def allowed_values(rule: FieldRule) -> str:
    """Say a field's choices in short: `4 to 12`, `480p, 720p, 1080p`; empty if it is free."""
    choices = rule.choices
    first, last = (choices[0], choices[-1]) if choices else ("", "")
    if isinstance(first, int) and isinstance(last, int):
        if len(choices) > 2 and choices == tuple(range(first, last + 1)):
            return f"{first} to {last}"
    elif rule.max_length is not None:
        return f"at most {rule.max_length} characters"
    return ", ".join(str(choice) for choice in choices)


def _rules_by_field() -> dict[str, dict[str, FieldRule]]:
    """Return each field's rules by the short name of the model."""
    found: dict[str, dict[str, FieldRule]] = {}
    for model in known_models():
        for rule in field_rules(model):
            found.setdefault(rule.name, {})[model.short_name] = rule
    return found


_RULES = _rules_by_field()
_GROUP = Group("Fields of the models (a model takes those that name it)")


def _says(rule: FieldRule, *, description: bool) -> str:
    parts = ["required"] if rule.required else []
    parts += [allowed_values(rule)] if allowed_values(rule) else []
    parts += [f"default {json.dumps(rule.default)}"] if rule.default is not None else []
    text = ", ".join(parts).replace('"', "") or "optional"
    return f"{text} ({rule.description.rstrip('.')})" if description and rule.description else text


def _help(rules: Mapping[str, FieldRule]) -> str:
    first = next(iter(rules.values()))
    shared = all(rule.description == first.description for rule in rules.values())
    models_by_text: dict[str, list[str]] = {}
    for name, rule in rules.items():
        models_by_text.setdefault(_says(rule, description=not shared), []).append(name)
    texts = (f"{', '.join(names)}: {text}" for text, names in models_by_text.items())
    synonym = " --prompt and --text are taken for each other." if first.name == "text" else ""
    return f"{first.description if shared else ''} {'; '.join(texts)}.{synonym}".strip()


def _flag(rules: Mapping[str, FieldRule]) -> Any:
    first = next(iter(rules.values()))
    parameter = Parameter(
        group=_GROUP,
        help=_help(rules),
        # The request class checks values, for it can name the rule.
        metavar={"integer": "NUMBER", "string": "TEXT"}.get(first.type),
        allow_leading_hyphen=first.type == "integer",
    )
    kind = bool | None if first.type == "boolean" else str | None
    annotation: Any = Annotated[kind, parameter]
    return attrs.field(default=None, type=annotation)


if TYPE_CHECKING:

    @attrs.frozen
    class Fields:
        """One attribute for each field of any model; None where the flag was not given."""

else:
    Fields = attrs.make_class(
        "Fields",
        {name: _flag(rules) for name, rules in _RULES.items()},
        kw_only=True,
        frozen=True,
    )


def given_fields(fields: Fields, input_json: str | None) -> dict[str, object]:
    """Return what flags and `--input` say, numbers as numbers where the rules want them.

    Raises:
        CommandError: `--input` is no JSON object, or says what a flag says too.
    """
    given = _read_input(input_json)
    for name, rules in _RULES.items():
        value = getattr(fields, name)
        if value is None:
            continue
        if name in given:
            flag = name.replace("_", "-")
            raise CommandError(f"{name} is given twice: as --{flag} and in --input. Keep one")
        integer = next(iter(rules.values())).type == "integer"
        given[name] = _number(value) if integer else value
    return given


def _number(text: str) -> int | str:
    """Return a whole number, or the text itself for the rule to refuse."""
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,30}", text) else text


def _read_input(text: str | None) -> dict[str, object]:
    if text is None:
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"--input is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise CommandError("--input must be a JSON object, in quotes for the shell")
    return document
