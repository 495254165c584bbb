"""Reading a result's own fields (wire.md, section 3): outputs, cost, times, causes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from seedance_async.jobs import ErrorInfo, Output
from seedance_async.wire import Ended, read_result

from .test_wire import ID, NOW, answer

V = "https://a.runcomfy.net/1.mp4"
W = "https://a.runcomfy.net/2%3D.mp4"


def ended(**fields: object) -> Ended:
    """Read a completed result with these fields."""
    reading = read_result(answer(200, {"status": "completed", **fields}), ID, now=NOW)
    assert isinstance(reading, Ended)
    return reading


@pytest.mark.parametrize(
    ("output", "video_url", "videos"),
    [
        ({"video": V}, V, (V,)),
        ({"videos": [V, W]}, V, (V, W)),
        ({"video": W, "videos": [V, W]}, W, (W, V)),
        ({"video": "", "videos": [W]}, W, (W,)),
        ({"video": None, "videos": ["", None, 7, V]}, V, (V,)),
        ({"video": 7, "videos": V}, None, ()),
        ({"videos": []}, None, ()),
        ({"video": "file:///etc/passwd"}, None, ()),
        ({"video": "not a url"}, None, ()),
        ({"video": f"{V}\r\nX: y"}, None, ()),
        ({"image": V, "images": [W]}, None, ()),
        ({"nested": {"video": V}}, None, ()),
        ([V], None, ()),
        (V, None, ()),
        (None, None, ()),
    ],
)
def test_outputs(output: object, video_url: str | None, videos: tuple[str, ...]) -> None:
    """The video is `video`, else the first of `videos`; without one the job fails by name."""
    reading = ended(output=output)
    assert reading.video_url == video_url
    assert tuple(reading.output.video_urls()) == videos
    if video_url is None:
        assert reading.state == "failed"
        assert reading.error is not None
        assert reading.error.kind == "NoVideo"
        assert ID in reading.error.message
    else:
        assert (reading.state, reading.error) == ("succeeded", None)


def test_urls_are_read_in_the_output_only() -> None:
    """The answer may echo the input, whose URLs are not the result."""
    reading = ended(video=V, input={"video": V}, url=V, output={"image": W})
    assert reading.video_url is None
    assert reading.output == Output(image=W)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        *[(0.27, 0.27), (1, 1.0), (0, 0.0), ("0.27", 0.27)],
        *[(odd, None) for odd in (-1, True, "dear", None, {"usd": 1}, [1], 10**400)],
    ],
)
def test_costs(cost: object, expected: float | None) -> None:
    """A cost is a finite number of USD, 0 or more, or not there."""
    assert ended(output={"video": V}, cost=cost).cost_usd == expected


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_costs_that_are_no_numbers(word: str) -> None:
    """Python's JSON reads NaN and Infinity; a budget must never add them up."""
    body = f'{{"status": "completed", "output": {{"video": "{V}"}}, "cost": {word}}}'
    reading = read_result(answer(200, body.encode()), ID, now=NOW)
    assert isinstance(reading, Ended)
    assert (reading.state, reading.cost_usd) == ("succeeded", None)


MOMENT = datetime(2026, 6, 16, 16, 31, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-06-16T16:31:14Z", MOMENT),
        ("2026-06-16T18:31:14+02:00", MOMENT.astimezone(timezone(timedelta(hours=2)))),
        ("2026-06-16 16:31:14", MOMENT),
        ("2026-06-16T16:31:14.500Z", MOMENT + timedelta(seconds=0.5)),
        (MOMENT.timestamp(), MOMENT),
        (int(MOMENT.timestamp()) * 1000, MOMENT),
        (7, None),
        ("yesterday", None),
        ("", None),
        (1e300, None),
        (True, None),
        ([], None),
    ],
)
def test_times(given: object, expected: datetime | None) -> None:
    """The format is OPEN: ISO 8601 and epoch seconds or milliseconds are read, all else is not."""
    reading = ended(output={"video": V}, created_at=given, finished_at=given)
    assert reading.created_at == reading.finished_at == expected
    assert reading.created_at is None or reading.created_at.tzinfo is not None


@pytest.mark.parametrize(
    ("fields", "message", "code"),
    [
        ({"error": "content policy"}, "content policy", None),
        ({"error": {"message": "bad", "code": 7}}, "bad", 7),
        ({"error": {"error_message": "bad", "error_code": "1234"}}, "bad", 1234),
        ({"error": {"why": "x"}}, '{"why": "x"}', None),
        ({"error": ["a", 1]}, '["a", 1]', None),
        ({"error": 7}, "7", None),
        ({"error": True}, "true", None),
        ({"error": None}, "the service gave no reason", None),
        ({"detail": "late"}, "late", None),
        ({"message": "oops"}, "oops", None),
        ({"error_code": 422001, "error_message": "bad face"}, "bad face", 422001),
        ({"error": "x" * 1000}, "x" * 300, None),
        ({"error": "a\x00\x1b[31m\nb"}, "a  [31m b", None),
        ({}, "the service gave no reason", None),
    ],
)
def test_causes_of_a_failure(fields: dict[str, object], message: str, code: int | None) -> None:
    """`error` may be any JSON; it becomes a sentence of at most 300 printable characters."""
    reading = read_result(answer(200, {"status": "failed", **fields}), ID, now=NOW)
    assert isinstance(reading, Ended)
    assert (reading.state, reading.video_url) == ("failed", None)
    assert isinstance(reading.error, ErrorInfo)
    assert (reading.error.message, reading.error.code) == (message, code)
    assert reading.error.kind == "GenerationFailed"


@pytest.mark.parametrize("word", ["failed", "cancelled", "canceled", "FAILED"])
def test_no_success_beside_a_failure(word: str) -> None:
    """A video URL beside `failed` or `cancelled` is not handed out as a success."""
    body = {"status": word, "output": {"video": V}, "cost": 1}
    reading = read_result(answer(200, body), ID, now=NOW)
    assert isinstance(reading, Ended)
    assert reading.state != "succeeded"
    assert reading.video_url is None
    assert reading.cost_usd == 1.0
