"""What the checks found: differences from the double, and choices that nobody wrote down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs

S = TypeVar("S")
J = TypeVar("J", bound=Callable[..., Any])

LONGEST = 300
"""Characters of an answer that a difference repeats."""


@attrs.frozen
class Difference:
    """One place where a service does otherwise than the double.

    Attributes:
        where: the request, or the part of an answer.
        expected: what the double does.
        seen: what this service did.
        rule: which section of the wire says so, and the fact.
    """

    where: str
    expected: str
    seen: str
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}; seen {self.seen}"


@attrs.frozen
class Observation:
    """How a service does what nobody wrote down, beside how the double does it."""

    point: str
    double: str
    seen: str


@attrs.define
class Notes:
    """Collects what one check finds; nothing in here raises, so that a check sees everything."""

    rule: str = ""
    differences: list[Difference] = attrs.field(factory=list)
    observations: list[Observation] = attrs.field(factory=list)

    def differ(self, where: str, expected: object, seen: object) -> None:
        """Note a difference; of many like it, as of many polls, the first is enough."""
        if all((d.where, d.expected) != (where, str(expected)) for d in self.differences):
            self.differences.append(Difference(where, str(expected), short(seen), self.rule))

    def same(self, where: str, expected: object, seen: object) -> None:
        """Note a difference unless both are equal."""
        if expected != seen:
            self.differ(where, expected, seen)

    def must(self, holds: bool, where: str, expected: object, seen: object) -> None:
        """Note a difference unless it holds."""
        if not holds:
            self.differ(where, expected, seen)

    def observe(self, point: str, double: object, seen: object) -> None:
        """Note a choice."""
        observation = Observation(point, str(double), short(seen))
        if observation not in self.observations:
            self.observations.append(observation)


def short(seen: object) -> str:
    """Spell what was seen in one line that fits a report."""
    line = " ".join(str(seen).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


@attrs.frozen
class Check(Generic[S]):
    """A fact about the wire, and how to compare a service with it."""

    name: str
    rule: str
    judge: Callable[[S, Notes], Any]

    def notes(self) -> Notes:
        """Open the notes of one run of this check."""
        return Notes(self.rule)


class Checks(list[Check[S]]):
    """The checks of one subject, in the order in which they were written."""

    def rule(self, section: str, fact: str) -> Callable[[J], J]:
        """Add the function below as a check of a fact from a section of the wire."""

        def add(judge: J) -> J:
            self.append(Check(judge.__name__, f"the wire's section on {section}: {fact}", judge))
            return judge

        return add
