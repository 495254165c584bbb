"""The rules of requests, as the JSON schemas in `schemas/` state them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import attrs

from seedance_async.errors import Violation

__all__ = [
    "FieldRule",
    "encoding_problem",
    "find_violations",
    "is_integer",
    "read_schema",
    "schema_rules",
]


@attrs.frozen(kw_only=True)
class FieldRule:
    """What a model's schema says about one field.

    Attributes:
        name: The field's name.
        type: JSON Schema's word for its type.
        required: Whether a request must have it.
        default: What is sent where it is left out; None: nothing.
        choices: The only values allowed; empty: no such rule.
        max_length: Unicode code points at most (wire.md, section 8).
        description: The service's words; may be empty.
        is_image: Whether it holds an image's URL, whose image has rules of its own.
    """

    name: str
    type: Literal["string", "integer", "boolean"]
    required: bool
    default: str | int | bool | None = None
    choices: tuple[str | int, ...] = ()
    max_length: int | None = None
    description: str = ""
    is_image: bool = False

    def problem(self, value: object) -> str | None:
        """Return the rule that `value` breaks with the way out, or None; None is absence."""
        if value is None:
            return self._absence_problem()
        if not _HAS_TYPE[self.type](value) or (self.choices and value not in self.choices):
            return f"must be {self._allowed()}"
        return self._text_problem(value) if isinstance(value, str) else None

    def _absence_problem(self) -> str | None:
        if self.required:
            return f"is required: give it {self._allowed()}"
        if self.default is not None:
            return f"must be {self._allowed()}; leave it out for {json.dumps(self.default)}"
        return None

    def _text_problem(self, text: str) -> str | None:
        excess = 0 if self.max_length is None else len(text) - self.max_length
        if excess > 0:
            return f"must have at most {self.max_length} characters: shorten it by {excess}"
        return encoding_problem(text)

    def _allowed(self) -> str:
        kind = _TYPE_WORDS[self.type]
        if self.choices:
            return f"one of {', '.join(str(choice) for choice in self.choices)} ({kind})"
        return kind


_TYPE_WORDS: Final = {"string": "text", "integer": "a whole number", "boolean": "true or false"}


def is_integer(value: object) -> bool:
    """Tell JSON Schema's integers: 5.0 is one, True is none."""
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


_HAS_TYPE: Final[Mapping[str, Callable[[object], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "integer": is_integer,
    "boolean": lambda value: isinstance(value, bool),
}


def encoding_problem(text: str) -> str | None:
    """Return why `text` cannot be sent; UTF-8, and so JSON over HTTP, has no lone surrogates."""
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"must be text that UTF-8 can hold: remove the lone surrogate at {error.start}"
    return None


def read_schema(model_id: str) -> dict[str, Any]:
    """Read the JSON schema of a known model's input; its file is named after the id."""
    from importlib import resources  # 10 ms, spared until a model is used

    name = model_id.partition("/")[2].replace("/", "-")
    file = resources.files(__package__).joinpath("schemas", f"{name}.json")
    schema: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return schema


@functools.cache
def schema_rules(model_id: str) -> tuple[FieldRule, ...]:
    """Return the rules of a known model's fields in the schema's order; its file is read once."""
    schema = read_schema(model_id)
    return tuple(
        FieldRule(
            name=name,
            type=says["type"],
            required=name in schema["required"],
            default=says.get("default"),
            choices=tuple(says.get("enum", ())),
            max_length=says.get("maxLength"),
            description=says.get("description", ""),
            is_image="validations" in says,
        )
        for name, says in schema["properties"].items()
    )


def find_violations(rules: Iterable[FieldRule], values: Mapping[str, object]) -> list[Violation]:
    """Return all that `values`, which has a value or None for each rule, breaks."""
    found = []
    for rule in rules:
        value = values[rule.name]
        default = rule.default
        if value == default and type(value) is type(default) and not rule.required:
            continue  # the schema's own: most values of most rows
        problem = rule.problem(value)
        if problem is not None:
            found.append(Violation(rule.name, value, problem))
    return found
