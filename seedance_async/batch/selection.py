"""Which planned rows a run may submit; what is paid for is tracked and downloaded in any case."""

from __future__ import annotations

import difflib
from collections.abc import AsyncGenerator, Sequence

import attrs

from seedance_async.batch.entries import PlannedRow
from seedance_async.batch.reading import LedgerReader
from seedance_async.errors import SeedanceError

__all__ = ["ALL", "Selection", "UnknownKeyError", "planned_rows", "select"]

_SHOWN = 5
_PAGE = 200


@attrs.frozen
class Selection:
    """The rows of a manifest that a run is about; without bounds all of them.

    Attributes:
        through: The last line that counts.
        keys: The only rows that count.
    """

    through: int | None = None
    keys: tuple[str, ...] | None = None


ALL = Selection()


class UnknownKeyError(SeedanceError):
    """A key was asked for that the plan does not have; nothing was submitted."""


async def select(
    ledger: LedgerReader, *, limit: int | None = None, only: Sequence[str] | None = None
) -> Selection:
    """Return the selection of a plan's first rows, or of rows by their keys, or of both.

    The first rows are those of the manifest, whatever became of them: the same limit again
    selects the same rows and submits none of them twice.

    Args:
        ledger: With its plan made.
        limit: How many rows, from the first of the manifest; None: all.
        only: Their keys; None: all.

    Raises:
        UnknownKeyError: The plan has no such key.
        ValueError: The limit is less than 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be a whole number from 1 (given: {limit!r})")
    through = None if limit is None else await ledger.line_of(limit)
    if only is None:
        return Selection(through)
    keys = tuple(dict.fromkeys(only))
    known = await ledger.known(keys)
    if unknown := [key for key in keys if key not in known]:
        raise UnknownKeyError(await _unknown(ledger, unknown))
    return Selection(through, keys)


async def planned_rows(
    ledger: LedgerReader, selection: Selection
) -> AsyncGenerator[PlannedRow, None]:
    """Stream the selected rows that are planned, in the manifest's order, each once.

    A row that is planned again meanwhile, because nothing was sent, does not come again.
    """
    if selection.keys is not None:
        for row in await ledger.planned(selection.keys):
            if selection.through is None or row.line <= selection.through:
                yield row
        return
    after = 0
    while page := await ledger.next_planned(_PAGE, after, selection.through):
        for row in page:
            yield row
        after = page[-1].line


async def _unknown(ledger: LedgerReader, keys: Sequence[str]) -> str:
    there = []
    async for entry in ledger.rows():
        there.append(entry.key)
        if len(there) == 10_000:  # enough to find a slip of the pen in
            break
    close = difflib.get_close_matches(keys[0], there, n=2)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "`results` lists them"
    named = ", ".join(map(repr, keys[:_SHOWN]))
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"the plan has no row with the key {named}{more}: {hint}"
