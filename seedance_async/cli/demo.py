"""`demo`: `batch --simulate` on a packaged manifest of forty generations of all three models."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from seedance_async.cli.batch import carry_out, check_places, new_simulator
from seedance_async.cli.batchflags import ALL_ROWS, ALL_VIDEOS, Pace
from seedance_async.cli.patience import USUAL
from seedance_async.cli.prices import UNBOUNDED
from seedance_async.cli.reporting import QUIET, Reporting, check_positive
from seedance_async.shell import unlike_a_flag

__all__ = ["demo"]

_MANIFEST = Path(__file__).with_name("demo.jsonl")
_POOL = 8
_CAPACITY = 6  # fewer than the pool, so that a queue is seen
_SPEED = 12.0  # some 20 s


def demo(
    *,
    out: Annotated[
        Path,
        Parameter(
            name=["--out", "-o"],
            metavar="DIR",
            help="Holds ledger, videos and results.",
            show_default=True,
        ),
    ] = Path("demo"),
    speed: Annotated[
        float, Parameter(show_default=True, help="How many times faster than real jobs.")
    ] = _SPEED,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Run a batch of forty videos on a simulator in this process: no token, no money.

    The same as `batch --simulate` on a manifest that comes along. Interrupt it with Ctrl-C and
    run it again: it goes on where it was. DIR/videos has the files (small test pictures),
    DIR/report.html shows them, DIR/results.jsonl has what became of each row, DIR/ledger.sqlite
    all that happened.
    """
    reporting.start()
    check_positive("--speed", speed)
    check_places(str(_MANIFEST), out)
    from seedance_async.cli.batchrun import Order
    from seedance_async.cli.commandline import CommandLine

    order = Order(
        manifest=str(_MANIFEST),
        folder=out,
        base_url=None,
        simulator=new_simulator(speed, capacity=_CAPACITY),
        choice=ALL_ROWS,
        retry=(),
        pace=Pace(max_in_flight=_POOL),
        patience=USUAL,
        bounds=UNBOUNDED,
        prices=UNBOUNDED.check(),
        downloading=ALL_VIDEOS,
        command=CommandLine.called(_in_full(out, speed)),
    )
    return carry_out(order, yes=True, as_json=reporting.json)


def _in_full(out: Path, speed: float) -> tuple[str, ...]:
    flags = {"--speed": f"{speed:g}", "--max-in-flight": str(_POOL), "--out": unlike_a_flag(out)}
    return (
        "batch",
        str(_MANIFEST),
        "--simulate",
        *(word for flag in flags.items() for word in flag),
    )
