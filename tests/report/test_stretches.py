"""What the parts of a job's way took, as tables."""

from __future__ import annotations

import pytest

from seedance_async.batch.entries import Stations
from seedance_async.report.stretches import Stretches, stretches

WAY = Stations(
    in_progress_at=110.0,
    created_at=100.5,
    over_at=140.0,
    polls=5,
    download_began_at=150.0,
    downloaded_at=153.0,
)


def test_each_part_is_between_two_stations() -> None:
    """Submitted at 100, accepted at 101, known at 142."""
    assert stretches(100.0, 101.0, 142.0, WAY) == Stretches(
        queue=9.0, run=30.0, late=2.0, download=3.0
    )


def test_nothing_is_known_of_a_way_that_nobody_saw() -> None:
    """As of a job of an older ledger, or of a row without a job."""
    nothing = Stretches(queue=None, run=None, late=None, download=None)
    assert stretches(100.0, 101.0, 142.0, Stations()) == nothing
    assert stretches(None, None, None, Stations()) == nothing


@pytest.mark.parametrize(
    "way",
    [
        Stations(in_progress_at=110.0, created_at=3700.5, over_at=3740.0),
        Stations(in_progress_at=110.0, created_at=90.0, over_at=130.0),
        Stations(in_progress_at=110.0, over_at=3740.0),
        Stations(in_progress_at=110.0, over_at=20.0),
    ],
)
def test_a_clock_that_does_not_agree_with_ours_tells_nothing(way: Stations) -> None:
    """The service cannot have made a job before its POST left, nor ended it after we knew."""
    found = stretches(100.0, 101.0, 142.0, way)
    assert (found.queue, found.run, found.late) == (9.0, None, None)


@pytest.mark.parametrize(("over", "late"), [(143.5, 0.0), (142.0, 0.0), (99.5, 42.5)])
def test_two_seconds_are_put_down_to_the_clocks(over: float, late: float) -> None:
    """And nothing is known before it happened."""
    way = Stations(created_at=102.5, over_at=over)
    assert stretches(100.0, 101.0, 142.0, way).late == late


@pytest.mark.parametrize(
    ("way", "name"),
    [
        (Stations(in_progress_at=99.0), "queue"),
        (Stations(in_progress_at=141.0, over_at=140.0), "run"),
        (Stations(download_began_at=9.0, downloaded_at=8.0), "download"),
    ],
)
def test_a_part_that_ends_before_it_begins_is_not_known(way: Stations, name: str) -> None:
    """As when somebody set the clock back meanwhile."""
    assert getattr(stretches(100.0, 101.0, 142.0, way), name) is None
