"""What a benchmark found, as one value, and in forms that other programs read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Money
from seedance_async.batch.stops import Stop
from seedance_async.bench.figures import (
    LevelFigures,
    Quantiles,
    RoundFigures,
    level_figures,
    quantiles,
)
from seedance_async.bench.knee import Point, Recommendation, recommend
from seedance_async.bench.rounds import BenchmarkPlan
from seedance_async.budget import known_usd, to_usd
from seedance_async.jobs import ErrorInfo

__all__ = ["BenchmarkReport", "csv_rows", "report_json", "report_of"]


@attrs.frozen(kw_only=True)
class BenchmarkReport:
    """What a benchmark found.

    Attributes:
        model_id: The full id of what was generated.
        service: The base URL, or `simulator`.
        jobs: Generations in each round.
        repeats: Rounds of each level.
        levels: The figures of each level, rising.
        rounds: The figures of each round, in their order.
        recommendation: What to set as `max_in_flight`, and why.
        money: Of all runs of the folder.
        conditions: What else the figures depend on, by name.
        stop: Why no more was submitted; None: nothing stopped it.
        denied: Why the service would not tell of a job.
        troubles: Different messages of jobs that did not succeed, and how many jobs told each.
        folder: Where the files are; None: nowhere.
    """

    model_id: str
    service: str
    jobs: int
    repeats: int
    levels: tuple[LevelFigures, ...]
    rounds: tuple[RoundFigures, ...]
    recommendation: Recommendation
    money: Money
    conditions: Mapping[str, str] = attrs.field(factory=dict)
    stop: Stop | None = None
    denied: ErrorInfo | None = None
    troubles: Mapping[str, int] = attrs.field(factory=dict)
    folder: Path | None = None

    @property
    def counts(self) -> dict[RowState, int]:
        """How many jobs of all rounds are in each state."""
        return {
            state: sum(level.counts.get(state, 0) for level in self.levels) for state in RowState
        }


def report_of(plan: BenchmarkPlan, rounds: Sequence[RoundFigures], **facts: Any) -> BenchmarkReport:
    """Return the report of a plan's rounds; `facts` are its other attributes."""
    levels = tuple(
        level_figures([this for this in rounds if this.round.level == level])
        for level in plan.levels
    )
    return BenchmarkReport(
        model_id=plan.request.model_id,
        jobs=plan.jobs,
        repeats=plan.repeats,
        levels=levels,
        rounds=tuple(rounds),
        recommendation=recommend([_point(level, plan) for level in levels if level.throughput]),
        **facts,
    )


def _point(level: LevelFigures, plan: BenchmarkPlan) -> Point:
    latency = None if level.latency is None else level.latency.p50
    limited = level.limited / (plan.jobs * plan.repeats)
    return Point(level.level, level.throughput or 0.0, level.error or 0.0, latency, limited)


# --- for programs --------------------------------------------------------------------------


def report_json(report: BenchmarkReport) -> dict[str, Any]:
    """Return the report as JSON values; the names are stable, times are seconds, money is USD."""
    stop = report.stop
    return {
        "model": report.model_id,
        "service": report.service,
        "conditions": dict(report.conditions),
        "jobs": report.jobs,
        "repeats": report.repeats,
        "recommendation": {
            "max_in_flight": report.recommendation.max_in_flight,
            "verdict": report.recommendation.verdict.value,
            "why": report.recommendation.why,
        },
        "levels": [_level_json(level) for level in report.levels],
        "rounds": [_round_json(this) for this in report.rounds],
        "money": {
            "settled_usd": known_usd(report.money.settled, report.money.unpriced),
            "reserved_usd": known_usd(report.money.reserved, report.money.unestimated),
            "unpriced": report.money.unpriced,
            "unestimated": report.money.unestimated,
        },
        "stop": None if stop is None else {"reason": stop.reason.value, "message": stop.message},
        "troubles": dict(report.troubles),
    }


def _level_json(level: LevelFigures) -> dict[str, Any]:
    return {
        "level": level.level,
        "videos_per_minute": level.throughput,
        "videos_per_minute_low": level.low,
        "videos_per_minute_high": level.high,
        "relative_error": level.error,
        **_quantiles_json("latency", level.latency),
        **_quantiles_json("queue_wait", level.wait),
        **_quantiles_json("run_time", level.run),
        **_quantiles_json("lateness", level.lateness),
        "requests_per_job": level.requests_per_job,
        "limited": level.limited,
        "cost_usd": to_usd(level.cost),
        "counts": _counts_json(level.counts),
        "partial_rounds": level.partial,
    }


def _round_json(this: RoundFigures) -> dict[str, Any]:
    return {
        **_round_row(this),
        "counts": _counts_json(this.counts),
        "samples": [attrs.asdict(sample) for sample in this.samples],
    }


def _quantiles_json(name: str, found: Quantiles | None) -> dict[str, float | None]:
    return {
        f"{name}_p50": None if found is None else found.p50,
        f"{name}_p95": None if found is None else found.p95,
    }


def _counts_json(counts: Mapping[RowState, int]) -> dict[str, int]:
    return {state.value: number for state, number in counts.items() if number}


# --- a row for each round ------------------------------------------------------------------


def _round_row(this: RoundFigures) -> dict[str, Any]:
    ended = [sample for sample in this.measured if sample.over]
    return {
        "level": this.round.level,
        "repeat": this.round.repeat,
        "partial": this.partial,
        "videos_per_minute": this.throughput,
        "relative_error": this.error,
        "average_in_flight": this.in_flight,
        "measured_jobs": len(ended),
        **_quantiles_json("latency", quantiles(sample.latency for sample in ended)),
        **_quantiles_json("queue_wait", quantiles(sample.wait for sample in ended)),
        **_quantiles_json("run_time", quantiles(sample.run for sample in ended)),
        **_quantiles_json("lateness", quantiles(sample.lateness for sample in ended)),
        "requests_per_job": this.requests_per_job,
        "limited": this.limited,
        "cost_usd": to_usd(this.cost),
    }


_STATES: Final = tuple(state.value for state in RowState)


def csv_rows(report: BenchmarkReport) -> list[dict[str, Any]]:
    """Return a row for each round, by column; None is an empty cell."""
    return [
        {**_round_row(this), **{word: this.counts.get(RowState(word), 0) for word in _STATES}}
        for this in report.rounds
    ]
