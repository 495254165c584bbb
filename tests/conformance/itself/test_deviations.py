"""Every deviation is found and named, and the double as it comes has none.

Real sockets, as in an examination; the service's clock moves with the requests, so that no test
waits and none depends on the machine's speed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

import attrs
import pytest

from seedance_async.simulator import KNOWN_FAULTS, FaultPlan, Reply
from tests.conformance.double import Change, Double
from tests.conformance.examination import Report
from tests.conformance.free import NO_SUCH_MODEL
from tests.conformance.itself.deviating import (
    answered,
    changing,
    edited,
    examined,
    with_body,
    with_headers,
)
from tests.conformance.settings import CHEAPEST

SLOW_SECONDS = 0.02

BY_FAULT = {
    "drop-before-accept": ("submit", "no answer"),
    "html-504": ("submit", "504"),
    "5xx-before-accept": ("submit", "500001"),
    "429": ("submit", "429"),
    "drop-after-accept": ("submit", "no answer"),
    "5xx-after-accept": ("submit", "500001"),
    "truncated-json": ("submit", ""),
    "poll-drop": ("status", "no answer"),
    "poll-html-504": ("status", "504"),
    "poll-5xx": ("status", "500001"),
    "poll-429": ("status", "429"),
    "error-in-200": ("status of a job unreadable, status", "no such field"),
    "poll-truncated-json": ("status", ""),
    "cancel-drop": ("cancel at once", "no answer"),
    "cancel-5xx": ("cancel at once", "500001"),
    "cancellation-requested": ("cancel at once, outcome", "cancellation_requested"),
    "failed": ("result at the end, status", "'failed', error"),
    "stuck": ("result at the end", "in_progress"),
    "expired": ("result before the end", "404001"),
    "videos": ("result at the end, output.video", "videos"),
    "succeeded": ("result at the end, status", "'succeeded'"),
    "not-ready-400": ("a result asked too early", "HTTP 400 with error_code 400005"),
    "unknown-state": ("status of a job *, status", "'"),
    "outage": ("result of an unknown id", "no answer"),
    "unreachable": ("result of an unknown id", "no answer: ClientConnector"),
    "html-502": ("submit", "502"),
    "truncated-video": ("video, HTTP status", "no answer"),
    "accepted-202": ("HTTP status of an acceptance", "202"),
    "bare-acceptance": ("submit, status_url", "no such field"),
    "canceled": ("result of a cancelled job, status", "canceled"),
    "no-times": ("result at the end, created_at", "no such field"),
    "no-cost": ("result at the end, cost", "no such field"),
    "code-and-message": ("status of an unknown id, the error, error_code", "no such field"),
    "no-position": ("status of a job in_queue, queue_position", "no such field"),
    "html-502-after-accept": ("submit", "502"),
}
"""Where each fault shows, and a part of what is seen there."""

IN_DOUBT = {
    "drop-before-accept",
    "drop-after-accept",
    "html-504",
    "truncated-json",
    "html-502-after-accept",
}
"""Faults after which nobody knows whether a generation runs."""


def found(report: Report, where: str, part: str) -> bool:
    """Whether a difference, or a choice that is not the double's, names this."""
    differences = [(one.where, one.seen) for one in report.differences]
    choices = [(one.point, one.seen) for one in report.observations if one.seen != one.double]
    return any(fnmatch(place, where) and part in seen for place, seen in differences + choices)


@pytest.fixture(scope="module")
def plain() -> tuple[Double, Report]:
    """The double as it comes, and what was found there."""
    double = Double()
    return double, examined(double)


def test_the_double_as_it_comes_differs_nowhere(plain: tuple[Double, Report]) -> None:
    """And what is noted of it is what the checks call the double's way."""
    _, report = plain
    assert report.differences == []
    assert {one.point: one.seen for one in report.observations if "price" not in one.point} == {
        one.point: one.double for one in report.observations if "price" not in one.point
    }
    assert len({one.point for one in report.observations}) > 12


def test_two_generations_are_paid_for_and_none_is_sent_twice(plain: tuple[Double, Report]) -> None:
    """By the double's own books, with the strangers left out; the token reached no video."""
    double, report = plain
    ours = [entry.request_id for entry in double.books.accepted if "stranger" not in entry.body]
    assert [paid.request_id for paid in report.paid] == ours
    assert [(paid.end, paid.cost) for paid in report.paid] == [
        ("completed", "$0.1"),
        ("cancelled", "$0.0"),
    ]
    assert double.books.token_leaks == ()
    assert report.doubts == []


def test_every_state_and_two_places_in_the_queue_are_seen(plain: tuple[Double, Report]) -> None:
    """The double is busy, so that the checks of positions have something to judge."""
    _, report = plain
    seen = {one.point: one.seen for one in report.observations}
    assert seen["last queue_position before a job starts"] == "0, first seen 1"
    assert seen["a job cancelled at once"] == "cancelled"


@pytest.mark.parametrize("name", KNOWN_FAULTS)
def test_every_fault_is_found_and_named(name: str) -> None:
    """Whatever the simulator can be made to do shows in the report, at its place."""
    plan = FaultPlan({name: 1.0}, slow_seconds=SLOW_SECONDS, slow_bandwidth=100_000.0)
    report = examined(Double(faults=plan))
    if name in ("slow", "slow-video"):
        assert ("/videos/" in report.slowest) == (name == "slow-video")
        assert float(report.slowest.partition(" ")[0]) >= SLOW_SECONDS
    elif name in BY_FAULT:
        assert found(report, *BY_FAULT[name]), (report.differences, report.observations)
    else:
        assert report.differences or any(o.seen != o.double for o in report.observations)
    places = [(one.where, one.expected, one.rule) for one in report.differences]
    assert len(places) == len(set(places)), "what every poll shows is told once"
    if name in IN_DOUBT:
        assert len(report.doubts) == 2


def test_a_job_that_failed_is_one_difference_only() -> None:
    """Its status reads completed, as is written, so that only the failure itself is reported."""
    report = examined(changing(failed=1.0))
    wheres = {one.where for one in report.differences}
    assert wheres <= {"result at the end, status"}
    assert [paid.end for paid in report.paid] == ["failed", "cancelled"]


def without(*names: str) -> Callable[[dict[str, Any]], None]:
    def edit(document: dict[str, Any]) -> None:
        for name in names:
            document.pop(name, None)

    return edit


def setting(**values: object) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.update(values)


def rising() -> Callable[[dict[str, Any]], None]:
    """Let the position rise with every look."""
    numbers = itertools.count()

    def edit(document: dict[str, Any]) -> None:
        if "queue_position" in document:
            document["queue_position"] = next(numbers)

    return edit


def going_back() -> Callable[[dict[str, Any]], None]:
    """Let every second state be the first one."""
    turns = itertools.cycle(("in_progress", "in_queue"))

    def edit(document: dict[str, Any]) -> None:
        if document.get("status") == "in_progress":
            document["status"] = next(turns)

    return edit


def on_another_host(document: dict[str, Any]) -> None:
    if "output" in document:
        document["output"]["video"] = document["output"]["video"].replace("127.0.0.1", "localhost")


def in_another_schema(document: dict[str, Any]) -> None:
    if document.get("model_id") == CHEAPEST:
        document["input_schema"]["properties"]["duration"]["enum"] = [5, 10]


def position_as_text(document: dict[str, Any]) -> None:
    if "queue_position" in document:
        document["queue_position"] = "3"


def without_range(asked: str, target: str, reply: Reply) -> Reply:
    """Serve a part as if it were the whole."""
    if "/videos/" not in target or reply.status != 206:
        return reply
    headers = {name: v for name, v in reply.headers.items() if name != "Content-Range"}
    return Reply(200, headers, reply.body)


def half_a_video(asked: str, target: str, reply: Reply) -> Reply:
    if "/videos/" not in target or reply.status != 200:
        return reply
    return with_body(reply, b"<html>not a video</html>")


RESULT = "/result"
PAGE = b"<html><h1>oh</h1></html>"

BY_CHANGE: dict[str, tuple[Change, str, str]] = {
    "no entity tag": (with_headers("/videos/", ETag=None), "video, ETag", "none"),
    "a weak entity tag": (with_headers("/videos/", ETag='W/"a"'), "video, ETag", 'W/"a"'),
    "no ranges": (without_range, "video with Range", "Content-Range none"),
    "no video in the file": (half_a_video, "video, first bytes", "<html>"),
    "videos of another kind": (
        with_headers("/videos/", Content_Type="binary/octet-stream"),
        "video, Content-Type",
        "binary/octet-stream",
    ),
    "videos elsewhere": (edited(RESULT, on_another_host), "host of the video", "localhost"),
    "a position that rises": (edited("/status", rising()), "queue_position", ""),
    "a position as a text": (
        edited(
            "/status", lambda d: d.update(queue_position="3") if "queue_position" in d else None
        ),
        "status of a job in_queue, queue_position",
        "'3'",
    ),
    "a position while running": (
        edited("/status", setting(queue_position=7)),
        "status of a job in_progress, further fields",
        "queue_position",
    ),
    "states that go back": (
        edited("/status", going_back()),
        "status after in_progress",
        "in_queue",
    ),
    "a status without URLs": (
        edited("/status", without("status_url", "result_url"), status=200),
        "status of a job completed, result_url",
        "no such field",
    ),
    "another cancel": (
        edited("/cancel", setting(status="cancelled"), status=202),
        "cancel at once, status",
        "'cancelled'",
    ),
    "a cancel without a body": (
        answered("POST", "/cancel", 204, b"", "text/plain"),
        "cancel at once",
        "HTTP 204",
    ),
    "a cost that was not asked for": (
        edited(RESULT, setting(cost=0.1), status=200),
        "result without asking for the cost",
        "0.1",
    ),
    "a cost as a text": (
        edited("include_cost=true", setting(cost="0.10"), status=200),
        "result at the end, cost",
        "0.10",
    ),
    "another cost": (
        edited("include_cost=true", setting(cost=0.3), status=200),
        "what the generation cost",
        "0.3 USD, estimated 0.10",
    ),
    "an end before the beginning": (
        edited(RESULT, setting(finished_at="2001-01-01T00:00:00Z"), status=200),
        "result at the end, finished_at",
        "2001-01-01",
    ),
    "times as numbers": (
        edited(RESULT, setting(created_at=1, finished_at=2), status=200),
        "time format",
        "9 (int)",
    ),
    "somebody else's result": (
        edited(RESULT, setting(request_id="other"), status=200),
        "result at the end, request_id",
        "other",
    ),
    "a page for an unknown id": (
        answered("GET", "/v1/requests/x/result", 404, PAGE, "text/html"),
        "result of the id x",
        "HTTP 404 <html>",
    ),
    "404001 for an unknown path": (
        answered("GET", "/v2/nothing", 404, b'{"error_code": 404001}', "application/json"),
        "GET /v2/nothing",
        "404001",
    ),
    "a list of requests": (
        answered("GET", "/v1/requests", 200, b'{"requests": []}', "application/json"),
        "GET /v1/requests",
        "HTTP 200",
    ),
    "a catalog without prices": (
        edited("/v1/models/", without("base_price_usd"), method="GET", status=200),
        f"catalog entry of {CHEAPEST}, base_price_usd",
        "no such field",
    ),
    "a catalog that ignores the limit": (
        edited("/v1/models?", setting(limit=100)),
        "catalog page at 0, limit",
        "100",
    ),
    "another schema": (
        edited("/v1/models/", in_another_schema, status=200),
        f"schema of {CHEAPEST}, duration.enum",
        "[5, 10]",
    ),
    "a detail that says nothing": (
        edited("/v1/models/", without("detail"), method="POST", status=422),
        "submit with an empty object, detail",
        "422001",
    ),
}


@pytest.mark.parametrize("name", BY_CHANGE)
def test_every_other_deviation_is_found_and_named(name: str) -> None:
    """What the simulator cannot be made to do, its answers are changed into."""
    change, where, part = BY_CHANGE[name]
    report = examined(changing(change))
    assert found(report, where, part), (report.differences, report.observations)


def test_a_failed_job_whose_status_says_so_is_found() -> None:
    """On the status it must read completed."""

    def edit(document: dict[str, Any]) -> None:
        if document.get("status") == "completed":
            document["status"] = "failed"

    report = examined(changing(edited("/status", edit), failed=1.0))
    assert found(report, "status of a job whose result is failed", "failed")


def test_a_failed_job_without_an_error_is_found() -> None:
    """The result of a failed job says why."""
    report = examined(changing(edited(RESULT, without("error")), failed=1.0))
    assert found(report, "result of a failed job", "failed")


def test_what_should_have_been_refused_is_told_and_taken_back() -> None:
    """An unknown model that is accepted: the id is kept, and one cancel was sent."""
    body = b'{"request_id": "surprise"}'
    change = answered("POST", NO_SUCH_MODEL, 200, body, "application/json")
    double = changing(change)
    report = examined(double)
    assert found(report, "submit to an unknown model", "accepted as surprise; cancelled at once")
    assert ("surprise", "an unknown model") in [(p.request_id, p.why) for p in report.paid]


def test_an_answer_that_repeats_the_token_does_not_bring_it_into_the_report() -> None:
    """Whatever a service says, the token stands nowhere in what is printed or written."""
    double = changing()
    double.token = "a-token-that-nobody-may-see"
    double.change = edited(
        "/v1/requests/", setting(error_code=1, error_message=f"bad {double.token}")
    )
    report = examined(double)
    assert found(report, "result of an unknown id", "bad (the token)")
    assert double.token not in repr(report)


def test_a_redirect_is_a_difference_and_nobody_follows_it() -> None:
    """The token would go along."""
    asked = []

    def change(method: str, target: str, reply: Reply) -> Reply:
        asked.append(target)
        if not target.startswith("/v1/requests/"):
            return reply
        return attrs.evolve(with_body(reply, b""), status=302, headers={"Location": "/elsewhere"})

    report = examined(changing(change))
    assert found(report, "result of an unknown id", "HTTP 302")
    assert "/elsewhere" not in asked
