"""Durations that outlive a session: a file of JSON lines that several processes may write.

It holds knowledge only, so nothing here ever raises: a file that cannot be read or written costs a
warning and some lateness.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from seedance_async.models import Shape

__all__ = ["Lasted", "append_history", "read_history"]

logger = logging.getLogger("seedance_async")

_KEPT: Final = 1000
"""Lines that are read, and that a compaction leaves."""
_LONG: Final = 512 * 1024
"""Bytes from which a file is compacted; a line has some 120."""
_AT_ONCE: Final = 32
"""Lines of one write: short enough that the systems' appends do not tear it."""

_FIELDS: Final[dict[str, Any]] = {
    "model": str,
    "resolution": str | None,
    "duration": int | None,
    "audio": bool | None,
}


class Lasted(NamedTuple):
    """How long one job took.

    Attributes:
        shape: What was generated.
        seconds: From acceptance to its end.
    """

    shape: Shape
    seconds: float


def read_history(path: Path) -> list[Lasted]:
    """Return the last durations of a file, oldest first; none if there is no file. Blocks.

    A file that has become long is cut to what counts. What another process appends in that moment
    may be lost, and is no loss.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > 4 * _LONG:  # somebody else's, or nobody compacted for long
                file.seek(size - _LONG)
                file.readline()
            lines = deque(file, maxlen=_KEPT)
    except FileNotFoundError:
        return []
    except OSError as error:
        logger.warning("the durations in %s cannot be read: %s", path, error)
        return []
    found = [lasted for line in lines if (lasted := _read(line)) is not None]
    if len(found) < len(lines):
        unread = len(lines) - len(found)
        logger.warning("%d lines of %s are no durations and are passed over", unread, path)
    if size > _LONG:
        _compact(path, found)
    return found


def append_history(path: Path, durations: Iterable[Lasted]) -> None:
    """Append durations to a file, which is made, with its folder, if need be. Blocks."""
    lines = [_line(lasted) for lasted in deque(durations, maxlen=_KEPT)]
    if not lines:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags, 0o600)
        try:
            for begin in range(0, len(lines), _AT_ONCE):
                os.write(descriptor, b"".join(lines[begin : begin + _AT_ONCE]))
        finally:
            os.close(descriptor)
    except OSError as error:
        logger.warning("the durations cannot be kept in %s: %s", path, error)


def _line(lasted: Lasted) -> bytes:
    shape, seconds = lasted
    record = {
        "model": shape.model_id,
        "resolution": shape.resolution,
        "duration": shape.duration,
        "audio": shape.audio,
        "seconds": round(seconds, 2),
    }
    return json.dumps(record).encode() + b"\n"


def _read(line: bytes) -> Lasted | None:
    """Return what a line says; None if it is torn, or not ours."""
    try:
        record = json.loads(line)
        fields = [record[name] for name in _FIELDS]
        seconds = float(record["seconds"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    sound = all(map(isinstance, fields, _FIELDS.values())) and 0.0 <= seconds < math.inf
    return Lasted(Shape(*fields), seconds) if sound else None


def _compact(path: Path, found: list[Lasted]) -> None:
    """Leave only the last durations in the file."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.write_bytes(b"".join(map(_line, found)))
        new.replace(path)
    except OSError as error:
        logger.warning("the durations in %s cannot be cut short: %s", path, error)
