"""`generate MODEL`: one video, from consent to file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import attrs
from cyclopts import Group, Parameter

from seedance_async.cli.connection import Service, find_base_url, find_service
from seedance_async.cli.fields import Fields, given_fields
from seedance_async.cli.interrupts import Interrupts
from seedance_async.cli.jobfile import SIMULATOR, JobFile
from seedance_async.cli.output import claim_output
from seedance_async.cli.patience import USUAL, Patience
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.runner import run_async
from seedance_async.cli.spending import FREE, Spending, ask
from seedance_async.cli.terminal import print_json, tell
from seedance_async.models import Request, Shape, build_request

__all__ = ["generate"]

_OUTPUT = Group("Output")
_NO_FIELDS = Fields()


@attrs.frozen(kw_only=True)
class Output:
    """Whether what stands in the way of FILE may be replaced."""

    overwrite: Annotated[
        bool, Parameter(negative="", group=_OUTPUT, help="Replace FILE if it exists.")
    ] = False
    again: Annotated[
        bool,
        Parameter(
            negative="",
            group=_OUTPUT,
            help="Pay again although FILE.job.json tells of a generation that is not over.",
        ),
    ] = False


_DEFAULTS = Output()


@attrs.frozen
class Telling:
    """How a generation is shown.

    Attributes:
        as_json: Whether what is no terminal gets JSON Lines.
        durations: How long jobs took before.
    """

    as_json: bool
    durations: Sequence[tuple[Shape, float]] = ()


def generate(
    model: Annotated[str, Parameter(help="A full id or a short name; `models` lists them.")],
    /,
    *,
    out: Annotated[
        Path,
        Parameter(
            name=["--out", "-o"],
            metavar="FILE",
            group=_OUTPUT,
            help="The video. FILE.job.json beside it knows the job before anything is paid.",
        ),
    ],
    output: Annotated[Output, Parameter(name="*")] = _DEFAULTS,
    input: Annotated[  # noqa: A002  the flag's name
        str | None,
        Parameter(
            metavar="JSON",
            help="Further fields as a JSON object; for models that this version does not know.",
        ),
    ] = None,
    check_images: Annotated[
        bool,
        Parameter(help="Look at the images first and refuse what breaks the model's rules."),
    ] = True,
    fields: Annotated[Fields, Parameter(name="*")] = _NO_FIELDS,
    patience: Annotated[Patience, Parameter(name="*")] = USUAL,
    spending: Annotated[Spending, Parameter(name="*")] = FREE,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Generate one video, wait for it and write it to FILE.

    Prints FILE on stdout. Ctrl-C once waits on, twice leaves (a queued job is cancelled), three
    times leaves at once; `seedance-async wait FILE.job.json` comes back.
    """
    reporting.start()
    spending.check()
    patience.check()
    request = build_request(model, given_fields(fields, input))
    # The cheap refusals come first, the free look at the images next, consent last.
    base_url = SIMULATOR if spending.simulate else find_base_url()
    file = claim_output(out, base_url=base_url, overwrite=output.overwrite, again=output.again)
    if spending.simulate:
        tell("simulated: nothing is sent to the service, nothing is paid", style="cyan")
        with Interrupts() as interrupts:
            told = Telling(reporting.json)
            code = run_async(_simulate(request, file, spending.speed, patience, interrupts, told))
    else:
        service = find_service()
        if check_images:
            run_async(_look_at_images(request))
        if not spending.yes:
            ask(_offer(request, service, out))
        with Interrupts() as interrupts:
            options = patience.session_options(base_url=service.base_url)
            told = Telling(reporting.json, patience.durations(service.base_url))
            code = run_async(_run(request, file, service, options, interrupts, told))
    if reporting.json:
        print_json(file.report())
    elif file.record.state == "downloaded":
        print(out)
    return code


async def _look_at_images(request: Request) -> None:
    from seedance_async.images import check_images

    report = await check_images(request)
    for warning in report.warnings:
        tell(warning, label="warning", style="yellow")


def _offer(request: Request, service: Service, out: Path) -> str:
    lines = [f"This is a paid generation on {service.base_url}:", f"  model: {request.model_id}"]
    for name, value in request.input().items():
        text = str(value)
        lines.append(f"  {name}: {text if len(text) <= 100 else f'{text[:97]}...'}")
    return "\n".join([*lines, f"  into: {out}", "The service sets the price."])


async def _simulate(
    request: Request,
    file: JobFile,
    speed: float,
    patience: Patience,
    interrupts: Interrupts,
    told: Telling,
) -> int:
    from seedance_async.cli.connection import embed_simulator, scaled_polling
    from seedance_async.simulator import Simulator

    simulator = Simulator(speed=speed)
    async with embed_simulator(simulator) as service:
        options = patience.session_options(scaled_polling(speed))
        return await _run(request, file, service, options, interrupts, told)


async def _run(
    request: Request,
    file: JobFile,
    service: Service,
    options: dict[str, Any],
    interrupts: Interrupts,
    told: Telling,
) -> int:
    from seedance_async.cli.errand import Errand
    from seedance_async.cli.journal import JobFileJournal
    from seedance_async.cli.progress import Progress

    journal = JobFileJournal(file)
    with Progress(as_json=told.as_json) as progress:
        errand = Errand(journal, progress, file.video, request, told.durations)
        session = service.session(journal=journal, on_event=errand.on_event, **options)
        async with session:
            return await errand.run(session, interrupts)
