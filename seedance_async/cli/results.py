"""`results`: write what became of a batch's rows, and count them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from seedance_async.budget import known_usd
from seedance_async.cli.exits import Exit
from seedance_async.cli.folder import check_folder, next_command
from seedance_async.cli.interrupts import Unwelcome
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.runner import run_async
from seedance_async.cli.terminal import print_json, tell
from seedance_async.cli.words import known_amount
from seedance_async.shell import quoted

if TYPE_CHECKING:
    from seedance_async.batch.entries import Money
    from seedance_async.batch.results import ResultCounts

__all__ = ["results"]


def results(
    folder: Annotated[Path, Parameter(name="DIR", help="The --out of a batch.")],
    /,
    *,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Write DIR/results.jsonl from the ledger, and print how many rows are in each state.

    Asks the service nothing, and works while the batch runs. The exit code is 0 whatever became
    of the rows: that is in the counts.
    """
    reporting.start()
    check_folder(folder)
    with Unwelcome():
        written, money = run_async(_write(folder))
    counts = _counts(written)
    if reporting.json:
        print_json({"results": str(written.path), "counts": counts, "money": _money_json(money)})
    else:
        _show(written.path, counts, money)
    _say_what_next(folder, counts)
    return Exit.OK


async def _write(folder: Path) -> tuple[ResultCounts, Money]:
    from seedance_async.batch.ledger import Ledger
    from seedance_async.batch.results import write_results

    async with await Ledger.read(folder) as reader:
        return await write_results(reader, folder), await reader.money()


def _counts(written: ResultCounts) -> dict[str, int]:
    from seedance_async.batch.results import INVALID

    return {**{state.value: n for state, n in written.rows.items()}, INVALID: written.invalid}


def _money_json(money: Money) -> dict[str, Any]:
    return {
        "settled_usd": known_usd(money.settled, money.unpriced),
        "reserved_usd": known_usd(money.reserved, money.unestimated),
        "unpriced": money.unpriced,
        "unestimated": money.unestimated,
    }


def _show(path: Path, counts: dict[str, int], money: Money) -> None:
    print(f"{'rows':>9}  state")
    for state, number in counts.items():
        if number:
            print(f"{number:>9,}  {state}")
    print(f"{sum(counts.values()):>9,}  in all\n")
    unpriced = _of(money.unpriced, "without a cost from the service, at the estimate if any")
    unestimated = _of(money.unestimated, "without an estimate")
    print(f"settled {known_amount(money.settled, money.unpriced)}{unpriced}")
    print(f"reserved {known_amount(money.reserved, money.unestimated)}{unestimated}")
    print(f"results {path}")


def _of(number: int, which: str) -> str:
    return f" ({number} {which})" if number else ""


def _say_what_next(folder: Path, counts: dict[str, int]) -> None:
    if counts["in_doubt"]:
        command = f"seedance-async resolve {quoted(folder)}"
        tell(f"{counts['in_doubt']} in doubt: `{command}` tells of them")
    left = sum(counts[state] for state in ("planned", "submitted", "timed_out", "succeeded"))
    if left:
        tell(f"{left} not at their end: {next_command(folder)} goes on")
