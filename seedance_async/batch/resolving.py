"""Settling doubts: what a person found out, whether it can be true, and writing it down.

Nothing here decides by itself. All of a person's decisions are checked, the ids by one free GET
each, before the first of them is written.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from seedance_async.batch.dialect import TOO_LONG, LongLine, Source, read_lines, shown
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import RowEntry
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.reading import LedgerReader
from seedance_async.errors import LedgerError, PermissionDeniedError, SeedanceError
from seedance_async.jobs import Lost, Outcome, State
from seedance_async.paths import is_request_id

if TYPE_CHECKING:
    from seedance_async.session import Session

__all__ = [
    "Decision",
    "DecisionsError",
    "Problem",
    "ask_service",
    "look_up",
    "problems_of",
    "read_decisions",
    "refusal_of",
    "settle",
]

_AT_ONCE: Final = 8
"""GETs under way together."""


@attrs.frozen
class Decision:
    """What a person found out about a row in doubt.

    Attributes:
        key: The row's.
        request_id: The job that was found; None: it was not billed, so there is none.
        line: Where it stands in a file; None: it was said on the command line.
    """

    key: str
    request_id: str | None = None
    line: int | None = None


@attrs.frozen
class Problem:
    """Why one decision cannot be carried out.

    Attributes:
        line: Of the file that it stands in, if it does.
        why: What is wrong and what to do, as a clause.
    """

    line: int | None
    why: str

    def __str__(self) -> str:
        return self.why if self.line is None else f"line {self.line}: {self.why}"


class DecisionsError(SeedanceError):
    """A file of decisions has errors; nothing was changed.

    Attributes:
        problems: All of them, by line.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        listed = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"{source} has errors, so nothing was changed:{listed}")


# --- a file of decisions -------------------------------------------------------------------

_YES: Final = frozenset({"yes", "true", "1"})
_NO: Final = frozenset({"", "no", "false", "0"})
_COLUMNS: Final = ("key", "request_id", "not_billed")


def read_decisions(source: Source) -> list[Decision]:
    """Read a CSV file with the columns `key` and `request_id`, or `not_billed`, or both.

    Other columns are notes. Rows of blanks are passed by.

    Raises:
        DecisionsError: Rows that decide nothing, or two things; all of them at once.
        ManifestError: The file cannot be read as a whole.
    """
    columns: dict[str, int] | None = None
    width = 0
    decisions: list[Decision] = []
    problems: list[Problem] = []
    for line, cells in _records(source):
        if columns is None:
            columns, width = _columns(source, line, cells), len(cells)
            continue
        if len(cells) != width:
            rule = f"must have {width} cells like the header, not {len(cells)}"
            problems.append(Problem(line, f"{rule}: put cells with commas in quotation marks"))
            continue
        found = _decision(line, {name: cells[at] for name, at in columns.items()})
        if isinstance(found, Problem):
            problems.append(found)
        else:
            decisions.append(found)
    if problems:
        raise DecisionsError(source.name, problems)
    if not decisions:
        raise source.error("there is no row: write a header, then a line for each doubt")
    return decisions


def _records(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank with the line on which it begins."""
    reader = csv.reader(_texts(source), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = str(error).partition(" - ")[0]
            raise source.error(f"this is no CSV with commas ({reason})", line) from None
        if any(cell.strip() for cell in cells):
            yield line, cells


def _texts(source: Source) -> Iterator[str]:
    for item in read_lines(source):
        if isinstance(item, LongLine):
            raise source.error(f"the line {TOO_LONG}", item.line)
        yield item[1]


def _columns(source: Source, line: int, cells: Sequence[str]) -> dict[str, int]:
    """Return where the columns that count stand."""
    names = [cell.strip().lower() for cell in cells]
    for name in _COLUMNS:
        if names.count(name) > 1:
            raise source.error(f"the header has {name} twice: remove one", line)
    columns: dict[str, int] = {name: names.index(name) for name in _COLUMNS if name in names}
    if "key" not in columns or len(columns) == 1:
        separated = " Its cells must be separated by commas." if ";" in "".join(cells) else ""
        raise source.error(
            f"the header must name key, and request_id or not_billed or both; it is "
            f"{shown(','.join(cells))}.{separated}",
            line,
        )
    return columns


def _decision(line: int, given: Mapping[str, str]) -> Decision | Problem:
    key = given["key"]
    request_id = given.get("request_id", "").strip()
    word = given.get("not_billed", "").strip().lower()
    if not key.strip():
        return Problem(line, "there is no key: name the row in doubt")
    if word not in _YES | _NO:
        return Problem(line, f"not_billed must be yes or empty (given: {shown(word)})")
    if (word in _YES) is bool(request_id):
        both = "both are" if request_id else "neither is"
        return Problem(line, f"give either request_id or not_billed=yes for {key!r}; {both} there")
    return Decision(key, request_id or None, line)


# --- whether a decision can be true ----------------------------------------------------------


async def look_up(
    reader: LedgerReader, decisions: Sequence[Decision]
) -> tuple[dict[str, RowEntry], dict[str, str]]:
    """Return what the ledger knows: the rows by key, and the keys that the ids belong to.

    Of the ids only those of current attempts are found; `Ledger.resolve` looks at all of them.
    """
    rows: dict[str, RowEntry] = {}
    for key in {decision.key for decision in decisions}:
        entry = await reader.row(key)
        if entry is not None:
            rows[key] = entry
    ids = {decision.request_id for decision in decisions} - {None}
    owners: dict[str, str] = {}
    if ids:
        async for entry in reader.rows():
            if entry.request_id in ids and entry.request_id is not None:
                owners[entry.request_id] = entry.key
    return rows, owners


def problems_of(
    decisions: Sequence[Decision], rows: Mapping[str, RowEntry], owners: Mapping[str, str]
) -> list[Problem]:
    """Return what makes decisions impossible, as far as the ledger can tell. Pure.

    An id that the row has already is none: it was settled before.
    """
    problems: list[Problem] = []
    keys: dict[str, Decision] = {}
    ids: dict[str, Decision] = {}
    for decision in decisions:
        why = _row_problem(decision, rows.get(decision.key), keys) or _id_problem(
            decision, owners, ids
        )
        keys.setdefault(decision.key, decision)
        if decision.request_id is not None:
            ids.setdefault(decision.request_id, decision)
        if why is not None:
            problems.append(Problem(decision.line, why))
    return problems


def _row_problem(
    decision: Decision, row: RowEntry | None, before: Mapping[str, Decision]
) -> str | None:
    key = decision.key
    if key in before:
        return f"row {key!r} is named twice{_on_line(before[key])}: keep one"
    if row is None:
        return f"there is no row {key!r} in this ledger: `resolve` without a key lists the doubts"
    told_again = row.state is RowState.SUBMITTED and row.request_id == decision.request_id
    if row.state is RowState.IN_DOUBT or told_again:
        return None
    return f"row {key!r} is {row.state}, not in doubt: there is nothing to settle"


def _id_problem(
    decision: Decision, owners: Mapping[str, str], before: Mapping[str, Decision]
) -> str | None:
    request_id = decision.request_id
    if request_id is None:
        return None
    if not is_request_id(request_id):
        return (
            f"{shown(request_id)} is no request id (1 to 128 letters, digits, '-' or '_'): copy "
            f"it from RunComfy's site"
        )
    if request_id in before:
        return (
            f"the id {request_id} is given twice{_on_line(before[request_id])}: a job belongs to "
            f"one row"
        )
    owner = owners.get(request_id, decision.key)
    if owner != decision.key:
        return (
            f"job {request_id} belongs to row {owner!r}, so it cannot be that of row "
            f"{decision.key!r}: check the id"
        )
    return None


def _on_line(decision: Decision) -> str:
    return "" if decision.line is None else f" (first on line {decision.line})"


def refusal_of(state: State | PermissionDeniedError, row: RowEntry) -> str | None:
    """Return why the service's answer shows that a job is not the row's; None: it may be. Pure.

    A job that failed or was cancelled is the row's as well: the next run writes down its end.
    """
    stays = f"row {row.key!r} stays in doubt"
    match state:
        case PermissionDeniedError():
            return f"{stays}: {state}"
        case Lost(request_id=request_id, error=error):
            return (
                f"{stays}: the service knows no job {request_id} ({error.message}). Check the id; "
                f"if it is right, the service has forgotten the job, and its video may be among "
                f"your generations on RunComfy's site"
            )
    told = state.model_id if isinstance(state, Outcome) else None
    if told is not None and told.strip("/").casefold() != row.model_id.casefold():
        return f"{stays}: the job is one of {told}, the row asks for {row.model_id}. Check the id"
    return None


async def ask_service(
    session: Session, decisions: Sequence[Decision], rows: Mapping[str, RowEntry]
) -> list[Problem]:
    """Return what the service says against the ids of decisions; one free GET each.

    Cancelled, it has changed nothing; may be repeated.

    Raises:
        SeedanceError: The service could not be asked, so nothing is known of an id.
    """
    room = asyncio.Semaphore(_AT_ONCE)

    async def ask(decision: Decision) -> str | SeedanceError | None:
        async with room:
            try:
                state = await session.fetch(decision.request_id or "")
            except PermissionDeniedError as denied:
                return refusal_of(denied, rows[decision.key])
            except SeedanceError as error:
                return error
            return refusal_of(state, rows[decision.key])

    adopting = [decision for decision in decisions if decision.request_id is not None]
    answers = await asyncio.gather(*map(ask, adopting))
    for answer in answers:
        if isinstance(answer, SeedanceError):
            raise answer
    return [
        Problem(decision.line, answer)
        for decision, answer in zip(adopting, answers, strict=True)
        if isinstance(answer, str)
    ]


async def settle(ledger: Ledger, decisions: Sequence[Decision]) -> None:
    """Write decisions down, in their order.

    Cancelled, it ends between two of them.

    Raises:
        LedgerError: One cannot be carried out; those before it are.
    """
    for number, decision in enumerate(decisions):
        request_id = decision.request_id
        try:
            await ledger.resolve(decision.key, request_id=request_id, not_billed=request_id is None)
        except LedgerError as error:
            if number == 0:
                raise
            raise LedgerError(
                f"{error}. The decisions before it are written down: leave them out"
            ) from error
