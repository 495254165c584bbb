"""What does it cost to import the package, or to ask its command line for help?

Each runs in a process of its own, as often as the others and in alternating order, beside
`import aiohttp`, which every client on aiohttp pays for. Wall time from the start of the process to
its end; `beyond start` leaves out what an interpreter takes that does nothing.

    python -m benchmarks.imports [--rounds 40]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Final

from benchmarks.cores import choose, pin
from benchmarks.report import Quartiles, alternating, keep, quartiles

_NOTHING: Final = "nothing"
_FLOOR: Final = "import aiohttp"
_ENVIRONMENT: Final = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}
"""An installed package is compiled once, not at each import."""
_COMMANDS: Final = {
    _NOTHING: ("-c", "pass"),
    _FLOOR: ("-c", _FLOOR),
    "import seedance_async": ("-c", "import seedance_async"),
    "... and its Session": ("-c", "from seedance_async import Session"),
    "... and what opens it": (
        "-c",
        "from seedance_async import Session; import seedance_async.http",
    ),
    "seedance-async --help": ("-m", "seedance_async", "--help"),
}


def _run_once(name: str) -> float:
    """Return the seconds of one process."""
    command = [sys.executable, *_COMMANDS[name]]
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=_ENVIRONMENT)
    return time.perf_counter() - began


def _summary(name: str, rounds: list[dict[str, float]]) -> dict[str, Quartiles]:
    """Return milliseconds and the ratios to the floor, with and without the interpreter's start."""
    return {
        "ms": quartiles([1e3 * one[name] for one in rounds]),
        "ratio": quartiles([one[name] / one[_FLOOR] for one in rounds]),
        "beyond_start": quartiles(
            [(one[name] - one[_NOTHING]) / (one[_FLOOR] - one[_NOTHING]) for one in rounds]
        ),
    }


def _print_table(summaries: dict[str, dict[str, Quartiles]]) -> None:
    print(f"{'':24}{'ms':>8}{'quartiles':>14}{'ratio':>8}{'quartiles':>14}{'beyond start':>14}")
    for name, found in summaries.items():
        ms, ratio = found["ms"], found["ratio"]
        print(
            f"{name:24}{ms.median:8.0f}{f'{ms.low:.0f}..{ms.high:.0f}':>14}"
            f"{ratio.median:8.2f}{f'{ratio.low:.2f}..{ratio.high:.2f}':>14}"
            f"{found['beyond_start'].median:14.2f}"
        )


def main() -> None:
    """Run the rounds, print the table, keep the numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    _, core = choose()
    pin(core)
    for name in _COMMANDS:
        _run_once(name)  # compiles, and brings the files into the system's cache
    rounds = [
        {name: _run_once(name) for name in order}
        for order in alternating(_COMMANDS, options.rounds)
    ]
    summaries = {name: _summary(name, rounds) for name in _COMMANDS}
    _print_table(summaries)
    keep("imports", vars(options), summaries, rounds, core=core)


if __name__ == "__main__":
    main()
