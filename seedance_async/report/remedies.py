"""Which command settles a row that did not come to its wanted end. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TypeAlias

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.shell import quoted

__all__ = ["Again", "Remedy", "can_be_named", "remedies", "remedies_of_invalid", "settles"]

Again: TypeAlias = Callable[..., str]
"""Returns the batch's command with the further words that it is given, quoted for a shell."""


@attrs.frozen
class Remedy:
    """What a person may do about a row.

    Attributes:
        when: In which case, or to which end, as a clause.
        command: For a shell.
    """

    when: str
    command: str


def settles(state: RowState, *, failed_download: bool, gone: bool) -> bool:
    """Tell whether a row in this state waits for a person or for the next run.

    Args:
        state: Where it stands.
        failed_download: Whether its video could not be downloaded.
        gone: Whether its file is no longer there.
    """
    match state:
        case RowState.PLANNED | RowState.SUBMITTING | RowState.SUBMITTED:
            return False
        case RowState.SUCCEEDED:
            return failed_download
        case RowState.DOWNLOADED:
            return gone
        case _:
            return True


def can_be_named(key: str) -> bool:
    """Tell whether `--only` can name a key in a command that reads as what it is.

    A comma parts keys, `@` begins a file's name, blanks at the ends are cut off, and a sign that
    turns the direction of writing would show another command than the one that is copied.
    """
    return key.isprintable() and "," not in key and key[:1] not in "@-" and key == key.strip()


def remedies(
    key: str, state: RowState, folder: str, again: Again, *, simulated: bool
) -> list[Remedy]:
    """Return what may be done about a row that `settles` tells of.

    Args:
        key: The row's.
        state: Where it stands.
        folder: The batch's, as a command names it.
        again: The batch's command.
        simulated: Whether its jobs died with an embedded simulator.
    """
    only = ("--only", key) if can_be_named(key) else ()
    resolve = f"seedance-async resolve {quoted(folder)}"
    paid = "for another attempt" if simulated else "for another attempt, which is paid"
    match state:
        case RowState.FAILED | RowState.CANCELLED:
            return [Remedy(paid, again("--retry", state.value, *only))]
        case RowState.LOST:
            when = paid if simulated else f"{paid}, after a look on RunComfy's site"
            return [Remedy(when, again("--retry", state.value, *only))]
        case RowState.IN_DOUBT if simulated:
            return [Remedy("it died with its simulator", f"{resolve} --all --not-billed")]
        case RowState.IN_DOUBT:
            if not can_be_named(key):
                return [Remedy("to list the doubts and settle them", resolve)]
            named = f"{resolve} {shlex.quote(key)}"
            return [
                Remedy("if it is among your generations", f"{named} --request-id ID"),
                Remedy("if it is not", f"{named} --not-billed"),
            ]
        case RowState.TIMED_OUT:
            return [Remedy("to come back to the job", again())]
        case RowState.SUCCEEDED | RowState.DOWNLOADED:
            return [Remedy("to download the video again", again("--retry-downloads", *only))]
        case _:
            return []


def remedies_of_invalid(line: int, again: Again) -> list[Remedy]:
    """Return what may be done about a line of the manifest that the plan left out.

    No key chooses it: the plan has none of it, and the one that it names may be another row's.

    Args:
        line: Where it begins.
        again: The batch's command.
    """
    return [
        Remedy(f"to check all rows once line {line} is corrected", again("--dry-run")),
        Remedy("then, to go on with it", again()),
    ]
