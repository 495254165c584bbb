"""How much CPU does the client spend on a job of two requests, against a hand-written loop?

2,000 jobs that finish at once (one POST, one GET of the result), `--concurrency` at a time: the
whole `Session` against the loop on aiohttp that a competent person writes. In each round every
contender runs once in a fresh process, in alternating order, against one double; clients and
double have a core each. CPU is user and system time of the client's process, from opening the
client to having it closed, after a warm-up; imports do not count.

    python -m benchmarks.cpu_per_job [--concurrency 200] [--loop uvloop] [--map] [--peers]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any, Final

from benchmarks.cores import choose
from benchmarks.doubles import ask_books, running_double
from benchmarks.report import Quartiles, alternating, keep, quartiles

__all__ = ["run_once"]

_FLOOR: Final = "loop"
_TITLES: Final = {
    "loop": "hand-written aiohttp loop",
    "session": "Session.generate",
    "map": "Session.map",
    "httpx": "hand-written httpx loop",
}


def run_once(name: str, url: str, options: argparse.Namespace, core: int | None) -> dict[str, Any]:
    """Run one contender in a fresh process; what it used, and what the double saw of it."""
    command = [sys.executable, "-m", "benchmarks.clients", name, url, "--loop", options.loop]
    command += ["--jobs", str(options.jobs), "--concurrency", str(options.concurrency)]
    if core is not None:
        command += ["--core", str(core)]
    before = ask_books(url)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    after = ask_books(url)
    jobs = options.jobs + max(options.concurrency, options.jobs // 10)  # the warm-up counts here
    seen = {key: after[key] - before[key] for key in before}
    if (seen["posts"], seen["gets"]) != (jobs, jobs):
        raise RuntimeError(f"{name} made {seen} for {jobs} jobs: not two requests each")
    found: dict[str, Any] = json.loads(done.stdout)
    found["cpu_us"] = 1e6 * (found["user"] + found["system"]) / options.jobs
    found["wall_us"] = 1e6 * found["wall"] / options.jobs
    found["double_us"] = 1e6 * seen["cpu"] / jobs
    found["connections"] = seen["connections"]
    return found


def _summary(name: str, rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Quartiles]:
    """Return the quartiles of one contender; its ratio is taken within each round."""
    mine = [one[name] for one in rounds]
    ratios = [one[name]["cpu_us"] / one[_FLOOR]["cpu_us"] for one in rounds]
    return {
        "ratio": quartiles(ratios),
        **{
            key: quartiles([run[key] for run in mine]) for key in ("cpu_us", "wall_us", "double_us")
        },
    }


def _print_table(summaries: dict[str, dict[str, Quartiles]]) -> None:
    print(f"{'':28}{'CPU us/job':>12}{'quartiles':>16}{'ratio':>8}{'quartiles':>14}", end="")
    print(f"{'wall':>8}{'double':>8}")
    for name, found in summaries.items():
        cpu, ratio = found["cpu_us"], found["ratio"]
        print(
            f"{_TITLES[name]:28}{cpu.median:12.0f}{f'{cpu.low:.0f}..{cpu.high:.0f}':>16}"
            f"{ratio.median:8.2f}{f'{ratio.low:.2f}..{ratio.high:.2f}':>14}"
            f"{found['wall_us'].median:8.0f}{found['double_us'].median:8.0f}"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--map", action="store_true", help="Session.map beside Session.generate")
    parser.add_argument("--peers", action="store_true", help="a hand-written httpx loop too")
    return parser.parse_args()


def main() -> None:
    """Run the rounds, print the table, keep the numbers."""
    options = _parse()
    names = [_FLOOR, "session", *["map"] * options.map, *["httpx"] * options.peers]
    server_core, client_core = choose()
    rounds: list[dict[str, dict[str, Any]]] = []
    with running_double(server_core) as url:
        for order in alternating(names, options.rounds):
            rounds.append({name: run_once(name, url, options, client_core) for name in order})
            found = ", ".join(f"{name} {rounds[-1][name]['cpu_us']:.0f}" for name in names)
            print(f"round {len(rounds)} of {options.rounds}: {found}", file=sys.stderr)
    summaries = {name: _summary(name, rounds) for name in names}
    _print_table(summaries)
    if server_core is None:
        print("No core of its own for the double: the wall time says little.")
    cores = {"double": server_core, "clients": client_core}
    keep("cpu_per_job", vars(options), summaries, rounds, cores=cores)


if __name__ == "__main__":
    main()
