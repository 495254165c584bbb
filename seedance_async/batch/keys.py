"""The identity of a row, and the key that a row without one gets.

Design, section 6, Keys: "derived from the model id and the fields as written (aliases and number
spellings normalised, defaults left out) and the occurrence among equal rows". So rows that ask for
the same thing in other words are equal: `prompt` or `text`, `5` or `5.0`, a default written out or
not. Whoever fills in a column with what was sent anyway renames nothing and pays for nothing twice.

Nothing here may change for rows that exist, for a renamed row is paid for again. A ledger records
`KEY_VERSION`, and `tests/batch/golden_keys.json` pins what it means. Therefore the defaults stand
here, frozen, and are not read from the schemas: a model or a default that comes later must not
rename rows that were written before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

__all__ = ["KEY_VERSION", "derived_key", "row_digest"]

KEY_VERSION: Final = 1
"""A ledger records it. Another algorithm gets another number; this one stays for old ledgers."""

_DEFAULTS: Final[Mapping[str, Mapping[str, object]]] = {
    "bytedance/seedance-1-0/lite/image-to-video": {"resolution": "480p", "duration": 5},
    "bytedance/seedance-v1.5-pro/image-to-video": {
        "resolution": "480p",
        "ratio": "adaptive",
        "duration": 5,
        "generate_audio": True,
        "camera_fixed": True,
    },
    "bytedance/seedance-1-0/pro/fast/text-to-video": {
        "resolution": "480p",
        "ratio": "16:9",
        "duration": 5,
    },
}
"""What version 1 leaves out; never to be edited."""

# 64 bits: among a million different rows, two share a key with a chance of 3 in 100 million.
# 12 digits would make it 1 in 600.
_KEY_DIGITS: Final = 16

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def row_digest(model_id: str, fields: Mapping[str, object]) -> str:
    """Return what is the same for rows that ask for the same: 64 hexadecimal digits.

    For a model of version 1, `text` counts as `prompt`, and None and what equals the default count
    as absent; for any other model only numbers are normalised, for it is unknown what else is the
    same, and null is sent. The order of the fields never matters.

    Args:
        model_id: The full id, never a short name.
        fields: JSON values by name, which the model's rules have accepted.

    Raises:
        ValueError: A number is not finite.
    """
    defaults = _DEFAULTS.get(model_id)
    if defaults is None:
        canonical = {name: _unspelt(value) for name, value in fields.items()}
    else:
        canonical = _without_defaults(fields, defaults)
    return hashlib.sha256(_encode([model_id, canonical]).encode("ascii")).hexdigest()


def _without_defaults(
    fields: Mapping[str, object], defaults: Mapping[str, object]
) -> dict[str, object]:
    kept: dict[str, object] = {}
    for name, value in fields.items():
        if value is None:
            continue
        if isinstance(value, float):
            value = _unspelt(value)  # noqa: PLW2901  # a loop of its own per field costs 5 %
        default = defaults.get(name)
        if value == default and type(value) is type(default):  # for 1 == True
            continue
        kept["prompt" if name == "text" else name] = value
    return kept


def _unspelt(value: object) -> object:
    """Return a JSON value with 5.0 as 5, within arrays and objects too."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list | tuple):
        return [_unspelt(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _unspelt(item) for name, item in value.items()}
    return value


def derived_key(digest: str, occurrence: int) -> str:
    """Return the key of a row that was given none, such as `r3f9c0a7b12d4e5f6` or `..._2`.

    It is safe as a file's name on all systems. The letter in front keeps spreadsheets from reading
    `12345678901234e5` as a number; `_2` and not `-2`, for `KEY-2.mp4` is a job's second video.

    Args:
        digest: What `row_digest` says.
        occurrence: 1 for the first of the equal rows without a key, in the manifest's order, 2 for
            the next. Which of them is which does not matter: they ask for the same.

    Raises:
        ValueError: `occurrence` is less than 1.
    """
    if occurrence < 1:
        raise ValueError(f"occurrences count from 1, not {occurrence}")
    suffix = "" if occurrence == 1 else f"_{occurrence}"
    return f"r{digest[:_KEY_DIGITS]}{suffix}"
