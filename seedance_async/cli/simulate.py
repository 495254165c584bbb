"""`simulate`: the double of the service in a process of its own."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Parameter

from seedance_async.budget import usd
from seedance_async.cli.exits import CommandError, Exit
from seedance_async.cli.interrupts import Interrupts
from seedance_async.cli.reporting import QUIET, Reporting, check_positive
from seedance_async.cli.runner import run_async
from seedance_async.cli.terminal import print_json, tell
from seedance_async.counting import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from seedance_async.simulator import Delay, FaultPlan, InjectedFault, Simulator
    from seedance_async.simulator.web import Server

__all__ = ["simulate"]

_TOKEN = "simulator-token"  # noqa: S105  everybody may know it: it opens nothing


@attrs.frozen(kw_only=True)
class Behaviour:
    """How the simulator behaves."""

    port: Annotated[int, Parameter(show_default=True, help="0 takes any free port.")] = 8765
    speed: Annotated[
        float, Parameter(show_default=True, help="How many times faster than real jobs.")
    ] = 20.0
    capacity: Annotated[int, Parameter(show_default=True, help="Jobs that run at once.")] = 8
    max_queue: Annotated[
        int | None, Parameter(help="Waiting jobs beyond which a submission is refused with 429.")
    ] = None
    fault: Annotated[
        list[str] | None,
        Parameter(
            metavar="NAME=RATE[,CONDITION=VALUE]",
            negative="",
            help="A fault and its probability, as in drop-after-accept=0.05 or "
            "429=1,since=30,until=120; conditions are nth, times, since, until (seconds), "
            "endpoint, model; repeatable.",
        ),
    ] = None
    latency: Annotated[
        list[str] | None,
        Parameter(
            metavar="[ENDPOINT=]SECONDS",
            negative="",
            help="Seconds before an answer: 0.2, uniform:0.1,0.4 or lognormal:0.2,0.5 (median, "
            "sigma); for all or one of submit, status, result, cancel, catalog, video; "
            "repeatable.",
        ),
    ] = None
    duration: Annotated[
        str | None,
        Parameter(metavar="SECONDS", help="How long jobs take, before --speed: as for --latency."),
    ] = None
    bandwidth: Annotated[float | None, Parameter(help="Bytes a second of each video.")] = None
    id_lifetime: Annotated[
        float | None, Parameter(help="Seconds after a job's end when its id is forgotten.")
    ] = None
    balance: Annotated[
        float | None, Parameter(help="USD that the account can spend; then it is refused.")
    ] = None
    fault_log: Annotated[
        Path | None, Parameter(help="Write each fault that happens to this file, as JSON Lines.")
    ] = None
    replay: Annotated[
        Path | None,
        Parameter(help="Let exactly the faults of such a file happen again; --seed must be equal."),
    ] = None
    seed: Annotated[int, Parameter(show_default=True, help="Of all that it decides.")] = 0
    token: Annotated[
        str | None, Parameter(help=f"The only token that it accepts (else {_TOKEN}).")
    ] = None


def simulate(
    *,
    behaviour: Annotated[Behaviour, Parameter(name="*")] = Behaviour(),
    faults: Annotated[bool, Parameter(negative="", help="List the faults and leave.")] = False,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Serve a double of the service on this machine's loopback until Ctrl-C; it costs nothing.

    Prints what to set so that other commands and programs use it; at the end its books on stdout:
    what was accepted and billed, and whether anything was paid twice.
    """
    reporting.start()
    if faults:
        _list_faults(reporting)
        return Exit.OK
    with _fault_log(behaviour.fault_log) as on_fault:
        simulator = _make(behaviour, on_fault)
        run_async(_serve(simulator, behaviour, reporting))
    _print_books(simulator, reporting)
    return Exit.OK


def _make(behaviour: Behaviour, on_fault: "Callable[[InjectedFault], None]") -> "Simulator":
    from seedance_async.simulator import Simulator
    from seedance_async.simulator.delays import parse_delay

    _check(behaviour)
    plan = _plan(behaviour)
    duration = behaviour.duration
    try:
        return Simulator(
            seed=behaviour.seed,
            capacity=behaviour.capacity,
            speed=behaviour.speed,
            faults=plan,
            latency=_latency(behaviour.latency or ()),
            durations=None if duration is None else parse_delay(duration),
            bandwidth=behaviour.bandwidth,
            id_lifetime=behaviour.id_lifetime,
            balance_usd=behaviour.balance,
            token=behaviour.token or _TOKEN,
            max_queue=behaviour.max_queue,
            on_fault=on_fault,
        )
    except ValueError as error:
        raise CommandError(str(error)) from error


def _plan(behaviour: Behaviour) -> "FaultPlan":
    from seedance_async.simulator import FaultPlan
    from seedance_async.simulator.injected import read_log

    try:
        if behaviour.replay is None:
            return FaultPlan.parse(behaviour.fault or ())
        if behaviour.fault:
            raise CommandError("--replay brings its own faults: leave --fault out")
        return FaultPlan.replaying(read_log(behaviour.replay))
    except OSError as error:
        raise CommandError(f"{behaviour.replay} cannot be read: {error.strerror}") from error
    except ValueError as error:
        way_out = "" if behaviour.replay else ". `simulate --faults` says what each does"
        raise CommandError(f"{error}{way_out}") from error


def _latency(arguments: "Iterable[str]") -> "dict[str, Delay | float]":
    """Read `0.2` for all endpoints and `submit=0.2` for one."""
    from seedance_async.simulator.delays import parse_delay
    from seedance_async.simulator.faults import ENDPOINTS

    everywhere, special = {}, {}
    for argument in arguments:
        endpoint, equals, delay = argument.rpartition("=")
        if equals:
            special[endpoint] = parse_delay(delay)
        else:
            everywhere = dict.fromkeys(ENDPOINTS, parse_delay(delay))
    return {**everywhere, **special}


@contextlib.contextmanager
def _fault_log(path: Path | None) -> "Iterator[Callable[[InjectedFault], None]]":
    """Write each fault as it happens, so that the log outlives whoever is killed."""
    if path is None:
        yield lambda _fault: None
        return
    if path.exists() and path.stat().st_size > 0:
        raise CommandError(f"{path} holds a log already: name another file for --fault-log")
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
    with file:

        def write(fault: "InjectedFault") -> None:
            file.write(f"{fault.to_json()}\n")
            file.flush()

        yield write


def _check(behaviour: Behaviour) -> None:
    check_positive("--speed", behaviour.speed)
    check_positive("--capacity", behaviour.capacity)
    if not 0 <= behaviour.port <= 65535:
        raise CommandError(f"--port must be 0 to 65535 (given: {behaviour.port})")
    if behaviour.max_queue is not None and behaviour.max_queue < 0:
        raise CommandError(f"--max-queue must be 0 or more (given: {behaviour.max_queue})")
    token = behaviour.token
    if token is not None and not (token and all("!" <= sign <= "~" for sign in token)):
        # Not shown: somebody may give a real one.
        raise CommandError("--token must be of visible ASCII characters without spaces, not empty")


async def _serve(simulator: "Simulator", behaviour: Behaviour, reporting: Reporting) -> None:
    from seedance_async.simulator.web import serve

    with Interrupts() as interrupts:
        interrupts.bind(lambda: "left at once")
        async with contextlib.AsyncExitStack() as stack:
            try:
                server = await stack.enter_async_context(serve(simulator, port=behaviour.port))
            except OSError as error:
                why = error.strerror or str(error)
                raise CommandError(
                    f"port {behaviour.port} cannot be used: {why}. Choose another with --port"
                ) from error
            _announce(server, behaviour, reporting)
            await interrupts.stage()


def _announce(server: "Server", behaviour: Behaviour, reporting: Reporting) -> None:
    token = "THE_TOKEN_THAT_YOU_GAVE" if behaviour.token else _TOKEN
    pace = f"{behaviour.speed:g} times faster than real jobs, {behaviour.capacity} at once"
    lines = [
        f"simulator on {server.base_url}, {pace}; in another terminal:",
        f"export RUNCOMFY_MODEL_API_BASE={server.base_url}",
        f"export RUNCOMFY_TOKEN={token}",
        'seedance-async generate pro-fast --prompt "A red fox" -o fox.mp4 --yes',
        f"its books, for anybody: {server.base_url}/simulator/books",
        "Ctrl-C ends it and prints its books.",
    ]
    for line in lines:
        if reporting.json:
            tell(line)
        else:
            print(line, flush=True)


def _list_faults(reporting: Reporting) -> None:
    from seedance_async.simulator import KNOWN_FAULTS

    if reporting.json:
        print_json(dict(KNOWN_FAULTS))
        return
    width = max(len(name) for name in KNOWN_FAULTS)
    for name, meaning in KNOWN_FAULTS.items():
        print(f"{name:<{width}}  {meaning}")


def _print_books(simulator: "Simulator", reporting: Reporting) -> None:
    books = simulator.books
    numbers = {
        "submissions": books.requests("submit"),
        "accepted": len(books.accepted),
        "cancelled": len(books.cancelled),
        "billed_usd": books.billed / 1_000_000,
        "polls": books.requests("status") + books.requests("result"),
        "videos_fetched": books.requests("video"),
        "faults": len(simulator.faults_log),
        "paid_twice": list(books.paid_twice()),
        "token_leaks": list(books.token_leaks),
    }
    if reporting.json:
        print_json(numbers)
        return
    polls = books.requests("status") + books.requests("result")
    print(
        f"\nbooks: {counted(books.requests('submit'), 'submission')}, "
        f"{len(books.accepted)} accepted, "
        f"{len(books.cancelled)} cancelled, {usd(books.billed / 1_000_000)} billed (simulated); "
        f"{counted(polls, 'poll')}, {counted(books.requests('video'), 'video')} fetched, "
        f"{counted(len(simulator.faults_log), 'fault')}; "
        f"paid twice: {len(books.paid_twice()) or 'nothing'}",
        flush=True,
    )
    for body in books.paid_twice():
        print(f"paid twice: {body}")
    for target in books.token_leaks:
        print(f"came with a token that does not belong there: {target}")
