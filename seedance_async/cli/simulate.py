"""`simulate`: the double of the service in a process of its own."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Parameter

from seedance_async.cli.exits import CommandError, Exit
from seedance_async.cli.interrupts import Interrupts
from seedance_async.cli.reporting import QUIET, Reporting, check_positive
from seedance_async.cli.terminal import print_json, tell
from seedance_async.cli.words import usd

if TYPE_CHECKING:
    from seedance_async.simulator import Simulator
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
            metavar="NAME=RATE",
            negative="",
            help="A fault and its probability, as in drop-after-accept=0.05; repeatable.",
        ),
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
    simulator = _make(behaviour)
    try:
        asyncio.run(_serve(simulator, behaviour, reporting))
    except OSError as error:
        why = error.strerror or str(error)
        raise CommandError(
            f"port {behaviour.port} cannot be used: {why}. Choose another with --port"
        ) from error
    _print_books(simulator, reporting)
    return Exit.OK


def _make(behaviour: Behaviour) -> "Simulator":
    from seedance_async.simulator import FaultPlan, Simulator

    _check(behaviour)
    try:
        plan = FaultPlan.parse(behaviour.fault or ())
        return Simulator(
            seed=behaviour.seed,
            capacity=behaviour.capacity,
            speed=behaviour.speed,
            faults=plan,
            token=behaviour.token or _TOKEN,
            max_queue=behaviour.max_queue,
        )
    except ValueError as error:
        raise CommandError(f"{error}. `simulate --faults` says what each does") from error


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
        async with serve(simulator, port=behaviour.port) as server:
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
    twice = len(books.paid_twice())
    print(
        f"\nbooks: {numbers['submissions']} submissions, {numbers['accepted']} accepted, "
        f"{numbers['cancelled']} cancelled, {usd(books.billed / 1_000_000)} billed (simulated); "
        f"{numbers['polls']} polls, {numbers['videos_fetched']} videos fetched, "
        f"{numbers['faults']} faults; paid twice: {twice or 'nothing'}",
        flush=True,
    )
    for body in books.paid_twice():
        print(f"paid twice: {body}")
    for target in books.token_leaks:
        print(f"came with a token that does not belong there: {target}")
