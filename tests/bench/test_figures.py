"""Figures of samples that are written by hand."""

from __future__ import annotations

import pytest

from seedance_async.batch.edges import RowState
from seedance_async.bench.figures import (
    Quantiles,
    average_in_flight,
    level_figures,
    percentile,
    quantiles,
    round_figures,
    steady,
)
from seedance_async.bench.rounds import Round
from seedance_async.bench.samples import Record, Sample


def job(number: int, begin: float, end: float, *, succeeded: bool = True) -> Sample:
    return Sample(
        key=f"job-{number}",
        succeeded=succeeded,
        over=True,
        submitted_at=begin,
        accepted_at=begin,
        in_progress_at=begin + 1,
        finished_at=end - 1,
        known_at=end,
    )


def chain(slots: int, jobs: int, seconds: float) -> tuple[Sample, ...]:
    """Return the jobs of so many slots, each busy without a gap."""
    return tuple(
        job(number, number // slots * seconds, (number // slots + 1) * seconds)
        for number in range(jobs)
    )


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 2.5), (0.95, 3.85), (1.0, 4.0)])
def test_percentiles_lie_between_neighbours(share: float, value: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == pytest.approx(value)


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_what_nobody_saw_is_left_out_of_the_quantiles() -> None:
    assert quantiles([None, 2.0, None]) == Quantiles(2.0, 2.0, 1)
    assert quantiles([None]) is None


def test_the_first_jobs_that_fill_the_pool_are_warm_up() -> None:
    assert [sample.key for sample in steady(chain(2, 5, 10.0), 2)] == ["job-2", "job-3", "job-4"]


def test_draining_does_not_count_as_being_in_flight() -> None:
    """Two slots are full until the last submission, and one is empty behind it."""
    assert average_in_flight(chain(2, 5, 10.0)) == pytest.approx(2.0)


def test_jobs_of_one_moment_have_no_average() -> None:
    assert average_in_flight([job(1, 0.0, 5.0), job(2, 0.0, 5.0)]) is None


def record(samples: tuple[Sample, ...], *, level: int = 2, whole: bool = True) -> Record:
    return Record(round=Round(level, 1), whole=whole, samples=samples, polls=30, posts=7, limited=2)


def test_throughput_is_what_full_slots_bring_in_a_minute() -> None:
    """Two slots with jobs of ten seconds: twelve a minute, however many jobs are left at the end"""
    for jobs in (5, 6, 7):
        found = round_figures(
            Round(2, 1), record(chain(2, jobs, 10.0)), jobs=jobs, counts={}, cost=5
        )
        assert found.throughput == pytest.approx(12.0)
        assert found.requests_per_job == pytest.approx(37 / jobs)
        assert (found.partial, found.limited, found.cost) == (False, 2, 5)


def test_jobs_without_a_video_hold_slots_and_bring_nothing() -> None:
    samples = list(chain(2, 6, 10.0))
    samples[3] = job(3, 10.0, 20.0, succeeded=False)
    found = round_figures(Round(2, 1), record(tuple(samples)), jobs=6, counts={}, cost=0)
    assert found.throughput == pytest.approx(9.0)


def test_a_round_that_is_not_whole_has_no_throughput_and_keeps_its_latencies() -> None:
    found = round_figures(
        Round(2, 1), record(chain(2, 6, 10.0), whole=False), jobs=6, counts={}, cost=0
    )
    level = level_figures([found])
    assert (found.partial, found.throughput, found.requests_per_job) == (True, None, None)
    assert (level.partial, level.throughput) == (1, None)
    assert level.latency == Quantiles(10.0, 10.0, 4)


def test_a_round_of_which_nothing_was_kept_has_the_ledgers_counts_alone() -> None:
    counts = {RowState.SUCCEEDED: 6}
    found = round_figures(Round(2, 1), None, jobs=6, counts=counts, cost=7)
    assert (found.partial, found.counts, found.cost, found.limited) == (True, counts, 7, None)


def test_a_level_is_the_median_of_its_repeats_with_their_spread() -> None:
    rounds = [
        round_figures(Round(2, n), record(chain(2, 6, seconds)), jobs=6, counts={}, cost=1)
        for n, seconds in enumerate((10.0, 12.0, 15.0), 1)
    ]
    level = level_figures(rounds)
    found = [level.low, level.throughput, level.high]
    assert found == [pytest.approx(8.0), pytest.approx(10.0), pytest.approx(12.0)]
    assert level.error == pytest.approx(2.0 / 3**0.5 / 10.0)
    assert (level.limited, level.cost) == (6, 3)


def test_a_record_comes_back_from_json_as_it_was() -> None:
    kept = record(chain(2, 3, 10.0))
    assert Record.from_json(kept.to_json()) == kept


def test_what_a_second_run_saw_of_a_job_replaces_the_first_and_nothing_is_whole() -> None:
    first = record((job(1, 0.0, 5.0, succeeded=False), job(2, 0.0, 5.0)))
    joined = first.joined(record((job(1, 0.0, 9.0),)))
    assert [sample.latency for sample in joined.samples] == [5.0, 9.0]
    assert (joined.whole, joined.polls, joined.posts, joined.limited) == (False, 60, 14, 4)
