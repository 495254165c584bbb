"""A request for a model whose schema is not known: any id, any JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

import attrs

from seedance_async.errors import InvalidRequestError, Violation

__all__ = ["RawRequest", "check_model_id"]


@attrs.frozen
class RawRequest:
    """A request for any model; its input, a JSON object, is copied and sent unvalidated.

    Raises:
        InvalidRequestError: The id is not usable as a path, or the input cannot be encoded.
    """

    model_id: str
    _input: Mapping[str, object] = attrs.field(alias="input", hash=False)

    def __attrs_post_init__(self) -> None:
        found: list[Violation] = []
        copied: dict[str, object] = {}
        if not _is_path(self.model_id):
            found.append(_unusable(self.model_id))
        try:
            copied = _copy_json(self._input)
        except (TypeError, ValueError, RecursionError) as error:
            kind = type(self._input).__name__
            found.append(Violation("input", kind, f"must be a JSON object: {error}"))
        if found:
            raise InvalidRequestError(found, model_id=str(self.model_id))
        object.__setattr__(self, "_input", copied)

    def input(self) -> dict[str, object]:
        """Return the body as it is sent, a fresh copy."""
        return _copy_json(self._input)

    def advice(self) -> tuple[str, ...]:
        """Return nothing: nothing is known of the model."""
        return ()


def check_model_id(model_id: str) -> None:
    """Refuse what cannot be a model's id.

    Raises:
        InvalidRequestError: It cannot.
    """
    if not _is_path(model_id):
        raise InvalidRequestError([_unusable(model_id)], model_id=str(model_id))


_MODEL_ID_RULE: Final = (
    "must be segments of letters, digits, `.`, `_` and `-` joined by `/`, none of them `.` or `..`"
)


def _is_path(model_id: object) -> bool:
    """Tell whether an id's slashes can stay raw path segments (wire.md, section 1)."""
    return isinstance(model_id, str) and all(
        re.fullmatch(r"[A-Za-z0-9._-]+", segment) and segment not in {".", ".."}
        for segment in model_id.split("/")
    )


def _unusable(model_id: object) -> Violation:
    return Violation("model_id", model_id, _MODEL_ID_RULE)


def _copy_json(value: object) -> dict[str, object]:
    """Return a deep copy of a JSON object.

    Raises:
        TypeError, ValueError, RecursionError: It is none, or what is sent would differ from it.
    """
    if not isinstance(value, Mapping):
        raise TypeError("it is no mapping")
    text = json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
    text.encode()  # refuses lone surrogates
    copied: dict[str, object] = json.loads(text)
    if copied != dict(value):  # json.dumps makes text of other keys, and lists of tuples
        raise ValueError("keys must be text, and arrays lists")
    return copied
