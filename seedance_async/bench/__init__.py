"""The concurrency benchmark: how many generations in flight an account carries."""

from seedance_async.bench.benchmark import Benchmark
from seedance_async.bench.figures import LevelFigures, Quantiles, RoundFigures
from seedance_async.bench.knee import Recommendation, Verdict
from seedance_async.bench.report import BenchmarkReport
from seedance_async.bench.running import run_benchmark

__all__ = [
    "Benchmark",
    "BenchmarkReport",
    "LevelFigures",
    "Quantiles",
    "Recommendation",
    "RoundFigures",
    "Verdict",
    "run_benchmark",
]
