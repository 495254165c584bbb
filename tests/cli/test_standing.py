"""The table that an interrupt shows: rows beside money, on any screen."""

from __future__ import annotations

import pytest

from seedance_async.cli.jobview import job_standing
from seedance_async.cli.standing import Standing, standing_json, standing_lines, standing_of
from seedance_async.jobs import (
    ErrorInfo,
    Failed,
    InDoubt,
    Lost,
    Outcome,
    Output,
    Succeeded,
    TimedOut,
)

from .test_batchboard import glance

ERROR = ErrorInfo("Error", "no")


def video(cost_usd: float | None) -> Succeeded:
    url = "https://x/v.mp4"
    return Succeeded(request_id="id", video_url=url, output=Output(video=url), cost_usd=cost_usd)


def test_rows_stand_beside_money() -> None:
    seen = glance(
        left=20, in_flight=4, downloading=1, downloaded=9, succeeded=1, failed=1, lost=1,
        in_doubt=1, timed_out=2, settled=2_500_000, reserved=1_250_000,
    )  # fmt: skip
    standing = standing_of(seen, waiting=20, to_come=5_000_000, budget=9_000_000)
    assert standing_lines(standing) == [
        "  rows           money",
        "  done        9  settled    $2.50",
        "  failed      2  committed  $1.25",
        "  running     4  not spent  $5.00",
        "  left        2  budget     $9.00",
        "  to load     1",
        "  in doubt    1",
        "  waiting    20",
    ]


def test_what_is_not_known_is_called_so() -> None:
    """Without a price nothing is set aside, which does not make what runs cheap."""
    seen = glance(left=2, in_flight=4, unestimated=4)
    standing = standing_of(seen, waiting=2, to_come=None, budget=None)
    assert (standing.committed, standing.not_spent) == (None, None)
    assert standing_lines(standing) == [
        "  rows           money",
        "  done        0  settled        $0.00",
        "  running     4  committed  4 unknown",
        "  in doubt    0  not spent    unknown",
        "  waiting     2",
    ]
    over = standing_of(glance(downloaded=3), waiting=0, to_come=None, budget=None)
    assert (over.committed, over.not_spent) == (0, 0)


def test_a_known_sum_does_not_hide_what_is_unknown_beside_it() -> None:
    """Videos whose cost was not told, and jobs without a price beside others with one."""
    seen = glance(
        in_flight=4, downloaded=9, settled=2_500_000, unpriced=3, reserved=500_000, unestimated=2
    )
    standing = standing_of(seen, waiting=0, to_come=None, budget=None)
    assert standing_lines(standing) == [
        "  rows           money",
        "  done        9  settled    $2.50",
        "  running     4  with   3 unknown",
        "  in doubt    0  committed  $0.50",
        "  waiting     0  with   2 unknown",
        "                 not spent  $0.00",
    ]
    told = standing_json(standing)
    assert (told["settled_usd"], told["unpriced"]) == (2.5, 3)
    assert (told["reserved_usd"], told["unestimated"]) == (0.5, 2)


def test_what_is_unknown_is_null_for_a_program() -> None:
    seen = glance(in_flight=4, downloaded=3, unpriced=3, unestimated=4)
    told = standing_json(standing_of(seen, waiting=0, to_come=None, budget=None))
    assert (told["settled_usd"], told["unpriced"]) == (None, 3)
    assert (told["reserved_usd"], told["unestimated"]) == (None, 4)


def test_a_night_fits_into_forty_columns() -> None:
    standing = Standing(
        done=99_999, running=1_000, waiting=99_999,
        settled=99_999_990_000, unpriced=999, committed=250_000_000, unestimated=999,
        not_spent=99_999_990_000,
    )  # fmt: skip
    assert max(map(len, standing_lines(standing))) <= 40


@pytest.mark.parametrize(
    ("state", "outcome", "where", "settled"),
    [
        ("planned", None, "waiting", 0),
        ("submitting", None, "running", 0),
        ("submitted", None, "running", 0),
        ("submitted", TimedOut(request_id="id", reason="left"), "left", 0),
        ("in_doubt", InDoubt(error=ERROR), "in_doubt", 0),
        ("failed", Failed(error=ERROR, cost_usd=0.1), "failed", 100_000),
        ("lost", Lost(request_id="id", error=ERROR), "failed", None),
    ],
)
def test_how_one_generation_stands(
    state: str, outcome: Outcome | None, where: str, settled: int | None
) -> None:
    standing = job_standing(state, outcome, downloading=False)
    counts = ("done", "failed", "running", "left", "downloading", "in_doubt", "waiting")
    assert {name: getattr(standing, name) for name in counts if getattr(standing, name)} == {
        where: 1
    }
    assert standing.settled == settled


@pytest.mark.parametrize(("state", "where"), [("submitting", "in_doubt"), ("submitted", "left")])
def test_one_that_nobody_waits_for_is_left_or_in_doubt(state: str, where: str) -> None:
    standing = job_standing(state, None, downloading=False, tracked=False)
    assert (getattr(standing, where), standing.running) == (1, 0)


@pytest.mark.parametrize(("downloading", "where"), [(True, "downloading"), (False, "done")])
def test_a_video_that_is_being_downloaded_is_not_done(downloading: bool, where: str) -> None:
    standing = job_standing("succeeded", video(0.25), downloading=downloading)
    assert (getattr(standing, where), standing.settled, standing.committed) == (1, 250_000, 0)


@pytest.mark.parametrize(
    ("state", "outcome", "settled", "reserved", "counts"),
    [
        ("submitted", None, 0.0, None, (0, 1)),
        ("in_doubt", InDoubt(error=ERROR), 0.0, None, (0, 1)),
        ("succeeded", video(None), None, 0.0, (1, 0)),
        ("failed", Failed(error=ERROR), None, None, (0, 1)),
        ("failed", Failed(error=ERROR, cost_usd=0.1), 0.1, 0.0, (0, 0)),
    ],
)
def test_the_unknown_cost_of_a_generation_is_null(
    state: str,
    outcome: Outcome | None,
    settled: float | None,
    reserved: float | None,
    counts: tuple[int, int],
) -> None:
    told = standing_json(job_standing(state, outcome, downloading=False))
    assert (told["settled_usd"], told["reserved_usd"]) == (settled, reserved)
    assert (told["unpriced"], told["unestimated"]) == counts
