"""`batch MANIFEST`: every row of a manifest to its video, each paid for once."""

import asyncio
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from seedance_async.cli.batchflags import (
    ALL_ROWS,
    ALL_VIDEOS,
    USUAL_PACE,
    WITH_PAGE,
    Choice,
    Downloading,
    Ending,
    Pace,
)
from seedance_async.cli.connection import find_base_url
from seedance_async.cli.exits import CommandError, Exit, exit_code
from seedance_async.cli.interrupts import Interrupts, Unwelcome
from seedance_async.cli.patience import USUAL, Patience
from seedance_async.cli.prices import UNBOUNDED, Bounds
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.runner import open_runner
from seedance_async.cli.spending import FREE, Spending, ask
from seedance_async.cli.terminal import print_json, tell
from seedance_async.cli.words import seconds
from seedance_async.counting import counted
from seedance_async.errors import SeedanceError

if TYPE_CHECKING:
    from seedance_async.batch.planning import InvalidManifestError
    from seedance_async.batch.report import BatchReport
    from seedance_async.cli.batchplan import Outlook
    from seedance_async.cli.batchrun import BatchRun, Order
    from seedance_async.simulator import Simulator

__all__ = ["batch", "carry_out", "check_places", "new_simulator"]

_SIMULATED = Path("simulated-batch")


def _no_flag(_type: object, value: str) -> None:
    """Refuse a misspelt flag in the manifest's place, where `-` must pass."""
    if value.startswith("-") and value != "-":
        raise ValueError(f"there is no flag {value}")


def batch(
    manifest: Annotated[
        str,
        Parameter(
            name="MANIFEST",
            allow_leading_hyphen=True,
            validator=_no_flag,
            help="JSON Lines (.jsonl) or CSV (.csv); - is JSON Lines on stdin.",
        ),
    ],
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(
            name=["--out", "-o"],
            metavar="DIR",
            help="Holds ledger, videos and results; the same again resumes.",
        ),
    ] = None,
    choice: Annotated[Choice, Parameter(name="*")] = ALL_ROWS,
    pace: Annotated[Pace, Parameter(name="*")] = USUAL_PACE,
    patience: Annotated[Patience, Parameter(name="*")] = USUAL,
    downloading: Annotated[Downloading, Parameter(name="*")] = ALL_VIDEOS,
    ending: Annotated[Ending, Parameter(name="*")] = WITH_PAGE,
    spending: Annotated[Spending, Parameter(name="*")] = FREE,
    bounds: Annotated[Bounds, Parameter(name="*")] = UNBOUNDED,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Generate a video for each row of MANIFEST, and download it to DIR/videos.

    A row holds a model's fields, and may hold `model` and `key`, which names its video; `models
    MODEL --template csv` prints a sheet to start from.

    All rows are checked before anything is sent. Everything is in DIR/ledger.sqlite before it
    happens, so the same command goes on after an interrupt, a crash or a lost network, and pays
    for nothing twice. What became of each row is in DIR/results.jsonl, whose path is printed, and
    DIR/report.html shows it all.

    Ctrl-C once submits no more and waits for what runs, twice leaves it, three times leaves at
    once. Exit code 0: all is there; 75: the same command goes on; 76: only a person can.
    """
    reporting.start()
    spending.check()
    patience.check()
    pace.check()
    downloading.check()
    prices = bounds.check()
    retry, only = choice.check(), choice.keys()
    if out is None:
        if not spending.simulate:
            raise CommandError("--out DIR is needed: the folder of ledger, videos and results")
        out = _SIMULATED
    check_places(manifest, out)
    base_url, simulator = None, None
    if spending.simulate:
        simulator = new_simulator(spending.speed, capacity=pace.max_in_flight)
    else:
        base_url = find_base_url()
    from seedance_async.cli.batchrun import Order
    from seedance_async.cli.commandline import CommandLine

    order = Order(
        manifest=manifest,
        folder=out,
        base_url=base_url,
        simulator=simulator,
        choice=choice,
        retry=retry,
        pace=pace,
        patience=patience,
        bounds=bounds,
        prices=prices,
        downloading=downloading,
        command=CommandLine.called(),
        only=only,
        page=ending.report,
    )
    return carry_out(order, yes=spending.yes, as_json=reporting.json)


def new_simulator(speed: float, capacity: int) -> "Simulator":
    """Return a simulator whose ids are none that the folder's ledger knows from earlier runs."""
    from seedance_async.simulator import Simulator

    return Simulator(speed=speed, seed=secrets.randbits(64), capacity=capacity)


def check_places(manifest: str, out: Path) -> None:
    """Refuse what is surely wrong before anything is made.

    Raises:
        CommandError: The manifest cannot be opened, or DIR cannot be a folder.
    """
    from seedance_async.batch.dialect import ManifestError
    from seedance_async.batch.manifest import open_manifest

    try:
        if out.exists() and not out.is_dir():
            raise CommandError(f"{out} is a file: name a folder with --out", Exit.UNWRITABLE)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise CommandError(f"{out} cannot be a folder: {why}", Exit.UNWRITABLE) from error
    if manifest == "-" or Path(manifest).is_fifo():  # these can be read only once
        return
    try:
        with open_manifest(manifest):
            pass
    except ManifestError as error:
        raise CommandError(str(error), Exit.DATA) from error


def carry_out(order: "Order", *, yes: bool, as_json: bool) -> int:
    """Prepare, ask, run and report; return the exit code.

    Raises:
        CommandError: Something is wrong with the manifest or the flags, or nobody consents.
        SeedanceError: The ledger refuses.
    """
    try:
        return _carry_out(order, yes=yes, as_json=as_json)
    except (CommandError, SeedanceError) as error:
        if as_json:
            code = error.code if isinstance(error, CommandError) else exit_code(error)
            print_json({"folder": str(order.folder), "exit_code": code, "error": str(error)})
        raise


def _carry_out(order: "Order", *, yes: bool, as_json: bool) -> int:
    from seedance_async.batch.dialect import ManifestError
    from seedance_async.batch.planning import InvalidManifestError
    from seedance_async.batch.selection import UnknownKeyError
    from seedance_async.cli.batchrun import BatchRun, quicken_switching

    if order.base_url is None:
        tell("simulated: nothing is sent to the service, nothing is paid", style="cyan")
    quicken_switching()
    with open_runner() as runner, Unwelcome() as unwelcome:
        run = BatchRun(order, as_json=as_json)
        try:
            with ExitStack() as stack:
                try:
                    outlook = runner.run(run.prepare())
                    _show(outlook, order.choice.dry_run)
                    if order.choice.dry_run:
                        return _end_dry_run(outlook, as_json)
                    if outlook.forecast.videos and order.base_url is not None and not yes:
                        _ask(outlook)
                    unwelcome.heed()  # from here on it may cost
                    interrupts = stack.enter_context(Interrupts())
                except KeyboardInterrupt:  # during the run, signals come to it in stages
                    return _end_early(order, unwelcome.code, as_json)
                return _go(runner, run, order, interrupts, as_json)
        except InvalidManifestError as error:
            raise _invalid(error, order) from error
        except ManifestError as error:
            raise CommandError(str(error), Exit.DATA) from error
        except UnknownKeyError as error:
            raise CommandError(f"--only: {error}") from error
        finally:
            runner.run(run.aclose())


def _show(outlook: "Outlook", dry_run: bool) -> None:
    from seedance_async.cli.batchplan import outlook_lines

    for line in outlook_lines(outlook):
        tell(line)
    if dry_run:
        tell("dry run: nothing was sent, nothing was written")


def _end_dry_run(outlook: "Outlook", as_json: bool) -> int:
    from seedance_async.cli.batchplan import outlook_json

    if as_json:
        print_json({"dry_run": True, **outlook_json(outlook)})
    return Exit.OK


def _ask(outlook: "Outlook") -> None:
    from seedance_async.cli.batchplan import offer

    ask(offer(outlook), stdin_is_taken=outlook.manifest == "-")


def _invalid(error: "InvalidManifestError", order: "Order") -> CommandError:
    """Print the first problems, and return the error that sums them up."""
    from seedance_async.batch.dialect import RowError

    for problem in error.problems:
        tell(str(RowError(problem.line, problem.field, problem.rule, problem.value)))
    errors, rows = counted(error.total, "error"), counted(error.lines, "row")
    first = (
        f"; the first {len(error.problems)} are above" if len(error.problems) < error.total else ""
    )
    where = "" if error.errors_file is None else f" All are in {error.errors_file}."
    others = "the other row" if error.rows == 1 else f"the other {counted(error.rows, 'row')}"
    skip = f", or go on with {others}: --skip-invalid" if error.rows else ""
    name = "standard input" if order.manifest == "-" else order.manifest
    return CommandError(
        f"{name} has {errors} in {rows}{first}. Nothing was submitted.{where} Correct them{skip}.",
        Exit.DATA,
    )


def _end_early(order: "Order", code: int, as_json: bool) -> int:
    from seedance_async.cli.batchsummary import unbegun_json

    said = f"nothing was submitted. `{order.command.same()}` goes on"
    tell(said, label="interrupted", style="yellow")
    if as_json:
        print_json(unbegun_json(order.folder, said, code=code, where=order.origin))
    return code


def _go(
    runner: asyncio.Runner, run: "BatchRun", order: "Order", interrupts: Interrupts, as_json: bool
) -> int:
    report = runner.run(run.run(interrupts))
    if report is None:
        return _end_early(order, interrupts.code or Exit.INTERRUPTED, as_json)
    page = runner.run(_leave_page(order))
    return _end(order, report, page, interrupts.code, took=run.seconds, as_json=as_json)


async def _leave_page(order: "Order") -> Path | None:
    from seedance_async.cli.report import leave_page

    return await leave_page(order.folder, order.command) if order.page else None


def _end(
    order: "Order",
    report: "BatchReport",
    page: Path | None,
    interrupted: int | None,
    *,
    took: float,
    as_json: bool,
) -> int:
    """Say how it ended and which command goes on, and return the exit code."""
    from seedance_async.cli.batchexit import batch_exit
    from seedance_async.cli.batchsummary import next_steps, summary_json, summary_lines, troubles

    code = batch_exit(report, interrupted=interrupted)
    simulated = order.base_url is None
    steps = next_steps(report, order.folder, order.command, simulated=simulated)
    for line in summary_lines(report, order.folder, took=seconds(took), page=page):
        tell(line)
    for text in troubles(report):
        tell(text, label="error", style="bold red")
    for text in steps:
        tell(text, label="next", style="bold")
    if as_json:
        told = summary_json(report, order.folder, steps, code=code, took=took, where=order.origin)
        print_json(told | {"report": None if page is None else str(page)})
    elif report.results is not None:
        print(report.results)
    return code
