"""What a display expects: learned from a run's own jobs, told in coarse words."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from seedance_async.batch.edges import RowState
from seedance_async.batch.report import RowChange, UnderWay
from seedance_async.budget import Account, Budget
from seedance_async.cli.batchview import BatchView
from seedance_async.cli.foresight import Foresight, Prospect
from seedance_async.cli.jobview import JobView
from seedance_async.cli.words import between
from seedance_async.jobs import Output, Succeeded, Timings
from seedance_async.models import ProFastTextToVideo, Shape

from .test_batchboard import glance

FOX = Shape(ProFastTextToVideo.model_id, "480p", 5)


def ended(key: str, seconds: float, shape: Shape = FOX) -> RowChange:
    video = Succeeded(
        request_id="id",
        video_url="https://x/v.mp4",
        output=Output(video="https://x/v.mp4"),
        timings=Timings(accepted_at=1000.0, known_at=1000.0 + seconds),
    )
    return RowChange(
        key, 1, shape.model_id, RowState.SUCCEEDED, request_id="id", outcome=video, shape=shape
    )


def test_it_learns_from_the_ends_of_a_run() -> None:
    foresight = Foresight()
    jobs = {FOX: {"z": 5.0}}
    assert foresight.look({FOX: 10}, jobs, 4).left is None
    for number in range(20):
        foresight.take(ended(f"k{number}", 40.0 + number))
    found = foresight.look({FOX: 10}, jobs, 4)
    assert found.usual is not None
    assert found.left is not None
    assert 25 < found.usual[0] < 50 < found.usual[1] < 80
    assert 60 < found.left[0] < 160 < found.left[1] < 300


def test_those_that_still_run_count_too() -> None:
    """The first to end are the quick ones: who looks only at them is too hopeful."""
    chance = random.Random(1)
    durations = sorted(chance.lognormvariate(4.1, 0.6) for _ in range(40))
    hopeful, honest = Foresight(), Foresight()
    now = durations[10]
    running = {FOX: {f"k{n}": now for n in range(11, 40)}}
    for number in range(11):
        hopeful.take(ended(f"k{number}", durations[number]))
        honest.take(ended(f"k{number}", durations[number]))
    honest.look({}, running, 40)
    fresh = {FOX: {"new": 0.0}}
    too_short = hopeful.look({FOX: 100}, fresh, 1).left
    better = honest.look({FOX: 100}, fresh, 1).left
    assert too_short is not None
    assert better is not None
    truth = 100 * sum(durations) / len(durations)
    assert too_short[1] < truth
    assert better[0] < truth < better[1]


@attrs.frozen
class Look:
    """What was told at a moment, and what was true."""

    told: tuple[float, float]
    true: float

    @property
    def within(self) -> bool:
        return self.told[0] <= self.true <= self.told[1]


def looks(chance: random.Random, *, at_once: int, jobs: int, every: float) -> Iterator[Look]:
    """Play a batch of which nothing is known before, looked at up to nine tenths of its time."""
    free, spans = [0.0] * at_once, []
    for number in range(jobs):
        begin = free[0]
        end = begin + chance.lognormvariate(math.log(60.0), 0.3)
        heapq.heapreplace(free, end)
        spans.append((end, begin, f"k{number}"))
    foresight, last, now, told = Foresight(), max(free), every, 0
    spans.sort()
    while now < 0.9 * last:
        while spans[told][0] <= now:
            end, begin, key = spans[told]
            foresight.take(ended(key, end - begin))
            told += 1
        rest = spans[told:]
        ages = {key: now - begin for _, begin, key in rest if begin <= now}
        found = foresight.look({FOX: len(rest) - len(ages)}, {FOX: ages}, at_once).left
        if found is not None:
            yield Look(found, last - now)
        now += every


@pytest.mark.parametrize(("at_once", "jobs"), [(16, 48), (100, 300), (1000, 2500)])
def test_from_cold_a_pool_of_any_size_is_told_the_truth(at_once: int, jobs: int) -> None:
    """All of a pool are observed at once, and until the slow ones end only the quick ones have."""
    runs = [
        list(looks(random.Random(seed), at_once=at_once, jobs=jobs, every=20.0))
        for seed in range(6)
    ]
    within = [look.within for run in runs for look in run]
    assert sum(within) >= 0.6 * len(within)  # of six runs; some 0.8 of many


@attrs.define
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_between_two_reckonings_time_is_counted_down() -> None:
    clock, looks = Clock(), []

    def under_way() -> UnderWay:
        looks.append(clock.now)
        return UnderWay(begun={FOX: 6}, ages={FOX: {"a": 0.0}})

    view = BatchView(
        lambda: glance(left=4, in_flight=1), under_way, lambda: 2,
        shapes={FOX: 10}, account=Account(Budget(price_per_second=0.05)), clock=clock,
    )  # fmt: skip
    view.foresight.teach([(FOX, 60.0 + n) for n in range(20)])
    first = view.prospect().left
    clock.now = 2.0
    second = view.prospect().left
    assert len(looks) == 1
    assert first is not None
    assert second == (first[0] - 2.0, first[1] - 2.0)
    clock.now = 6.0
    view.prospect()
    assert len(looks) == 2
    assert view.to_come() == 4 * 250_000


def test_a_job_that_ended_since_the_price_was_asked_is_not_counted_as_running_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each look asks what runs at its moment, however lately somebody else has asked."""
    clock, running, seen = Clock(4.5), {"a": 4.5, "b": 4.5}, []

    def under_way() -> UnderWay:
        return UnderWay(begun={FOX: 2}, ages={FOX: dict(running)})

    view = BatchView(
        lambda: glance(in_flight=1), under_way, lambda: 2,
        shapes={FOX: 2}, account=Account(None), clock=clock,
    )  # fmt: skip
    view.to_come()
    view.take(ended("a", 4.6))
    del running["a"]
    clock.now = 5.0
    look = view.foresight.look

    def note(*asked: Any) -> Prospect:
        seen.append(asked[1])
        return look(*asked)

    monkeypatch.setattr(view.foresight, "look", note)
    view.prospect()
    assert seen == [{FOX: {"b": 4.5}}]


def test_the_rows_that_wait_and_their_money_are_of_one_moment() -> None:
    """However lately it was asked what waits, what has begun since is not priced again."""
    begun = {FOX: 6}
    view = BatchView(
        lambda: glance(left=10 - begun[FOX]), lambda: UnderWay(begun=dict(begun), ages={}),
        lambda: 2, shapes={FOX: 10}, account=Account(Budget(price_per_second=0.05)),
        clock=lambda: 1.0,
    )  # fmt: skip
    assert view.to_come() == 4 * 250_000
    begun[FOX] = 7
    assert view.to_come() == 3 * 250_000
    standing = view.standing()
    assert (standing.waiting, standing.not_spent) == (3, 3 * 250_000)


def test_nothing_is_left_once_all_is_over() -> None:
    """What was reckoned a moment ago is not counted down then."""
    seen = [glance(left=4, in_flight=1)]
    nothing = UnderWay(begun={}, ages={})
    view = BatchView(
        lambda: seen[0], lambda: nothing, lambda: 2,
        shapes={FOX: 4}, account=Account(None), clock=lambda: 1.0,
    )  # fmt: skip
    view.foresight.teach([(FOX, 60.0)] * 20)
    assert view.prospect().left is not None
    seen[0] = glance(downloaded=5)
    assert view.prospect().left is None


def test_a_bound_that_stops_rows_silences_the_time_left() -> None:
    """Nobody knows when money comes back; how long a video takes is known all the same."""
    nothing = UnderWay(begun={}, ages={})
    view = BatchView(
        lambda: glance(left=4), lambda: nothing, lambda: 2,
        shapes={FOX: 10}, account=Account(None), all_pass=False,
    )  # fmt: skip
    view.foresight.teach([(FOX, 60.0)] * 20)
    assert view.prospect().left is None
    assert view.prospect().usual is not None
    assert view.to_come() is None


def test_one_generation_says_how_long_it_usually_takes() -> None:
    clock = Clock()
    view = JobView([(FOX, 60.0 + n) for n in range(20)], FOX, clock=clock)
    assert view.words() == ""
    view.accepted()
    clock.now = 30.0
    assert view.words() == "25 to 55 s left, such a video takes 55 to 85 s"
    view.over()
    assert view.words() == ""
    unknown = JobView([], FOX, clock=clock)
    unknown.accepted()
    assert unknown.words() == ""


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0, 0.4, "under 1 s"),
        (2.2, 9.1, "2 to 10 s"),
        (31.0, 58.0, "30 to 60 s"),
        (0.0, 58.0, "under 60 s"),
        (61.0, 64.0, "about 65 s"),
        (185.0, 290.0, "3 to 5 min"),
        (290.0, 299.0, "about 5 min"),
        (5000.0, 7000.0, "1 to 2 h"),
        (4 * 3600.0, 90 * 3600.0, "4 to 90 h"),
    ],
)
def test_ranges_are_told_as_coarsely_as_they_are_known(low: float, high: float, words: str) -> None:
    assert between(low, high) == words
