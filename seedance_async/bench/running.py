"""A benchmark in one call, for programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.batch.planning import plan_manifest
from seedance_async.batch.report import RowChange
from seedance_async.bench.benchmark import Benchmark
from seedance_async.bench.report import BenchmarkReport
from seedance_async.bench.rounds import LEVELS, plan_benchmark
from seedance_async.budget import Budget
from seedance_async.models import Request
from seedance_async.session import Session
from seedance_async.supervisor import in_thread

__all__ = ["run_benchmark"]


async def run_benchmark(
    levels: Iterable[int] = LEVELS,
    *,
    session: Session,
    jobs: int = 40,
    request: Request | None = None,
    repeats: int = 1,
    out: str | os.PathLike[str] | None = None,
    budget: Budget | None = None,
    max_videos: int | None = None,
    simulated: bool = False,
    on_change: Callable[[RowChange], object] | None = None,
) -> BenchmarkReport:
    """Measure how throughput and waiting change with the generations in flight; resumable.

    Each round sets the session's `max_in_flight` to its level and brings `jobs` generations to
    their ends, so that nothing is left in flight between rounds; no video is downloaded. All
    jobs are rows of one batch in `out`: written to its ledger before anything is sent, bounded by
    one budget, never paid for twice. The same call again goes on where it stopped; a round that
    was interrupted is completed, and has no throughput. `out` gets `benchmark.json`,
    `benchmark.csv` and `benchmark.html`. It asks nobody: unless the session is on a simulator, it
    pays for levels x repeats x jobs generations.

    Cancelled, it submits no more, waits until the POSTs under way are answered and written down,
    detaches what runs, and passes the cancellation on.

    Args:
        levels: Generations in flight to try, in any order.
        session: Open. It stays open, must do nothing else meanwhile, and is left with the
            `max_in_flight` of the last round. Rate and polling are its; for levels above 2,000,
            open it with the highest: see `Session.set_max_in_flight`.
        jobs: Generations in each round; more than the highest level, better three times as many.
        request: What each job asks for, with its own name behind the prompt; None: two seconds at
            480p of the model that needs no image.
        repeats: Rounds of each level; all levels are gone through before any is repeated.
        out: The folder. None: none is kept, which only a simulated session allows.
        budget: What all runs of the folder may spend together, and the prices.
        max_videos: How many attempts of all runs may be paid for.
        simulated: The session is on a simulator inside this process.
        on_change: Called in the loop with each step of a job.

    Raises:
        ValueError: The numbers cannot be, there is no `out`, or the request has no prompt.
        InvalidManifestError: The folder has a benchmark of another request.
        LedgerError: The folder cannot be read or written, another runner holds it, or it belongs
            to another service.
    """
    plan = plan_benchmark(levels, jobs=jobs, repeats=repeats, request=request)
    async with AsyncExitStack() as stack:
        if out is None:
            if not simulated:
                raise ValueError("a benchmark that pays needs a folder for its ledger: give `out`")
            place = TemporaryDirectory(prefix="seedance-benchmark-")
            stack.push_async_callback(in_thread, place.cleanup)
            folder = Path(place.name)
        else:
            folder = Path(out)
        origin = SIMULATOR if simulated else session.base_url
        ledger = await stack.enter_async_context(await Ledger.open(folder, origin=origin))
        await plan_manifest(ledger, plan.rows(), errors=None)
        benchmark = Benchmark(
            ledger,
            session,
            plan,
            folder,
            budget=budget,
            max_videos=max_videos,
            on_change=on_change,
        )
        report = await benchmark.run()
    return report if out is not None else attrs.evolve(report, folder=None)
