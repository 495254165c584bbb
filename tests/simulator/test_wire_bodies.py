"""The bodies of wire.md, sections 1 to 5 and 8, to the letter."""

import re
import uuid

import pytest

from seedance_async.simulator import Account, Simulator

from .asking import FAST, LATER, LITE, PRO, Asking, code, read


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
