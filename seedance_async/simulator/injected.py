"""A fault that happened, as a line of the log."""

import json
from pathlib import Path
from typing import Self

import attrs

from .faults import KNOWN


@attrs.frozen
class InjectedFault:
    """One fault that happened; a line of the log.

    Attributes:
        at: seconds after the simulator's start.
        name: which.
        endpoint: where; `job` for what was decided about a job when it was accepted.
        request_id: of the job, where there was one.
        subject: of what it was decided: a job's name, or that of a request's body.
        number: at which of the subject's occasions, counted from 1.
        seed: of the simulator, from which the subject's turns follow; None: not told.

    Raises:
        ValueError: the name is unknown, or a value is none of its kind.
    """

    at: float
    name: str
    endpoint: str
    request_id: str | None
    subject: str
    number: int
    seed: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.name not in KNOWN:
            raise ValueError(f"unknown fault {self.name!r}; known are {', '.join(KNOWN)}")
        kinds = (self.subject, str), (self.number, int), (self.seed, int | None)
        if wrong := [value for value, kind in kinds if not isinstance(value, kind)]:
            raise ValueError(f"no line of a fault log: {wrong[0]!r} is none of what it tells")

    def to_json(self) -> str:
        """Spell it as one line."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is no such line.
        """
        try:
            return cls(**json.loads(line))
        except (TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"no line of a fault log: {error}") from None


def read_log(path: Path) -> list[InjectedFault]:
    """Read a file of such lines.

    Raises:
        ValueError: one is none; the message names file and line.
        OSError: the file cannot be read.
    """
    faults = []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                faults.append(InjectedFault.from_json(line))
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}") from None
    return faults
