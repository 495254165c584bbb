"""How long does a batch take beside the best that its service allows?

200 rows of a minute each (lognormal, sigma 0.3) on a service that works on 8 at once, 12 in flight,
ledger and all, in virtual time. The ideal is the list schedule: the same durations in the same
order, each begun the moment one of the 8 is free, nothing between. What the batch adds is the time
from a job's end until its successor is there, as far as the 4 that wait do not cover it, and the
last poll. The same seeds for each way of polling.

    python -m benchmarks.makespan [--seeds 5] [--in-flight 12]
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import math
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from benchmarks.report import Quartiles, as_dicts, conditions, quartiles, save
from seedance_async import (
    BackoffPolling,
    FixedPolling,
    Polling,
    ProFastTextToVideo,
    RowState,
    Session,
    run_batch,
)
from seedance_async.simulator import Lognormal, Simulator, run
from seedance_async.testing import SimulatedTransport

_CAPACITY: Final = 8
_SIGMA: Final = 0.3
_MEAN: Final = 60.0
_DURATIONS: Final = Lognormal(_MEAN * math.exp(-(_SIGMA**2) / 2), _SIGMA)
_LATENCY: Final = 0.05
"""Seconds that a request takes."""
_POLLING: Final[dict[str, Callable[[], Polling | None]]] = {
    "FixedPolling(2)": lambda: FixedPolling(2),
    "BackoffPolling": BackoffPolling,
    "the session's default": lambda: None,
}


def list_schedule(durations: Iterable[float], capacity: int) -> float:
    """Return when the last job ends if each begins as soon as one of `capacity` places is free."""
    ends = [0.0] * capacity
    for seconds in durations:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


async def _measure(
    seed: int, make: Callable[[], Polling | None], options: argparse.Namespace
) -> dict[str, Any]:
    """Run one batch; what it took and the ideal, in virtual seconds, and its requests a row."""
    simulator = Simulator(seed=seed, capacity=_CAPACITY, durations=_DURATIONS)
    transport = SimulatedTransport(simulator, latency=_LATENCY)
    loop = asyncio.get_running_loop()
    rows = (
        ProFastTextToVideo(text=f"A red fox, take {number}", seed=seed)
        for number in range(options.rows)
    )
    with tempfile.TemporaryDirectory() as out:
        async with Session(
            transport=transport, max_in_flight=options.in_flight, polling=make(), clock=loop.time
        ) as session:
            began = loop.time()
            report = await run_batch(rows, session=session, out=out, download=False)
            took = loop.time() - began
            polls = session.statistics().polls
    if report.counts[RowState.SUCCEEDED] != options.rows:
        raise RuntimeError(f"not all of {options.rows} rows succeeded: {report}")
    jobs = [simulator._jobs[entry.request_id] for entry in simulator.books.accepted]  # noqa: SLF001
    ideal = list_schedule([job.work_seconds for job in jobs], _CAPACITY)
    return {"took": took, "ideal": ideal, "ratio": took / ideal, "polls": polls / options.rows}


def _print_table(summaries: dict[str, dict[str, Quartiles]]) -> None:
    print(f"{'':24}{'seconds':>9}{'ideal':>9}{'ratio':>9}{'worst':>9}{'polls a row':>13}")
    for name, found in summaries.items():
        print(
            f"{name:24}{found['took'].median:9.0f}{found['ideal'].median:9.0f}"
            f"{found['ratio'].median:9.4f}{found['worst'].high:9.4f}{found['polls'].median:13.1f}"
        )


def main() -> None:
    """Run each way of polling on each seed, print the table, keep the numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in _POLLING}
    for seed in range(1, options.seeds + 1):
        for name, make in _POLLING.items():
            runs[name].append(run(partial(_measure, seed, make, options)))
    summaries = {
        name: {
            **{key: quartiles([one[key] for one in found]) for key in found[0]},
            "worst": quartiles([max(one["ratio"] for one in found)]),
        }
        for name, found in runs.items()
    }
    _print_table(summaries)
    about = {"options": vars(options), "conditions": conditions()}
    report = {**about, "summary": as_dicts(summaries), "runs": runs}
    print(f"All numbers: {save('makespan', report)}")


if __name__ == "__main__":
    main()
