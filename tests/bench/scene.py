"""A benchmark on a simulator that outlives its runs, in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seedance_async import BenchmarkReport, FixedPolling, run_benchmark
from seedance_async.bench.figures import LevelFigures
from seedance_async.simulator import Fixed
from tests.batch.night import Night

__all__ = ["Measured"]


class Measured(Night):
    """A night whose batches are rounds of a benchmark; jobs take 60 s unless said otherwise."""

    def __init__(self, folder: Path, **options: Any) -> None:
        options.setdefault("durations", Fixed(60.0))
        super().__init__(folder, **options)

    async def measure(
        self, levels: tuple[int, ...], *, poll: float = 1.0, **wishes: Any
    ) -> BenchmarkReport:
        """Run the benchmark to its end, as a service that lives on sees it."""
        async with self.session(polling=FixedPolling(poll)) as session:
            return await run_benchmark(levels, session=session, out=self.folder, **wishes)


def level_of(report: BenchmarkReport, number: int) -> LevelFigures:
    """Return the figures of one level."""
    return next(level for level in report.levels if level.level == number)
