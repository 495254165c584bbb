"""What do 10,000 generations in one burst do to the event loop, against a hand-written loop?

All jobs are asked for at once, each takes 10 s at the double and is polled every 2 s: the whole
`Session` against the loop on aiohttp that a competent person writes, in alternating order, each
time in a fresh process. A ticker beside them sleeps 10 ms over and over; by how much it wakes too
late is what any other task of the application suffers.

    python -m benchmarks.burst [--jobs 10000] [--delay 0.1] [--rounds 3] [--loop uvloop]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, Final, TypeAlias

from benchmarks.clients import MODEL, TOKEN, make_input
from benchmarks.cores import choose, pin
from benchmarks.doubles import ask_books, running_double
from benchmarks.report import Quartiles, alternating, keep, quartiles

Burst: TypeAlias = Callable[[str, int], Awaitable[list[float]]]
"""Runs so many jobs at once and returns how late each was known, in seconds."""

_FLOOR: Final = "loop"
_TICK: Final = 0.01
_POLL_INTERVAL: Final = 2.0
_JOB_SECONDS: Final = 10.0
_MEASURES: Final = (
    "wall",
    "cpu",
    "lag_p99",
    "lag_max",
    "own_p99",
    "own_max",
    "late_p95",
    "kb_per_job",
)


async def _loop(url: str, jobs: int) -> list[float]:
    """The floor: as in `clients.py`, all at once."""
    import aiohttp

    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(url, headers=headers, raise_for_status=True) as session:

        async def generate(number: int) -> float:
            async with session.post(f"/v1/models/{MODEL}", json=make_input(number)) as answer:
                request_id = (await answer.json())["request_id"]
            while True:
                await asyncio.sleep(_POLL_INTERVAL)
                async with session.get(
                    f"/v1/requests/{request_id}/result?include_cost=true"
                ) as answer:
                    result = await answer.json()
                if result["status"] == "completed":
                    finished = datetime.fromisoformat(result["finished_at"])
                    return time.time() - finished.timestamp()

        return await asyncio.gather(*(generate(number) for number in range(jobs)))


async def _session(url: str, jobs: int) -> list[float]:
    """The whole `Session`, all at once."""
    from seedance_async import FixedPolling, ProFastTextToVideo, Session

    async with Session(
        TOKEN,
        base_url=url,
        max_in_flight=jobs,
        max_submitting=100,  # as many as the loop's connections
        polling=FixedPolling(_POLL_INTERVAL),
    ) as opened:

        async def generate(number: int) -> float:
            request = ProFastTextToVideo(**make_input(number))  # type: ignore[arg-type]
            lateness = (await opened.generate(request)).timings.lateness
            assert lateness is not None
            return lateness

        return await asyncio.gather(*(generate(number) for number in range(jobs)))


BURSTS: Final[dict[str, Burst]] = {"loop": _loop, "session": _session}
_TITLES: Final = {"loop": "hand-written aiohttp loop", "session": "Session.generate"}


# --- one contender, once -----------------------------------------------------------------------


async def _tick(lags: list[float], own_lags: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began, used = loop.time(), time.process_time()
        await asyncio.sleep(_TICK)
        lags.append(loop.time() - began - _TICK)
        own_lags.append(max(0.0, time.process_time() - used - _TICK))


def _percentile(values: Iterable[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


async def _measure(burst: Burst, url: str, jobs: int) -> dict[str, float]:
    await burst(url, 50)  # imports, caches, the interpreter's specialised bytecode
    gc.collect()
    lags: list[float] = []
    own_lags: list[float] = []
    ticker = asyncio.get_running_loop().create_task(_tick(lags, own_lags))
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    lateness = await burst(url, jobs)
    after, ended = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    ticker.cancel()
    if len(lateness) != jobs:
        raise RuntimeError(f"{len(lateness)} jobs of {jobs}")
    kilobytes = (after.ru_maxrss - before.ru_maxrss) / (1024 if sys.platform == "darwin" else 1)
    return {
        "wall": ended - began,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "lag_p99": _percentile(lags, 99),
        "lag_max": max(lags),
        "own_p99": _percentile(own_lags, 99),
        "own_max": max(own_lags),
        "late_p95": _percentile(lateness, 95),
        "kb_per_job": kilobytes / jobs,
    }


def _run_here(options: argparse.Namespace) -> None:
    pin(options.core)
    work = _measure(BURSTS[options.once], options.url, options.jobs)
    if options.loop == "uvloop":
        import uvloop

        found = uvloop.run(work)
    else:
        found = asyncio.run(work)
    print(json.dumps(found))


# --- all of them -------------------------------------------------------------------------------


def _run_once(name: str, url: str, options: argparse.Namespace, core: int | None) -> dict[str, Any]:
    """Run one contender in a fresh process; what it used, and what the double saw of it."""
    command = [sys.executable, "-m", "benchmarks.burst", "--once", name, "--url", url]
    command += ["--jobs", str(options.jobs), "--loop", options.loop]
    if core is not None:
        command += ["--core", str(core)]
    before = ask_books(url)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    after = ask_books(url)
    found: dict[str, Any] = json.loads(done.stdout)
    found["seen"] = {key: after[key] - before[key] for key in before}
    if found["seen"]["posts"] != options.jobs + 50:  # the warm-up counts here
        raise RuntimeError(f"{name} made {found['seen']} for {options.jobs} jobs")
    return found


def _summary(name: str, rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Quartiles]:
    """Return the quartiles of one contender; its ratios are taken within each round."""
    found = {}
    for measure in _MEASURES:
        found[measure] = quartiles([one[name][measure] for one in rounds])
        ratios = [one[name][measure] / max(one[_FLOOR][measure], 1e-9) for one in rounds]
        found[f"{measure}_ratio"] = quartiles(ratios)
    found["polls"] = quartiles([one[name]["seen"]["gets"] for one in rounds])
    return found


def _print_table(summaries: dict[str, dict[str, Quartiles]]) -> None:
    print(f"{'':28}" + "".join(f"{measure:>20}" for measure in _MEASURES) + f"{'polls':>9}")
    for name, found in summaries.items():
        cells = [
            f"{found[measure].median:.3f} ({found[f'{measure}_ratio'].median:.2f})"
            for measure in _MEASURES
        ]
        polls = f"{found['polls'].median:9.0f}"
        print(f"{_TITLES[name]:28}" + "".join(f"{cell:>20}" for cell in cells) + polls)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--once", choices=BURSTS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run the rounds, print the table, keep the numbers."""
    options = _parse()
    if options.once:
        _run_here(options)
        return
    server_core, client_core = choose()
    rounds: list[dict[str, dict[str, Any]]] = []
    double = ("--job-seconds", str(_JOB_SECONDS), "--delay", str(options.delay))
    with running_double(server_core, *double) as url:
        for order in alternating(BURSTS, options.rounds):
            rounds.append({name: _run_once(name, url, options, client_core) for name in order})
            print(f"round {len(rounds)} of {options.rounds}: {rounds[-1]}", file=sys.stderr)
    summaries = {name: _summary(name, rounds) for name in BURSTS}
    _print_table(summaries)
    cores = {"double": server_core, "clients": client_core}
    keep("burst", vars(options), summaries, rounds, cores=cores)


if __name__ == "__main__":
    main()
