"""`bench`: how many generations in flight an account carries."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Group, Parameter

from seedance_async.cli.benchflags import (
    USUAL_ASKING,
    USUAL_SERVICE,
    USUAL_WORK,
    Asking,
    SimulatedService,
    Work,
    free_folder,
)
from seedance_async.cli.connection import find_base_url
from seedance_async.cli.exits import CommandError, Exit, exit_code
from seedance_async.cli.interrupts import Interrupts, Unwelcome
from seedance_async.cli.prices import UNBOUNDED, Bounds
from seedance_async.cli.reporting import QUIET, Reporting, check_positive
from seedance_async.cli.runner import open_runner
from seedance_async.cli.spending import ask
from seedance_async.cli.terminal import print_json, tell
from seedance_async.errors import SeedanceError
from seedance_async.shell import unlike_a_flag

if TYPE_CHECKING:
    from seedance_async.cli.benchrun import BenchRun, Order

__all__ = ["bench"]

_MONEY = Group("Money")


@attrs.frozen(kw_only=True)
class Consent:
    """Whether the service itself is measured."""

    live: Annotated[
        bool,
        Parameter(
            negative="",
            group=_MONEY,
            help="Measure the service itself; each job is paid for. Needs --budget and --out.",
        ),
    ] = False
    yes: Annotated[
        bool,
        Parameter(
            name=["--yes", "-y"],
            negative="",
            group=_MONEY,
            help="Spend without asking; needed where nobody can answer.",
        ),
    ] = False


_SIMULATED = Consent()


def bench(
    *,
    work: Annotated[Work, Parameter(name="*")] = USUAL_WORK,
    out: Annotated[
        Path | None,
        Parameter(
            name=["--out", "-o"],
            metavar="DIR",
            help="Holds ledger and report; the same again resumes. Else benchmark-1, -2, ...",
        ),
    ] = None,
    service: Annotated[SimulatedService, Parameter(name="*")] = USUAL_SERVICE,
    consent: Annotated[Consent, Parameter(name="*")] = _SIMULATED,
    bounds: Annotated[Bounds, Parameter(name="*")] = UNBOUNDED,
    asking: Annotated[Asking, Parameter(name="*")] = USUAL_ASKING,
    requests_per_second: Annotated[
        float | None, Parameter(metavar="N", help="Bounds all requests: submissions and polls.")
    ] = None,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Measure throughput and waiting at several numbers of generations in flight.

    By default on a simulator inside this process and in virtual time: no token, no money, a few
    seconds. What is measured then is this client against a service with such a queue; --speed
    takes real time and sockets, --live the service itself, paid for within --budget.

    Prints a table and which --max-in-flight it recommends, or why it cannot tell. DIR gets
    benchmark.html with plots, benchmark.json and benchmark.csv. A live run is asked for first.
    Ctrl-C stops as in `batch`; the same command goes on, and pays for nothing twice.
    """
    reporting.start()
    asking.check()
    prices = bounds.check()
    if requests_per_second is not None:
        check_positive("--requests-per-second", requests_per_second)
    if consent.live and (bounds.budget is None or out is None):
        raise CommandError(
            "--live pays for each job: it needs --budget USD, and --out DIR for its ledger"
        )
    plan = work.plan()
    from seedance_async.cli.benchrun import Order
    from seedance_async.cli.commandline import CommandLine

    folder = out or free_folder(Path())
    if folder.exists() and not folder.is_dir():
        raise CommandError(f"{folder} is a file: name a folder with --out", Exit.UNWRITABLE)
    command = CommandLine.called()
    order = Order(
        plan=plan,
        folder=folder,
        base_url=find_base_url() if consent.live else None,
        simulator=None if consent.live else service.simulator(),
        virtual=not consent.live and service.speed is None,
        service=service,
        bounds=bounds,
        prices=prices,
        asking=asking,
        requests_per_second=requests_per_second,
        command=command if out else command.with_flags("--out", unlike_a_flag(folder)),
    )
    try:
        return _carry_out(order, yes=consent.yes, as_json=reporting.json)
    except (CommandError, SeedanceError) as error:
        if reporting.json:
            code = error.code if isinstance(error, CommandError) else exit_code(error)
            print_json({"folder": str(folder), "exit_code": code, "error": str(error)})
        raise


def _carry_out(order: "Order", *, yes: bool, as_json: bool) -> int:
    from seedance_async.batch.planning import InvalidManifestError
    from seedance_async.cli.batchrun import quicken_switching
    from seedance_async.cli.benchrun import BenchRun, invalid
    from seedance_async.simulator import VirtualTimeLoop

    quicken_switching()
    loop_factory = VirtualTimeLoop if order.virtual else None
    with open_runner(loop_factory) as runner, Unwelcome() as unwelcome:
        run = BenchRun(order, as_json=as_json)
        try:
            with ExitStack() as stack:
                try:
                    offer = runner.run(run.prepare())
                    if offer is not None and not yes:
                        ask(offer, free="leave --live out")
                    unwelcome.heed()  # from here on it may cost
                    interrupts = stack.enter_context(Interrupts())
                except KeyboardInterrupt:  # during the run, signals come to it in stages
                    return _end_early(order, unwelcome.code, as_json)
                return _go(runner, run, order, interrupts, as_json=as_json)
        except InvalidManifestError as error:
            raise invalid(order, error) from error
        finally:
            runner.run(run.aclose())


def _go(
    runner: asyncio.Runner,
    run: "BenchRun",
    order: "Order",
    interrupts: Interrupts,
    *,
    as_json: bool,
) -> int:
    from seedance_async.cli.benchtable import bench_exit, bench_json, next_steps, show

    report = runner.run(run.run(interrupts))
    if report is None:
        return _end_early(order, interrupts.code or Exit.INTERRUPTED, as_json)
    code = bench_exit(report, interrupted=interrupts.code)
    steps = next_steps(report, order.folder, order.command)
    if as_json:
        print_json(bench_json(report, order.folder, steps, code=code))
    else:
        show(report, order.folder)
    for text in steps:
        tell(text, label="next", style="bold")
    return code


def _end_early(order: "Order", code: int, as_json: bool) -> int:
    from seedance_async.cli.benchtable import unbegun_json

    said = f"nothing was submitted. `{order.command.again()}` goes on"
    tell(said, label="interrupted", style="yellow")
    if as_json:
        print_json(unbegun_json(order, said, code=code))
    return code
