"""What goes into a ledger and what comes out: frozen values."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.jobs import ErrorInfo
from seedance_async.models import Shape

__all__ = [
    "Conflict",
    "ConflictKind",
    "Derive",
    "Doubt",
    "FullRow",
    "KnownJob",
    "Money",
    "OpenJob",
    "PlanSummary",
    "PlannedRow",
    "ReadyVideo",
    "RowEntry",
    "RowProblem",
    "Staged",
    "StagedRow",
    "Stations",
    "Unsettled",
]

Derive: TypeAlias = Callable[[str, int], str]
"""Makes the key of a row without one from its digest and its occurrence among equals, from 1."""


@attrs.define  # there is one for each row of a manifest, and frozen ones take twice as long to make
class StagedRow:
    """One valid row of a manifest on its way into the plan.

    Attributes:
        line: Where it stands in the manifest, from 1; each row has its own.
        key: As given; None: to be derived.
        digest: What equal requests share.
        model_id: The full id.
        input_json: The input as one JSON object, defaults included.
    """

    line: int
    key: str | None
    digest: str
    model_id: str
    input_json: str


@attrs.frozen
class Staged:
    """What staging found.

    Attributes:
        rows: Valid rows.
        conflicts: How many of them cannot be planned because of their keys.
        problems: Rules that the other rows break; one row may break several.
    """

    rows: int
    conflicts: int
    problems: int = 0


@attrs.frozen
class RowProblem:
    """One rule that keeps a line of the manifest out of the plan.

    Attributes:
        line: Where the row begins, from 1.
        field: The field; None where it is the row as a whole.
        rule: The rule and the way out, as a clause that follows the field's name or "line N".
        value: What was given, shortened for a person; None: nothing was.
        key: The row's key, if it is known.
    """

    line: int
    field: str | None
    rule: str
    value: str | None = None
    key: str | None = None


class ConflictKind(StrEnum):
    """What is wrong with a staged row's key."""

    DUPLICATE = "duplicate"
    CHANGED = "changed"


@attrs.frozen
class Conflict:
    """A staged row that cannot be planned.

    Attributes:
        line: Its line.
        key: Its key, given or derived.
        kind: What is wrong.
        first_line: Where the same key stands first, of a duplicate.
    """

    line: int
    key: str
    kind: ConflictKind
    first_line: int | None = None

    @property
    def rule(self) -> str:
        """The rule that it breaks and the way out, as a clause that follows `key`."""
        if self.kind is ConflictKind.DUPLICATE:
            return f"{self.key!r} is taken by line {self.first_line}: give each row its own"
        return (
            f"{self.key!r} stands for another request in this ledger: give the changed row a new "
            f"key, or use another --out"
        )


@attrs.frozen
class PlanSummary:
    """What a plan changed.

    Attributes:
        added: Rows that are new.
        kept: Rows that were known.
        gone: Known rows that the manifest no longer has.
        skipped: Lines left out because of problems and conflicts.
    """

    added: int
    kept: int
    gone: int
    skipped: int = 0


@attrs.frozen
class PlannedRow:
    """A row that waits to be submitted."""

    line: int
    key: str
    model_id: str
    input_json: str


@attrs.frozen
class OpenJob:
    """A job that was accepted and whose end is not known.

    Attributes:
        key: Its row's.
        request_id: The job's id.
        model_id: The full id.
        accepted_at: Wall-clock seconds; None if not known.
        input_json: The input, for its shape.
        estimate: Micro-dollars set aside for it; None where no price was known.
        timed_out: Whether a deadline has passed before.
    """

    key: str
    request_id: str
    model_id: str
    accepted_at: float | None
    input_json: str
    estimate: int | None
    timed_out: bool = attrs.field(converter=bool)


@attrs.frozen
class Doubt:
    """A row of which nobody knows whether it was accepted.

    Attributes:
        key: The row's.
        line: In the manifest; None if it is no longer there.
        model_id: The full id.
        input_json: The input.
        submitted_at: When its POST left, in wall-clock seconds.
        seen: What was seen instead of an answer.
        estimate: Micro-dollars that stay set aside; None where no price was known.
    """

    key: str
    line: int | None
    model_id: str
    input_json: str
    submitted_at: float
    seen: str
    estimate: int | None


@attrs.frozen
class ReadyVideo:
    """A video that is paid for and not on disk.

    Attributes:
        key: Its row's.
        request_id: The job's id.
        video_url: Where it is, as the service told last.
        more: Where further videos of the same job are.
    """

    key: str
    request_id: str
    video_url: str
    more: tuple[str, ...] = ()


@attrs.frozen
class RowEntry:
    """All that a result says of a row; times in wall-clock seconds, cost in micro-dollars.

    Attributes:
        attempts: How many submissions were made.
        error: Of the current attempt, or why the video could not be downloaded.
    """

    key: str
    line: int | None
    model_id: str
    state: RowState = attrs.field(converter=RowState)
    request_id: str | None
    video_url: str | None
    file: str | None
    bytes: int | None
    sha256: str | None
    cost: int | None
    attempts: int
    error: ErrorInfo | None
    submitted_at: float | None
    finished_at: float | None


@attrs.frozen
class Stations:
    """What is known of a job's way besides its acceptance and its end; None: nobody knows.

    Times are wall-clock seconds, the service's by its own clock.

    Attributes:
        in_progress_at: When a poll first saw it in progress, up to a poll late; known of a job
            that was seen so by the run that submitted it.
        created_at: When the service says that it was made.
        over_at: When the service says that it was over.
        polls: How many polls it took; known of a job that one run followed from its POST on.
        download_began_at: When the file on the disk was first asked for.
        downloaded_at: When the file was there.
    """

    in_progress_at: float | None = None
    created_at: float | None = None
    over_at: float | None = None
    polls: int | None = None
    download_began_at: float | None = None
    downloaded_at: float | None = None


@attrs.frozen
class FullRow:
    """A row with all that was asked for, for people to look at.

    Attributes:
        number: The ledger's own number of the row.
        input_json: The input.
        estimate: Micro-dollars that the current attempt was reckoned at; None: not known.
        accepted_at: When its job was accepted, in wall-clock seconds.
        stations: Of the current attempt.
        entry: What a result says of it.
    """

    number: int
    input_json: str
    estimate: int | None
    accepted_at: float | None
    stations: Stations
    entry: RowEntry


@attrs.frozen
class KnownJob:
    """An attempt that was accepted; times in wall-clock seconds, money in micro-dollars.

    Attributes:
        row: The number of its row.
        model_id: The full id.
        resolution: What was asked for, such as 480p; None: the input does not say.
        state: Of the attempt, which may not be the row's last.
        finished_at: When its end became known; None: it is not.
        stations: What lies between.
    """

    row: int
    model_id: str
    resolution: str | None
    state: RowState = attrs.field(converter=RowState)
    estimate: int | None
    cost: int | None
    submitted_at: float
    accepted_at: float
    finished_at: float | None
    stations: Stations


@attrs.frozen
class Unsettled:
    """Attempts of one shape and one estimate whose cost is not known.

    Attributes:
        shape: What a price depends on.
        estimate: Micro-dollars that each was reckoned at; None: no price was known.
        succeeded: Whether they brought a video.
        count: How many they are.
    """

    shape: Shape
    estimate: int | None
    succeeded: bool = attrs.field(converter=bool)
    count: int


@attrs.frozen
class Money:
    """Micro-dollars of all runs of a ledger.

    Attributes:
        settled: Costs that the service told, and estimates of videos whose cost it did not.
        reserved: Set aside: under way, in doubt, timed out, lost, and what ended without a cost.
        unpriced: Attempts counted at an estimate, or at nothing, because the service told no cost.
        unestimated: Attempts under `reserved` for which no price was known.
    """

    settled: int
    reserved: int
    unpriced: int
    unestimated: int
