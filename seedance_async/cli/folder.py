"""A batch's folder as an argument: whether it is one, whose it is, and which command goes on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from seedance_async.cli.exits import CommandError
from seedance_async.shell import quoted

if TYPE_CHECKING:
    from seedance_async.cli.connection import Service

__all__ = ["check_folder", "check_origin", "has_ledger", "next_command"]


def has_ledger(folder: Path) -> bool:
    """Tell whether a batch has written its ledger there."""
    with suppress(OSError, ValueError):  # such as a name that is too long
        return (folder / "ledger.sqlite").is_file()
    return False


def check_folder(folder: Path) -> None:
    """Refuse what is no batch's folder.

    Raises:
        CommandError: There is no ledger.
    """
    if not has_ledger(folder):
        raise CommandError(f"there is no ledger in {folder}: give the --out of a batch")


def check_origin(folder: Path, origin: str, service: Service) -> None:
    """Refuse to ask one service for the jobs of another.

    Raises:
        CommandError: The ledger's jobs are elsewhere.
    """
    if origin != service.base_url:
        # The ledger's own address is not used: a file from elsewhere could lure the token there.
        raise CommandError(
            f"the ledger in {folder} tells of jobs at {origin}, but this command goes to "
            f"{service.base_url}: set RUNCOMFY_MODEL_API_BASE to the former and the token that "
            f"belongs to it"
        )


def next_command(folder: Path) -> str:
    """Return how to call the batch or benchmark that goes on; its other arguments are not known."""
    name = "bench" if (folder / "conditions.json").exists() else "batch"
    return f"the same {name} command (`seedance-async {name} ... --out {quoted(folder)}`)"
