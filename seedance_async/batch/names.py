"""What a row's video is called on disk: a name that is safe everywhere and belongs to one row.

`KEY.mp4`, and `KEY-2.mp4` for a job's second video, where the key is safe as it stands and nothing
else claims the name; else with the key's hash, as in `KEY-1a2b3c4d.mp4` and `KEY-1a2b3c4d-2.mp4`.
A key that reads like one of these bears its hash too, so that the two kinds never meet.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

__all__ = ["video_name"]

_LONGEST: Final = 100
"""Characters of a key that a name keeps."""
_DIGITS: Final = 8

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]|^[.-]|\.\Z")
"""A dash in front would pass for an option, a dot there hides; Windows drops one at the end."""
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|\Z)", re.IGNORECASE)
"""Windows opens a device under these names, whatever follows the dot."""
_RESERVED: Final = re.compile(rf"-[0-9a-f]{{{_DIGITS}}}(-[0-9]+)?\Z", re.IGNORECASE)


def video_name(key: str, number: int = 1, *, taken: bool = False, digits: int = _DIGITS) -> str:
    """Return the name of the file of one of a row's videos; the same arguments give the same name.

    Args:
        key: The row's.
        number: Which of the job's videos, from 1.
        taken: Whether another row claims the plain name (`LedgerReader.name_is_taken`).
        digits: How many digits of the hash; more where even the hash is taken.

    Raises:
        ValueError: `number` is less than 1.
    """
    if number < 1:
        raise ValueError(f"videos count from 1, not {number}")
    stem = _UNSAFE.sub("_", key) or "_"
    if _DEVICE.match(stem):
        stem = f"_{stem}"
    stem = stem[:_LONGEST]
    if taken or stem != key or _RESERVED.search(stem):
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        stem = f"{stem}-{digest[:digits]}"
    return f"{stem}.mp4" if number == 1 else f"{stem}-{number}.mp4"
