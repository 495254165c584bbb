"""How many requests does it cost to know soon that a job is over, by each polling policy?

Jobs are played in a heap: no network, no event loop. 20 are in flight, each of 400 followed by the
next, or all start at once; a policy that is `warm` was told 500 durations of the kind before. Every
policy runs with several settings, which gives a curve of requests a job against mean lateness; the
table compares policies at the requests of polling every 2 s, where lateness is taken from the
product of both, as curves are near to hyperbolas there. The optimum is found by dynamic programming
for distributions that are known.

    python -m benchmarks.polling [--seeds 5] [--plot FILE.png]
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import attrs

from benchmarks.report import RESULTS, conditions, save
from seedance_async.models import Shape
from seedance_async.polling import BackoffPolling, FixedPolling, LearnedPolling, Polling

SHAPE: Final = Shape("a/model", "720p", 5)
JOBS, WARM, IN_FLIGHT = 400, 500, 20
MEDIAN: Final = 60.0
_NORMAL: Final = NormalDist()


class Outcome(NamedTuple):
    """What a policy did: polls a job, and seconds of lateness."""

    polls: float
    mean: float
    p50: float
    p95: float


Draw = Callable[[random.Random, float], float]
"""Draws a duration; the number tells which part of the run is over."""


def lognormal(sigma: float, median: float, chance: random.Random, _part: float) -> float:
    """Draw one with a long right tail."""
    return chance.lognormvariate(math.log(median), sigma)


def shifted(chance: random.Random, part: float) -> float:
    """Become two and a half times slower in mid-run."""
    return lognormal(0.3, MEDIAN if part < 0.5 else 2.5 * MEDIAN, chance, part)


def quickened(chance: random.Random, part: float) -> float:
    """Become three times quicker in mid-run."""
    return lognormal(0.3, 2 * MEDIAN if part < 0.5 else MEDIAN * 2 / 3, chance, part)


def bimodal(chance: random.Random, part: float) -> float:
    """Draw half from about 30 s and half from about 120 s."""
    return lognormal(0.15, chance.choice((30.0, 120.0)), chance, part)


def heavy(chance: random.Random, _part: float) -> float:
    """Draw from a Pareto distribution whose variance is infinite."""
    return 20.0 * chance.paretovariate(1.5)


@attrs.frozen
class Case:
    """Durations and a way to start jobs.

    Attributes:
        sigma: Of the lognormal, if the optimum is to be found.
    """

    name: str
    draw: Draw
    warm: bool = False
    in_flight: int = IN_FLIGHT
    sigma: float | None = None


def cases() -> list[Case]:
    """Return what the table has a line for."""
    found = []
    for sigma in (0.1, 0.3, 0.6, 1.0):
        draw = partial(lognormal, sigma, MEDIAN)
        for warm in (True, False):
            name = f"lognormal {sigma}, {'warm' if warm else 'cold'}"
            found.append(Case(name, draw, warm, sigma=sigma))
    draw = partial(lognormal, 0.3, MEDIAN)
    found.append(Case("lognormal 0.3, 500 at once, warm", draw, True, 500, 0.3))
    others = {"slower": shifted, "quicker": quickened, "bimodal": bimodal, "heavy tail": heavy}
    return [*found, *(Case(f"{name}, cold", other) for name, other in others.items())]


def play(policy: Polling, case: Case, seed: int) -> Outcome:
    """Run jobs under one policy; equal seeds draw equal durations."""
    schedule, chance = policy.schedule(), random.Random(seed)
    if case.warm:
        before = random.Random(f"before {seed}")
        for _ in range(WARM):
            schedule.finished(SHAPE, 0.0, case.draw(before, 0.0))
    number = max(JOBS, case.in_flight)
    durations = iter([case.draw(chance, n / number) for n in range(number)])
    due: list[tuple[float, int, float, float, float, int]] = []
    polls, late = 0, []

    def start(now: float, duration: float) -> None:
        first = now + schedule.next_delay(SHAPE, 0.0, 0)
        heapq.heappush(due, (first, len(due), now, duration, 0.0, 0))

    for _ in range(case.in_flight):
        start(0.0, next(durations))
    while due:
        now, order, begin, duration, seen, polled = heapq.heappop(due)
        age = now - begin
        polls += 1
        if age < duration:
            schedule.running(SHAPE, seen, age)
            again = now + schedule.next_delay(SHAPE, age, polled + 1)
            heapq.heappush(due, (again, order, begin, duration, age, polled + 1))
            continue
        schedule.finished(SHAPE, seen, 0.5 * (seen + age))  # the service may tell no times
        late.append(age - duration)
        following = next(durations, None)
        if following is not None:
            start(now, following)
    late.sort()
    middle, most = late[len(late) // 2], late[int(0.95 * len(late))]
    return Outcome(polls / len(late), statistics.fmean(late), middle, most)


def policies() -> dict[str, list[Polling]]:
    """Return each policy with the settings that make its curve."""
    return {
        "fixed": [FixedPolling(seconds) for seconds in (0.5, 1.0, 2.0, 5.0)],
        "backoff": [BackoffPolling(2.0, most) for most in (2.5, 5.0, 10.0)],
        "learned": [
            LearnedPolling(lateness, random=random.Random(1).random)
            for lateness in (0.25, 0.4, 0.55, 0.75, 1.1, 1.6)
        ],
    }


# --- the optimum ---------------------------------------------------------------------------------

_STEP: Final = 0.25
_SLEEPS: Final = [*range(1, 81), *range(82, 161, 2), *range(165, 401, 5)]


def optimum(sigma: float, price: float) -> tuple[float, float]:
    """Return polls a job and lateness of the schedule for which lateness + price * polls is least.

    Args:
        sigma: Of the lognormal that the durations come from.
        price: What a poll costs, in seconds of lateness.
    """
    count = int(MEDIAN * math.exp(4.0 * sigma) / _STEP) + 1
    alive = [1.0] + [
        1.0 - _NORMAL.cdf(math.log(n * _STEP / MEDIAN) / sigma) for n in range(1, count + 500)
    ]
    ran = [0.0]
    for before, after in pairwise(alive):
        ran.append(ran[-1] + 0.5 * (before + after) * _STEP)
    worth = [0.0] * (count + 500)  # of what comes after a poll, times the part that still runs
    polls, late = [0.0] * (count + 500), [0.0] * (count + 500)
    for now in range(count - 1, -1, -1):
        here, ended = alive[now], ran[now]
        best, sleep = min(
            (here * (price + n * _STEP) - ran[now + n] + ended + worth[now + n], n) for n in _SLEEPS
        )
        then = now + sleep
        worth[now] = best
        polls[now] = here + polls[then]
        late[now] = here * sleep * _STEP - ran[then] + ended + late[then]
    return polls[0], late[0]


@cache
def optimal_lateness(sigma: float, polls: float) -> float:
    """Return the least lateness with so many polls a job, to 1%."""
    low, high = 0.001, 2.0
    for _ in range(7):
        price = math.sqrt(low * high)
        found = optimum(sigma, price)
        low, high = (price, high) if found[0] > polls else (low, price)
    return found[1] * found[0] / polls


# --- comparing -----------------------------------------------------------------------------------


def at_polls(make: Callable[[float], Polling], case: Case, seed: int, polls: float) -> float:
    """Return the lateness of a policy whose setting is chosen for so many polls a job."""
    low, high = 0.1, 4.0
    for _ in range(7):
        setting = math.sqrt(low * high)
        found = play(make(setting), case, seed)
        low, high = (setting, high) if found.polls > polls else (low, setting)
    return found.mean * found.polls / polls


def _learned(lateness: float) -> Polling:
    return LearnedPolling(lateness, random=random.Random(1).random)


def _compare(case: Case, seeds: int) -> dict[str, Any]:
    """Compare with fixed 2 s at equal requests, seed by seed; and show the default as it is."""
    fixed = [play(FixedPolling(2.0), case, seed) for seed in range(seeds)]
    learned = [
        at_polls(_learned, case, seed, other.polls) / other.mean - 1.0
        for seed, other in enumerate(fixed)
    ]
    default = [play(_learned(0.75), case, seed) for seed in range(seeds)]
    best = None
    if case.sigma is not None:
        polls = statistics.fmean(each.polls for each in fixed)
        best = (
            optimal_lateness(case.sigma, round(polls, 1)) / statistics.fmean(o.mean for o in fixed)
            - 1.0
        )
    return {
        "case": case.name,
        "fixed": _mean(fixed),
        "default": _mean(default),
        "against_fixed": learned,
        "optimum_against_fixed": best,
    }


def _mean(outcomes: list[Outcome]) -> dict[str, float]:
    return {
        name: statistics.fmean(getattr(outcome, name) for outcome in outcomes)
        for name in Outcome._fields
    }


def _curves(seeds: int) -> Iterator[dict[str, Any]]:
    for case in cases():
        for name, settings in policies().items():
            points = [
                _mean([play(policy, case, seed) for seed in range(seeds)]) for policy in settings
            ]
            shown = [_setting(policy) for policy in settings]
            yield {"case": case.name, "policy": name, "settings": shown, "points": points}


_COLUMNS: Final = (
    "durations",
    "learned at the requests of fixed 2 s",
    "optimum",
    "above it",
    "default: requests",
    "mean",
    "p50",
    "p95",
    "fixed 2 s: requests",
    "mean",
    "p50",
    "p95",
)


def _table(compared: list[dict[str, Any]]) -> str:
    lines = [
        f"| {' | '.join(_COLUMNS)} |",
        "|---" * len(_COLUMNS) + "|",
    ]
    for line in compared:
        against, best = line["against_fixed"], line["optimum_against_fixed"]
        mean = statistics.fmean(against)
        above = "" if best is None else f"{(1 + mean) / (1 + best) - 1:.0%}"
        spread = statistics.stdev(against) if len(against) > 1 else 0.0
        default, fixed = line["default"], line["fixed"]
        lines.append(
            f"| {line['case']} | {mean:+.0%} ± {spread:.0%} | "
            f"{'' if best is None else f'{best:+.0%}'} | {above} | {default['polls']:.1f} | "
            f"{default['mean']:.2f} s | {default['p50']:.2f} s | {default['p95']:.2f} s | "
            f"{fixed['polls']:.1f} | {fixed['mean']:.2f} s | {fixed['p50']:.2f} s | "
            f"{fixed['p95']:.2f} s |"
        )
    return "\n".join(lines)


def _points(curves: list[dict[str, Any]]) -> str:
    """Return all points of all curves as a table."""
    lines = ["| durations | policy | requests | mean | p50 | p95 |", "|---" * 6 + "|"]
    for curve in curves:
        for setting, point in zip(curve["settings"], curve["points"], strict=True):
            lines.append(
                f"| {curve['case']} | {setting} | {point['polls']:.1f} | {point['mean']:.2f} s | "
                f"{point['p50']:.2f} s | {point['p95']:.2f} s |"
            )
    return "\n".join(lines)


def _setting(policy: Polling) -> str:
    match policy:
        case FixedPolling(seconds=seconds):
            return f"fixed {seconds:g} s"
        case BackoffPolling(initial=initial, maximum=maximum):
            return f"backoff {initial:g} to {maximum:g} s"
        case LearnedPolling(lateness=lateness):
            return f"learned {lateness:g} s"
    return repr(policy)


def _plot(curves: list[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(curve["case"] for curve in curves))
    figure, places = plt.subplots(-(-len(names) // 4), 4, figsize=(18, 14))
    for name, place in zip(names, places.flat, strict=False):
        for curve in (curve for curve in curves if curve["case"] == name):
            points = curve["points"]
            across, up = [[point[axis] for point in points] for axis in ("polls", "mean")]
            place.loglog(across, up, "o-", label=curve["policy"])
        place.set_title(name)
        place.set_xlabel("requests a job")
        place.set_ylabel("mean lateness (s)")
    for place in places.flat[len(names) :]:
        place.axis("off")
    places.flat[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--plot", type=Path, default=RESULTS / "polling.png")
    options = parser.parse_args()
    compared = [_compare(case, options.seeds) for case in cases()]
    print(_table(compared), flush=True)
    curves = list(_curves(min(2, options.seeds)))
    print(_points(curves))
    report = {"options": {"seeds": options.seeds}, "conditions": conditions()}
    print(save("polling", {**report, "compared": compared, "curves": curves}))
    try:
        _plot(curves, options.plot)
    except ImportError:
        print("no plot: pip install matplotlib (the extra `plot`)")
    else:
        print(options.plot)


if __name__ == "__main__":
    main()
