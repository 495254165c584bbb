"""`report`: a batch as a page to look at."""

from __future__ import annotations

import logging
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from seedance_async.cli.exits import CommandError, Exit
from seedance_async.cli.folder import check_folder
from seedance_async.cli.interrupts import Unwelcome
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.runner import run_async
from seedance_async.cli.terminal import print_json, tell
from seedance_async.errors import SeedanceError
from seedance_async.shell import unlike_a_flag

if TYPE_CHECKING:
    from seedance_async.cli.commandline import CommandLine

__all__ = ["leave_page", "report"]

logger = logging.getLogger(__name__)


def report(
    folder: Annotated[Path, Parameter(name="DIR", help="The --out of a batch.")],
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(name=["--out", "-o"], metavar="FILE", help="The page, else DIR/report.html."),
    ] = None,
    open_it: Annotated[
        bool, Parameter(name="--open", negative="", help="Show it in the browser.")
    ] = False,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Write DIR/report.html, a page that shows a batch's videos, costs, times and troubles.

    It is one file that works from disk and offline, and asks nobody anything. `batch` writes it
    at its end; this writes it anew, also while the batch runs. It finds the videos in DIR/videos,
    so it moves with its folder. The page's path is printed.
    """
    reporting.start()
    check_folder(folder)
    if out is not None and not out.absolute().parent.is_dir():
        raise CommandError(f"there is no folder {out.absolute().parent} for --out", Exit.UNWRITABLE)
    from seedance_async.cli.commandline import CommandLine

    command = CommandLine(("batch", "MANIFEST", "--out", unlike_a_flag(folder)))
    with Unwelcome():
        page = run_async(_write(folder, command, out))
    if reporting.json:
        print_json({"report": str(page)})
    else:
        print(page)
    if open_it and not webbrowser.open(page.absolute().as_uri()):
        tell("no browser could be started: open the page by hand", label="note", style="yellow")
    return Exit.OK


async def leave_page(folder: Path, command: CommandLine) -> Path | None:
    """Write a batch's page at its end, or say why not; None: there is none of this run."""
    try:
        return await _write(folder, command, None)
    except (SeedanceError, OSError) as error:
        why = str(error)
    except Exception as error:  # what the night brought must be told, whatever ails the page
        logger.exception("the page could not be made; please report it")
        why = f"{type(error).__name__}: {error}"
    tell(f"the page of the batch was not written: {why}", label="warning", style="yellow")
    return None


async def _write(folder: Path, command: CommandLine, to: Path | None) -> Path:
    from seedance_async.batch.ledger import SIMULATOR, Ledger
    from seedance_async.report import write_page

    async with await Ledger.read(folder) as reader:
        if reader.info.origin == SIMULATOR:
            command = command.simulated()
        return await write_page(reader, folder, again=command.asking().again, to=to)
