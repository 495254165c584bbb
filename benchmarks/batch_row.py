"""What does a row of a batch cost beside a job of a hand-written loop?

`run_batch` over 2,000 rows that finish at once, each change of a row durable on the disk of the
temporary folder, results written and nothing downloaded, against the loop on aiohttp that a
competent person writes, and `Session.map`, which is what the batch adds to. As in cpu_per_job:
fresh processes in alternating order, one double, a core each; the CPU is that of all threads.

    python -m benchmarks.batch_row [--concurrency 50 200] [--rounds 7]
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

from benchmarks.cores import choose
from benchmarks.cpu_per_job import run_once
from benchmarks.doubles import running_double
from benchmarks.report import Quartiles, alternating, as_dicts, conditions, quartiles, save

_FLOOR: Final = "loop"
_TITLES: Final = {
    "loop": "hand-written aiohttp loop",
    "map": "Session.map",
    "batch": "run_batch",
}


def _measure(options: argparse.Namespace, concurrency: int) -> list[dict[str, dict[str, Any]]]:
    """Return what each contender used in each round."""
    given = argparse.Namespace(loop="asyncio", jobs=options.rows, concurrency=concurrency)
    server_core, client_core = choose()
    rounds: list[dict[str, dict[str, Any]]] = []
    with running_double(server_core) as url:
        for order in alternating(_TITLES, options.rounds):
            rounds.append({name: run_once(name, url, given, client_core) for name in order})
            found = ", ".join(f"{name} {rounds[-1][name]['cpu_us']:.0f}" for name in _TITLES)
            print(f"{concurrency} at once, round {len(rounds)}: {found}", file=sys.stderr)
    return rounds


def _summary(name: str, rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Quartiles]:
    """Return the quartiles of one contender: CPU of all threads and of the loop's, and ratios."""
    runs = [one[name] for one in rounds]
    rows = [run["cpu_us"] / (run["user"] + run["system"]) for run in runs]
    loops = [run["loop_thread"] * each for run, each in zip(runs, rows, strict=True)]
    return {
        "cpu_us": quartiles([run["cpu_us"] for run in runs]),
        "loop_us": quartiles(loops),
        "threads_us": quartiles(
            [run["cpu_us"] - loop for run, loop in zip(runs, loops, strict=True)]
        ),
        "wall_us": quartiles([run["wall_us"] for run in runs]),
        "ratio": quartiles([one[name]["cpu_us"] / one[_FLOOR]["cpu_us"] for one in rounds]),
    }


def _print_table(concurrency: int, summaries: dict[str, dict[str, Quartiles]]) -> None:
    print(f"{f'{concurrency} at once':28}{'CPU us/row':>11}{'loop':>7}{'threads':>9}", end="")
    print(f"{'ratio':>8}{'quartiles':>14}{'wall':>8}")
    for name, found in summaries.items():
        ratio = found["ratio"]
        print(
            f"{_TITLES[name]:28}{found['cpu_us'].median:11.0f}{found['loop_us'].median:7.0f}"
            f"{found['threads_us'].median:9.0f}{ratio.median:8.2f}"
            f"{f'{ratio.low:.2f}..{ratio.high:.2f}':>14}{found['wall_us'].median:8.0f}"
        )


def main() -> None:
    """Run the rounds, print a table for each concurrency, keep the numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for concurrency in options.concurrency:
        rounds = _measure(options, concurrency)
        summaries = {name: _summary(name, rounds) for name in _TITLES}
        _print_table(concurrency, summaries)
        found[str(concurrency)] = {"summary": as_dicts(summaries), "rounds": rounds}
    report = {"options": vars(options), "conditions": conditions(), "concurrency": found}
    print(f"All numbers: {save('batch_row', report)}")


if __name__ == "__main__":
    main()
