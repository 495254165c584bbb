"""A ledger in memory, written down twice as simply: what the one on disk must agree with.

Each word returns whether it may be said, and changes nothing if not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import attrs

__all__ = ["ENDS", "ESTIMATE", "Attempt", "Line", "Row", "Twin"]

ESTIMATE: Final = 300_000
ENDS: Final = ("succeeded", "failed", "cancelled", "timed_out", "lost")
_OPEN: Final = frozenset({"submitted", "timed_out"})
_WITH_COST: Final = frozenset({"succeeded", "failed", "cancelled"})

Line = tuple[str, int]
"""A manifest's line: a key, and which request stands there under it."""


@attrs.define(eq=False)
class Attempt:
    """One submission."""

    state: str = "submitting"
    request_id: str | None = None
    cost: int | None = None

    @property
    def refused(self) -> bool:
        return self.state == "failed" and self.request_id is None

    def paid(self) -> bool:
        return self.state not in {"planned", "not_billed"} and not self.refused

    def settled(self) -> int:
        if self.paid() and self.cost is not None:
            return self.cost
        return ESTIMATE if self.state == "succeeded" else 0

    def reserved(self) -> int:
        known = self.state == "succeeded" or self.cost is not None
        return ESTIMATE if self.paid() and not known else 0


@attrs.define
class Row:
    """One row: its last attempt is current unless it was put away."""

    request: int
    state: str = "planned"
    line: int | None = None
    final: bool = False
    size: int | None = None
    attempts: list[Attempt] = attrs.field(factory=list)
    current: Attempt | None = None

    @property
    def request_id(self) -> str | None:
        return None if self.current is None else self.current.request_id

    @property
    def cost(self) -> int | None:
        return None if self.current is None else self.current.cost

    def go(self, state: str) -> None:
        self.state = state
        if self.current is not None:
            self.current.state = state

    def again(self, state: str | None = None) -> None:
        """Plan it for a new attempt; the old one ended in a state of its own, or as it was."""
        if state is not None and self.current is not None:
            self.current.state = state
        self.state, self.current = "planned", None


@attrs.define
class Twin:
    """What a ledger knows."""

    simulated: bool
    rows: dict[str, Row] = attrs.field(factory=dict)
    invalid: set[int] = attrs.field(factory=set)

    def row(self, key: str) -> Row:
        return self.rows.get(key, Row(0, state="unknown"))

    # --- the plan --------------------------------------------------------------------------

    def conflicts(self, manifest: Sequence[Line]) -> set[int]:
        """Return the lines whose key is taken, above or by another request before."""
        seen: set[str] = set()
        found = set()
        for number, (key, request) in enumerate(manifest, 1):
            known = self.rows.get(key)
            if key in seen or (known is not None and known.request != request):
                found.add(number)
            seen.add(key)
        return found

    def plan(self, manifest: Sequence[Line], *, skip: bool) -> bool:
        conflicts = self.conflicts(manifest)
        if conflicts and not skip:
            return False
        self.invalid = conflicts
        for row in self.rows.values():
            row.line = None
        for number, (key, request) in enumerate(manifest, 1):
            if number not in conflicts:
                self.rows.setdefault(key, Row(request)).line = number
        return True

    # --- the journal -----------------------------------------------------------------------

    def submitting(self, key: str) -> bool:
        row = self.row(key)
        if row.state != "planned" or row.line is None:
            return False
        if row.current is None:
            row.current = Attempt()
            row.attempts.append(row.current)
        row.go("submitting")
        return True

    def not_sent(self, key: str) -> bool:
        row = self.row(key)
        if row.state not in {"submitting", "planned"}:
            return False
        row.go("planned")
        return True

    def accepted(self, key: str, request_id: str) -> bool:
        row = self.row(key)
        if row.request_id == request_id:
            return True
        if row.state != "submitting" or request_id in self.ids():
            return False
        assert row.current is not None
        row.current.request_id = request_id
        row.go("submitted")
        return True

    def in_doubt(self, key: str) -> bool:
        row = self.row(key)
        if row.state not in {"submitting", "in_doubt"}:
            return False
        row.go("in_doubt")
        return True

    def refused(self, key: str) -> bool:
        row = self.row(key)
        told_again = row.state == "failed" and row.request_id is None
        if row.state != "submitting" and not told_again:
            return False
        row.go("failed")
        return True

    def finished(self, key: str, end: str, request_id: str, cost: float | None) -> bool:
        """Take an end.

        A job that was attached by its id alone ends the row that has the id; a row that is still
        submitting had an id that could not be written.
        """
        row = self.rows.get(key) or self.owner(request_id)
        same = row.state == end or (row.state, end) == ("downloaded", "succeeded")
        if row.state == "submitting" and row.current is not None:
            if request_id in self.ids():
                return False
            row.current.request_id = request_id
        elif row.request_id != request_id or not (same or row.state in _OPEN):
            return False
        assert row.current is not None
        if row.current.cost is None and end in _WITH_COST:
            row.current.cost = None if cost is None else round(cost * 1_000_000)
        if not same:
            row.go(end)
        return True

    # --- videos ----------------------------------------------------------------------------

    def downloaded(self, key: str, size: int) -> bool:
        row = self.row(key)
        if row.state not in {"succeeded", "downloaded"}:
            return False
        row.state, row.final, row.size = "downloaded", False, size
        return True

    def download_failed(self, key: str, *, final: bool) -> bool:
        row = self.row(key)
        if row.state != "succeeded":
            return False
        row.final = final
        return True

    def lose_files(self, keys: Collection[str]) -> None:
        for key in keys:
            row = self.rows[key]
            row.state, row.final, row.size = "succeeded", False, None

    def forget_videos(self) -> bool:
        if not self.simulated:
            return False
        for row in self.rows.values():
            if row.state == "succeeded" and row.line is not None:
                row.final = False
                row.again("not_billed")
        return True

    # --- what a person decides -------------------------------------------------------------

    def adopt(self, key: str, request_id: str) -> bool:
        row = self.row(key)
        if row.state == "submitted" and row.request_id == request_id:
            return True
        if row.state != "in_doubt" or request_id in self.ids():
            return False
        assert row.current is not None
        row.current.request_id = request_id
        row.go("submitted")
        return True

    def not_billed(self, key: str) -> bool:
        row = self.row(key)
        if row.state != "in_doubt":
            return False
        row.again("not_billed")
        return True

    def retry(self, states: Collection[str], through: int | None, only: list[str] | None) -> bool:
        if not set(states) <= {"failed", "cancelled", "lost"}:
            return False
        for key in self.selected(through, only):
            if self.rows[key].state in states:
                self.rows[key].again()
        return True

    def restart(self) -> None:
        """Set right what a dead runner left."""
        for row in self.rows.values():
            if self.simulated and row.state in _OPEN | {"submitting"}:
                row.again("not_billed")
            elif row.state == "submitting":
                row.go("in_doubt")

    # --- what may be asked -----------------------------------------------------------------

    def attempts(self) -> Iterator[Attempt]:
        for row in self.rows.values():
            yield from row.attempts

    def ids(self) -> set[str]:
        return {attempt.request_id for attempt in self.attempts() if attempt.request_id}

    def owner(self, request_id: str) -> Row:
        """Return the row that has, or had, a job."""
        for row in self.rows.values():
            if any(attempt.request_id == request_id for attempt in row.attempts):
                return row
        return self.row("")

    def current_ids(self) -> set[str]:
        return {row.request_id for row in self.rows.values() if row.request_id}

    def selected(self, through: int | None, only: list[str] | None) -> list[str]:
        """Return the keys of the listed rows that are asked for."""
        return [
            key
            for key, row in self.rows.items()
            if row.line is not None
            and (only is None or key in only)
            and (through is None or row.line <= through)
        ]

    def planned(self, through: int | None = None, only: list[str] | None = None) -> list[Line]:
        """Return key and line of what a run may submit, by line."""
        keys = [key for key in self.selected(through, only) if self.rows[key].state == "planned"]
        return sorted(((key, self.rows[key].line or 0) for key in keys), key=lambda found: found[1])

    def in_state(self, *states: str) -> set[str]:
        return {key for key, row in self.rows.items() if row.state in states}

    def ready(self, *, final: bool) -> set[str]:
        return {key for key in self.in_state("succeeded") if final or not self.rows[key].final}

    def counts(self) -> Counter[str]:
        """Count the rows by state; what is only planned counts while it is listed."""
        rows = self.rows.values()
        return Counter(row.state for row in rows if row.state != "planned" or row.line is not None)
