"""A batch's rows in doubt, as a person or a program sees them."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Doubt
from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.batch.reading import LedgerReader
from seedance_async.budget import known_sum, known_usd, shown, to_usd
from seedance_async.cli.cleaning import one_line
from seedance_async.cli.folder import next_command
from seedance_async.cli.terminal import tell
from seedance_async.counting import counted
from seedance_async.errors import LedgerError
from seedance_async.models import find_model
from seedance_async.report.remedies import can_be_named
from seedance_async.shell import quoted

__all__ = ["Listing", "as_json", "look", "say_what_next", "show"]


@attrs.frozen(kw_only=True)
class Listing:
    """The doubts of a ledger at one moment.

    Attributes:
        doubts: In the order of their submission.
        simulated: Whether they were submitted to an embedded simulator.
        recovered: How many rows a dead batch had left under way, now set right.
        submitting: How many rows are under way in a batch that holds the folder.
        held: Why the folder could only be read; None: it was locked meanwhile.
    """

    doubts: list[Doubt]
    simulated: bool
    recovered: int
    submitting: int
    held: str | None

    @property
    def reserved(self) -> int:
        """Micro-dollars that stay set aside for the doubts."""
        return sum(doubt.estimate or 0 for doubt in self.doubts)

    @property
    def unestimated(self) -> int:
        """For how many of them no price was known, so that nothing is set aside."""
        return sum(doubt.estimate is None for doubt in self.doubts)


async def look(folder: Path, *, with_lock: bool = False) -> Listing:
    """Read the doubts, under the lock if it is free: then a dead batch's rows are among them.

    Raises:
        LedgerError: It cannot be read, or not be locked where that is wanted.
    """
    held = None
    reader: LedgerReader
    try:
        reader = await Ledger.open(folder, origin=None)
    except LedgerError as error:
        if with_lock:
            raise
        held = str(error)
        reader = await Ledger.read(folder)
    async with reader:
        counts = await reader.counts()
        return Listing(
            doubts=[doubt async for doubt in reader.doubts()],
            simulated=reader.info.origin == SIMULATOR,
            recovered=reader.recovered if isinstance(reader, Ledger) else 0,
            submitting=counts[RowState.SUBMITTING],
            held=held,
        )


def show(listing: Listing) -> None:
    """Print the doubts on stdout, for a person."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for doubt in listing.doubts:
        facts = (doubt.key, _local_time(doubt.submitted_at), _model_name(doubt), _estimate(doubt))
        print("  ".join(facts))
        print(_shortened(f"    prompt: {_printable(_prompt(doubt))}", width))
        print(f"    seen:   {_printable(doubt.seen)}")


def _local_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().isoformat(" ", "seconds")


def _model_name(doubt: Doubt) -> str:
    known = find_model(doubt.model_id)
    return doubt.model_id if known is None else known.short_name


def _estimate(doubt: Doubt) -> str:
    return "no estimate" if doubt.estimate is None else shown(doubt.estimate)


def _prompt(doubt: Doubt) -> str:
    given = json.loads(doubt.input_json)
    return str(given.get("prompt") or given.get("text") or doubt.input_json)


def _printable(text: str) -> str:
    """Return text on one line, with nothing that a terminal obeys."""
    return " ".join(one_line(text).encode(errors="replace").decode().split())


def _shortened(text: str, width: int | None) -> str:
    return text if width is None or len(text) <= width else f"{text[: width - 3]}..."


def as_json(folder: Path, listing: Listing) -> dict[str, Any]:
    """Return the doubts as one JSON object."""
    doubts = [
        {
            "key": doubt.key,
            "line": doubt.line,
            "model": doubt.model_id,
            "submitted_at": _stamp(doubt.submitted_at),
            "prompt": _prompt(doubt),
            "seen": doubt.seen,
            "estimate_usd": None if doubt.estimate is None else to_usd(doubt.estimate),
        }
        for doubt in listing.doubts
    ]
    return {
        "folder": str(folder),
        "doubts": doubts,
        "reserved_usd": known_usd(listing.reserved, listing.unestimated),
        "submitting": listing.submitting,
    }


def _stamp(at: float) -> str:
    """Return a time as results spell it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def say_what_next(folder: Path, listing: Listing) -> None:
    """Say on stderr what a person does about the doubts."""
    if listing.held is not None:
        rows = counted(listing.submitting, "row under way is", "rows under way are")
        under_way = f"; {rows} not yet in doubt"
        tell(
            f"{listing.held}. The list was only read{under_way if listing.submitting else ''}",
            label="note",
            style="yellow",
        )
    if not listing.doubts:
        tell("nothing is in doubt")
        return
    if listing.recovered and not listing.simulated:
        rows = counted(listing.recovered, "row")
        tell(f"{rows} of them had been left under way by a batch that was killed")
    unknown = listing.unestimated
    known = known_sum(listing.reserved, unknown)
    reserved = "an unknown sum" if known is None else shown(known)
    without = f"; {unknown} without an estimate" if unknown and known is not None else ""
    rows = counted(len(listing.doubts), "row")
    tell(f"{rows} in doubt: {reserved} stays reserved for what may be billed{without}")
    command = f"seedance-async resolve {quoted(folder)}"
    if listing.simulated:
        tell(f"The simulator ended with its process: `{command} --all --not-billed` settles them")
    else:
        keys = [doubt.key for doubt in listing.doubts]
        key = shlex.quote(keys[0]) if len(keys) == 1 and can_be_named(keys[0]) else "KEY"
        tell(
            f"Look for each among your generations on RunComfy's site, by time and prompt.\n"
            f"  It is there:     {command} {key} --request-id ID\n"
            f"  It is not there: {command} {key} --not-billed\n"
            f"  Many at once:    {command} --from FILE.csv"
        )
    tell(f"Then {next_command(folder)} goes on")
