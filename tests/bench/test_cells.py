"""A level's figures as cells: one spelling for the terminal and the page."""

from __future__ import annotations

from typing import Any

import pytest

from seedance_async.batch.edges import RowState
from seedance_async.bench.cells import cells
from seedance_async.bench.figures import LevelFigures, Quantiles


def level(**more: Any) -> LevelFigures:
    nothing = dict.fromkeys(("throughput", "low", "high", "error", "requests_per_job"))
    times = dict.fromkeys(("latency", "wait", "run", "lateness"))
    counts = {RowState.IN_DOUBT: 1, RowState.DOWNLOADED: 0, RowState.SUCCEEDED: 7}
    rest = {"level": 4, "limited": 2, "counts": counts, "cost": 1_250_000, "partial": 0}
    return LevelFigures(**{**nothing, **times, **rest, **more})


def test_what_was_not_measured_is_not_made_up() -> None:
    """Empty cells, and a word where the eye looks first."""
    assert cells(level()) == [
        *("4", "not measured", "", "", "", "", "", "2", "$1.25"),
        "1 in doubt, 7 succeeded",
    ]


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(1.0, 3.0, "2.0 (1.0 to 3.0)"), (2.0, 2.0, "2.0"), (None, None, "2.0")],
)
def test_a_spread_is_shown_where_there_is_one(
    low: float | None, high: float | None, shown: str
) -> None:
    """One round has none."""
    assert cells(level(throughput=2.0, low=low, high=high))[1] == shown


def test_times_are_shown_as_the_middle_and_the_late_ones() -> None:
    """In seconds."""
    found = cells(level(latency=Quantiles(31.26, 40.0, 8), requests_per_job=9.0))
    assert found[2:7] == ["31.3 / 40.0", "", "", "", "9.0"]
