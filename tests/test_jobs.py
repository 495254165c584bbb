"""The nouns: values that compare, and that survive the way through JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_async.jobs import (
    Cancelled,
    ErrorInfo,
    Failed,
    InDoubt,
    InProgress,
    InQueue,
    Lost,
    Outcome,
    Output,
    State,
    Status,
    Succeeded,
    TimedOut,
    Timings,
    jsonable,
)

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
TIMINGS = Timings(
    submitted_at=1.5, accepted_at=2.0, in_progress_at=3.0, known_at=9.0, finished_at=NOON, polls=4
)
PLAIN_TIMINGS = {
    "submitted_at": 1.5,
    "accepted_at": 2.0,
    "in_progress_at": 3.0,
    "known_at": 9.0,
    "created_at": None,
    "finished_at": "2026-01-01T12:00:00+00:00",
    "polls": 4,
}
ERROR = ErrorInfo("RejectedError", "too long", 422001, 422, "text: 狐")
PLAIN_ERROR = {
    "kind": "RejectedError",
    "message": "too long",
    "code": 422001,
    "status": 422,
    "detail": "text: 狐",
}
URL = "https://x.runcomfy.net/a%3D.mp4"


@pytest.mark.parametrize(
    ("state", "plain"),
    [
        (InQueue(3), {"position": 3}),
        (InProgress("Rendering"), {"reported": "Rendering"}),
        (
            Succeeded(
                request_id="id",
                video_url=URL,
                output=Output(video=URL, videos=(URL, "b"), images=("c",)),
                cost_usd=0.25,
                model_id="m",
                timings=TIMINGS,
            ),
            {
                "request_id": "id",
                "video_url": URL,
                "output": {"video": URL, "videos": [URL, "b"], "image": None, "images": ["c"]},
                "cost_usd": 0.25,
                "model_id": "m",
                "timings": PLAIN_TIMINGS,
            },
        ),
        (
            Failed(error=ERROR, request_id="id", cost_usd=0.0, timings=TIMINGS),
            {
                "error": PLAIN_ERROR,
                "request_id": "id",
                "cost_usd": 0.0,
                "model_id": None,
                "timings": PLAIN_TIMINGS,
            },
        ),
        (
            Cancelled(request_id="id", timings=TIMINGS),
            {"request_id": "id", "cost_usd": None, "model_id": None, "timings": PLAIN_TIMINGS},
        ),
        (
            TimedOut(request_id="id", reason="why", last_seen=InQueue(0), timings=TIMINGS),
            {
                "request_id": "id",
                "reason": "why",
                "last_seen": {"position": 0},
                "model_id": None,
                "timings": PLAIN_TIMINGS,
            },
        ),
        (
            Lost(request_id="id", error=ERROR, timings=TIMINGS),
            {
                "request_id": "id",
                "error": PLAIN_ERROR,
                "model_id": None,
                "timings": PLAIN_TIMINGS,
            },
        ),
        (
            InDoubt(error=ERROR, model_id="m", candidate_id="perhaps", timings=TIMINGS),
            {
                "error": PLAIN_ERROR,
                "model_id": "m",
                "candidate_id": "perhaps",
                "timings": PLAIN_TIMINGS,
            },
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_state_survives_the_way_through_json(state: State, plain: dict[str, Any]) -> None:
    """Plain values by field name, times as ISO 8601, and nothing that json.dumps refuses."""
    assert json.loads(json.dumps(jsonable(state))) == plain


def test_the_unions_are_closed_and_one() -> None:
    """A state is a status or an outcome, and each of them is frozen."""
    assert set(get_args(State)) == set(get_args(Status)) | set(get_args(Outcome))
    for kind in get_args(State):
        assert attrs.has(kind)
        assert kind.__setattr__ is not object.__setattr__, f"{kind.__name__} is not frozen"


def test_what_is_no_noun_stays_as_it_is() -> None:
    """Plain values pass through."""
    for value in (None, 5, "text", [1], {"a": 1}):
        assert jsonable(value) is value


def test_outcomes_compare_by_what_they_say_not_by_when_it_was_known() -> None:
    """Two observers of one job hold equal outcomes."""
    assert Lost(request_id="id", error=ERROR, timings=TIMINGS) == Lost(request_id="id", error=ERROR)
    assert Cancelled(request_id="id") != Cancelled(request_id="other")
    assert InDoubt(error=ERROR).request_id is None


# --- Output --------------------------------------------------------------------------------

URLS = st.sampled_from(["a", "b", "c", "d"])


@given(st.none() | URLS, st.lists(URLS).map(tuple))
def test_video_urls_are_distinct_and_video_comes_first(
    video: str | None, videos: tuple[str, ...]
) -> None:
    """Each once, in the order in which the service named them, never an image."""
    urls = list(Output(video=video, videos=videos, image="i", images=("j",)).video_urls())
    given_order = ([video] if video else []) + list(videos)
    assert urls == sorted(set(given_order), key=given_order.index)


# --- Timings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timings", "lateness"),
    [
        (Timings(known_at=NOON.timestamp() + 1.5, finished_at=NOON), 1.5),
        (Timings(known_at=NOON.timestamp() - 2, finished_at=NOON), -2),
        (Timings(known_at=NOON.timestamp()), None),
        (Timings(finished_at=NOON), None),
        (Timings(), None),
    ],
)
def test_lateness_is_from_the_servers_end_to_our_knowing(
    timings: Timings, lateness: float | None
) -> None:
    """None where one of the two is not known; below zero where the clocks disagree."""
    assert timings.lateness == lateness
