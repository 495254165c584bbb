"""The bodies of wire.md, sections 1 to 5 and 8, to the letter.

The samples lie in `tests/samples/`, and its index says how the client reads each of them. Here
the simulator is brought to say each of them, field by field; where it never does, the index has
the reason (`not_by_the_simulator`).
"""

import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedance_async.simulator import Account, FaultPlan, Reply, Simulator

from .asking import FAST, FOX, HEADERS, LATER, LITE, PRO, Asking, code, read

SAMPLES = Path(__file__).parent.parent / "samples"
INDEX: list[dict[str, Any]] = json.loads((SAMPLES / "index.json").read_text())

WORDS = {
    *("in_queue", "in_progress", "completed", "succeeded", "failed", "cancelled", "canceled"),
    *("not_cancellable", "cancellation_requested"),
}
"""What the wire's `status` and `outcome` say; any other word is one that nobody documented."""


@pytest.fixture
def asking() -> Asking:
    return Asking(Simulator(capacity=1))


def test_accepted_has_the_id_and_three_urls(asking: Asking) -> None:
    """Section 1: a submit is answered with exactly these four fields."""
    reply = asking.submit()
    document = read(reply)
    request_id = document["request_id"]
    root = f"http://127.0.0.1/v1/requests/{request_id}"
    assert reply.status == 200
    assert uuid.UUID(request_id).version == 4
    assert document == {
        "request_id": request_id,
        "status_url": f"{root}/status",
        "result_url": f"{root}/result",
        "cancel_url": f"{root}/cancel",
    }


def test_status_tells_queue_position_only_while_queued(asking: Asking) -> None:
    """Section 2: in_queue with the position, in_progress and completed without."""
    first, second, third = (asking.accept() for _ in range(3))
    root = f"http://127.0.0.1/v1/requests/{third}"
    assert read(asking.status(third)) == {
        "request_id": third,
        "status": "in_queue",
        "queue_position": 1,
        "status_url": f"{root}/status",
        "result_url": f"{root}/result",
    }
    assert read(asking.status(second))["queue_position"] == 0
    running = read(asking.status(first))
    assert running["status"] == "in_progress"
    assert "queue_position" not in running
    asking.now = LATER
    assert read(asking.status(third)) == {
        "request_id": third,
        "status": "completed",
        "status_url": f"{root}/status",
        "result_url": f"{root}/result",
    }


def test_result_goes_from_queue_to_output(asking: Asking) -> None:
    """Section 3: a result asked too early tells the state, at the end it holds the video."""
    asking.now = 10.25
    first, second = asking.accept(), asking.accept()
    created = "2026-01-01T00:00:10.250Z"
    assert read(asking.result(second)) == {
        "request_id": second,
        "status": "in_queue",
        "created_at": created,
    }
    assert read(asking.result(first))["status"] == "in_progress"
    asking.now = LATER
    document = read(asking.result(second))
    assert list(document) == ["request_id", "status", "output", "created_at", "finished_at"]
    assert document["status"] == "completed"
    assert document["created_at"] == created
    assert document["finished_at"] > created
    assert re.fullmatch(
        rf"http://127\.0\.0\.1/videos/{second}/output/[0-9a-f]{{4}}_\d+_[0-9a-f]{{8}}%3D\.mp4",
        document["output"]["video"],
    )


def test_cost_comes_only_when_asked_for(asking: Asking) -> None:
    """Section 3: `?include_cost=true` adds USD, once the job is over."""
    request_id = asking.accept({"text": "a", "duration": 12})
    assert "cost" not in read(asking.result(request_id, "?include_cost=true"))
    asking.now = LATER
    assert "cost" not in read(asking.result(request_id))
    assert "cost" not in read(asking.result(request_id, "?include_cost=false"))
    assert read(asking.result(request_id, "?include_cost=true"))["cost"] == 0.6


def test_cancel_answers_with_the_odd_pair_and_is_idempotent(asking: Asking) -> None:
    """Section 4: HTTP 202, `completed` beside the outcome, the same again and again."""
    running, queued = asking.accept(), asking.accept()
    for _ in range(2):
        reply = asking.cancel(queued)
        assert reply.status == 202
        assert read(reply) == {
            "request_id": queued,
            "status": "completed",
            "outcome": "cancelled",
        }
        assert read(asking.cancel(running)) == {
            "request_id": running,
            "status": "completed",
            "outcome": "not_cancellable",
        }
    document = read(asking.result(queued, "?include_cost=true"))
    assert (document["status"], document["cost"]) == ("cancelled", 0.0)
    assert read(asking.status(queued))["status"] == "cancelled"
    asking.now = LATER
    assert read(asking.result(running))["status"] == "completed"
    assert read(asking.cancel(running))["outcome"] == "not_cancellable"


@pytest.mark.parametrize("end", ["status", "result", "cancel"])
def test_unknown_and_expired_ids_are_404001(end: str) -> None:
    """Section 5: an id that the service does not know, or knows no longer."""
    asking = Asking(Simulator(id_lifetime=60.0))
    method = "POST" if end == "cancel" else "GET"
    assert code(asking.send(method, f"/v1/requests/{uuid.uuid4()}/{end}")) == (404, 404001)
    request_id = asking.accept()
    asking.now = 3600.0
    assert code(asking.send(method, f"/v1/requests/{request_id}/{end}")) == (404, 404001)


def test_account_errors() -> None:
    """Section 5: 400004 for everything on an expired account, 400002 for submits on an empty."""
    asking = Asking(Simulator())
    request_id = asking.accept()
    asking.simulator.account = Account.EMPTY
    assert code(asking.submit()) == (400, 400002)
    assert asking.result(request_id).status == 200
    asking.simulator.account = Account.EXPIRED
    assert code(asking.submit()) == code(asking.result(request_id)) == (400, 400004)
    asking.simulator.account = Account.ACTIVE
    assert asking.submit().status == 200


def test_catalog_page_and_entry() -> None:
    """Section 8: the page counts and cuts, the entry has price, unit and the quirky schema."""
    asking = Asking(Simulator(price_per_second={FAST: 0.07, LITE: 0.1}))
    page = read(asking.send("GET", "/v1/models?search=SEEDANCE-1-0&limit=1&offset=1"))
    assert page["total"] == 2
    assert (page["limit"], page["offset"], len(page["models"])) == (1, 1, 1)
    assert "input_schema" not in page["models"][0]
    videos = read(asking.send("GET", "/v1/models?category=text-to-video&include_schema=true"))
    assert [entry["model_id"] for entry in videos["models"]] == [FAST]
    assert videos["models"][0]["input_schema"]["required"] == ["text"]
    entry = read(asking.send("GET", f"/v1/models/{LITE}"))
    assert (entry["base_price_usd"], entry["price_unit"]) == (0.1, "second")
    frame = entry["input_schema"]["properties"]["last_frame_image_url"]
    assert (frame["format"], frame["default"]) == ("image_uri", None)
    assert {entry["model_id"] for entry in read(asking.send("GET", "/v1/models"))["models"]} == {
        FAST,
        LITE,
        PRO,
    }
    assert code(asking.send("GET", "/v1/models/bytedance/seedance-v2/pro")) == (404, 404001)
    assert code(asking.send("GET", "/v1/models?limit=many")) == (422, 422001)


def test_other_paths_are_a_gateways_404(asking: Asking) -> None:
    """A 404 without the service's body is no verdict, so the simulator has one."""
    reply = asking.send("GET", "/v2/nothing")
    assert (reply.status, reply.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert asking.send("DELETE", f"/v1/models/{FAST}").status == 405
    assert asking.send("POST", "/v1/requests/x/result").status == 405


# --- the samples ---------------------------------------------------------------------------


def faulty(*names: str, **settings: Any) -> Asking:
    """Ask a simulator at which these faults always happen."""
    plan = FaultPlan(dict.fromkeys(names, 1.0))
    return Asking(Simulator(capacity=1, faults=plan, **settings))


def submitting(*names: str, document: object = FOX, model: str = FAST, **settings: Any) -> Reply:
    """Submit once."""
    return faulty(*names, **settings).submit(document, model)


def status_of(*names: str, place: int = 0, now: float = 0.0) -> Reply:
    """Ask for the status of one of four jobs, of which the first one runs."""
    asking = faulty(*names)
    ids = [asking.accept({"text": str(n)}) for n in range(4)]
    asking.now = now
    return asking.status(ids[place])


def result_of(*names: str, place: int = 0, now: float = LATER, query: str = "") -> Reply:
    """Ask for the result of one of two jobs, of which the first one runs."""
    asking = faulty(*names)
    ids = [asking.accept({"text": str(n)}) for n in range(2)]
    asking.now = now
    return asking.result(ids[place], query)


def cancelling(*names: str, end: str, place: int = 1) -> Reply:
    """Cancel the second of two jobs, or the first, which runs; return what `end` then says."""
    asking = faulty(*names)
    request_id = [asking.accept({"text": str(n)}) for n in range(2)][place]
    reply = asking.cancel(request_id)
    return reply if end == "cancel" else asking.send("GET", f"/v1/requests/{request_id}/{end}")


def failing(kind: type) -> Reply:
    """Ask for the result of a job whose error is of this kind; they come by turns."""
    replies = (failed(str(n)) for n in range(100))
    return next(reply for reply in replies if isinstance(read(reply)["error"], kind))


def failed(text: str) -> Reply:
    asking = faulty("failed", "no-times")
    request_id = asking.accept({"text": text})
    asking.now = LATER
    return asking.result(request_id)


def somebody_elses() -> Reply:
    asking = faulty(other_tokens=frozenset({"another"}))
    headers = {**HEADERS, "Authorization": "Bearer another"}
    return asking.send("GET", f"/v1/requests/{asking.accept()}/result", headers=headers)


def internal_error() -> Reply:
    """500, 502 and 503 take turns."""
    asking = faulty("poll-5xx")
    request_id = asking.accept()
    replies = (asking.result(request_id) for _ in range(3))
    return next(reply for reply in replies if reply.status == 500)


def cancel_with_a_body() -> Reply:
    asking = faulty()
    return asking.send("POST", f"/v1/requests/{asking.accept()}/cancel", b"{}")


def with_account(account: Account) -> Callable[[], Reply]:
    return lambda: submitting(account=account)


PRODUCED: dict[str, tuple[str, Callable[[], Reply]]] = {
    "submit_accepted.json": ("submit", submitting),
    "submit_accepted_bare.json": ("submit", lambda: submitting("bare-acceptance")),
    "status_in_queue.json": ("status", lambda: status_of(place=3)),
    "status_in_progress.json": ("status", status_of),
    "status_completed.json": ("status", lambda: status_of(now=LATER)),
    "status_cancelled.json": ("status", lambda: cancelling(end="status")),
    "result_in_queue.json": ("result", lambda: result_of("no-times", place=1, now=0)),
    "result_in_progress.json": ("result", lambda: result_of("no-times", now=0)),
    "result_unknown_state.json": (
        "result",
        lambda: result_of("no-times", "unknown-state", now=0),
    ),
    "result_completed.json": ("result", result_of),
    "result_completed_cost_alone.json": (
        "result",
        lambda: result_of(query="?include_cost=true"),
    ),
    "result_succeeded.json": ("result", lambda: result_of("succeeded", "videos", "no-times")),
    "result_failed.json": ("result", lambda: failing(dict)),
    "result_failed_error_text.json": ("result", lambda: failing(str)),
    "result_cancelled.json": ("result", lambda: cancelling("no-times", end="result")),
    "result_canceled.json": ("result", lambda: cancelling("no-times", "canceled", end="result")),
    "cancel_cancelled.json": ("cancel", lambda: cancelling(end="cancel")),
    "cancel_not_cancellable.json": ("cancel", lambda: cancelling(end="cancel", place=0)),
    "cancel_requested.json": (
        "cancel",
        lambda: cancelling("cancellation-requested", end="cancel"),
    ),
    "error_400001_invalid_model_id.json": ("submit", lambda: submitting(model="no id")),
    "error_400002_insufficient_balance.json": ("submit", with_account(Account.EMPTY)),
    "error_400004_account.json": ("submit", with_account(Account.EXPIRED)),
    "error_400005_not_ready.json": ("result", lambda: result_of("not-ready-400", now=0)),
    "error_401001_unauthorized.json": ("submit", lambda: submitting(token="another")),
    "error_402001_payment_required.json": ("submit", with_account(Account.UNPAID)),
    "error_403001_permission_denied.json": ("submit", with_account(Account.DENIED)),
    "error_403003_somebody_elses.json": ("result", somebody_elses),
    "error_404001_not_found.json": ("result", lambda: faulty().result(str(uuid.uuid4()))),
    "error_422001_validation.json": (
        "submit",
        lambda: submitting(document={"text": "a", "duration": 13}),
    ),
    "error_422001_detail_text.json": ("cancel", cancel_with_a_body),
    "error_429_too_many_requests.json": ("submit", lambda: submitting("429")),
    "error_500001_internal.json": ("result", internal_error),
    "error_code_and_message.json": (
        "submit",
        lambda: submitting("code-and-message", token="another"),
    ),
    "gateway_502.html": ("submit", lambda: submitting("html-502")),
    "gateway_504.html": ("submit", lambda: submitting("html-504")),
}
"""For each sample, whom it answers and how the simulator is brought to say it."""


def shape(value: object, name: str = "") -> object:
    """Reduce a body to what is documented of it: fields, types, words and codes.

    The error of a failed job may be any JSON, so that only its type counts.
    """
    if name in ("status", "outcome"):
        return value if value in WORDS else "a word that nobody documented"
    if name == "error_code":
        return value
    if isinstance(value, dict) and name != "error":
        return {key: shape(inner, key) for key, inner in value.items()}
    if isinstance(value, list) and name != "loc":
        return [shape(value[0])] if value else []
    return type(value).__name__


def title(page: bytes) -> str:
    found = re.search(rb"<title>(.*)</title>", page)
    assert found is not None
    return found[1].decode()


def test_every_sample_is_used_on_both_sides_or_says_why_not() -> None:
    """The index has each for the client; here each is produced, or the index has the reason."""
    files = {path.name for path in SAMPLES.iterdir()} - {"index.json"}
    by_the_client = {row["file"] for row in INDEX}
    excused = {row["file"] for row in INDEX if row.get("not_by_the_simulator", "").strip()}
    assert files == by_the_client
    assert PRODUCED.keys() | excused == files
    assert not PRODUCED.keys() & excused


@pytest.mark.parametrize("file", PRODUCED)
def test_the_simulator_says_what_the_samples_say(file: str) -> None:
    """The same fields with the same types, words and codes, under an HTTP status of the index."""
    call, produce = PRODUCED[file]
    reply = produce()
    statuses = {row["status"] for row in INDEX if (row["call"], row["file"]) == (call, file)}
    assert reply.status in statuses
    sample = (SAMPLES / file).read_bytes()
    if file.endswith(".html"):
        assert reply.headers["Content-Type"].startswith("text/html")
        assert title(reply.body) == title(sample)
    else:
        assert shape(read(reply)) == shape(json.loads(sample))
