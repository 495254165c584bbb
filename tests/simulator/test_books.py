"""The books: the bookkeeper's answers that other tests build on."""

import json

from seedance_async.simulator import FaultPlan, Simulator, canonical_json

from .asking import FAST, FOX, LATER, LITE, Asking, read


def test_paid_twice_sees_a_request_that_was_sent_again() -> None:
    """Two acceptances of one body, spelt in two ways, while the first may still be billed."""
    asking = Asking(Simulator())
    asking.accept({"text": "a", "duration": 5})
    assert asking.simulator.books.paid_twice() == ()
    asking.accept({"duration": 5, "text": "a"})
    asking.accept({"text": "b", "duration": 5})
    books = asking.simulator.books
    body = canonical_json({"text": "a", "duration": 5})
    assert body == '{"duration":5,"text":"a"}'
    assert books.paid_twice() == (body,)
    assert books.accepted_by_body() == {body: 2, body.replace('"a"', '"b"'): 1}
    assert books.billed_by_body() == books.accepted_by_body()


def test_the_same_body_for_another_model_is_another_request() -> None:
    """What is paid twice is a model's input."""
    schema = {"type": "object", "properties": {"text": {"type": "string"}, "duration": {}}}
    asking = Asking(Simulator(extra_models={"other/model": schema}))
    asking.accept(FOX)
    asking.accept(FOX, "other/model")
    assert asking.simulator.books.paid_twice() == ()


def test_sending_again_after_a_failure_or_a_cancellation_is_not_paying_twice() -> None:
    """A retry that a person asked for has one bill."""
    asking = Asking(Simulator(faults=FaultPlan({"failed": 1.0}), capacity=1))
    asking.accept()
    asking.now = LATER
    queued = asking.accept({"text": "in front"}), asking.accept(FOX)
    assert asking.simulator.books.paid_twice() == ()
    asking.cancel(queued[1])
    asking.accept(FOX)
    assert asking.simulator.books.paid_twice() == ()


def test_a_resend_counts_even_if_both_jobs_fail_later() -> None:
    """Luck is no excuse: when it was sent again, nobody could know."""
    asking = Asking(Simulator(faults=FaultPlan({"failed": 1.0})))
    asking.accept(), asking.accept()
    asking.now = LATER
    asking.simulator.advance(LATER)
    assert len(asking.simulator.books.paid_twice()) == 1


def test_billed_is_what_was_accepted_less_cancelled_and_failed() -> None:
    """Micro-dollars, right at any moment, and the same as the costs that results tell."""
    asking = Asking(Simulator(capacity=1, price_per_second=0.1, faults=FaultPlan({"failed": 0.3})))
    ids = [asking.accept({"text": str(n), "duration": 5 + n % 3}) for n in range(60)]
    for name in ids[10:50:4]:
        asking.cancel(name)
    before = asking.simulator.books.billed
    asking.now = LATER
    costs = [read(asking.result(name, "?include_cost=true"))["cost"] for name in ids]
    books = asking.simulator.books
    assert books.billed == before == round(sum(costs) * 1_000_000)
    assert 0 < len([cost for cost in costs if cost == 0]) < 60
    assert sum(books.billed_by_body().values()) == len([cost for cost in costs if cost])
    assert books.cancelled == tuple(ids[10:50:4])


def test_requests_and_polls_are_counted() -> None:
    """By kind, refused ones included; polls by id."""
    asking = Asking(Simulator())
    request_id = asking.accept()
    asking.submit({}, LITE)
    asking.send("GET", "/v1/models", headers={})
    asking.status(request_id), asking.result(request_id), asking.result("unknown")
    asking.cancel(request_id)
    books = asking.simulator.books
    assert (books.requests("submit"), books.requests("catalog")) == (2, 1)
    assert (books.requests("status"), books.requests("result")) == (1, 2)
    assert (books.requests("cancel"), books.requests("video")) == (1, 0)
    assert (books.polls(request_id), books.polls("unknown")) == (2, 1)


def test_an_entry_tells_who_what_and_when() -> None:
    """The acceptance has the id, the model, the body, the time and the price."""
    asking = Asking(Simulator(price_per_second=0.05), now=12.5)
    request_id = asking.accept(FOX)
    (entry,) = asking.simulator.books.accepted
    assert (entry.request_id, entry.model_id, entry.accepted_at) == (request_id, FAST, 12.5)
    assert (json.loads(entry.body), entry.price) == (FOX, 250_000)


def test_a_token_that_travels_to_a_video_is_noted() -> None:
    """Promise 6: whoever sends the token to a video host is found out."""
    asking = Asking(Simulator())
    request_id = asking.accept()
    asking.now = LATER
    path = asking.video_path(request_id)
    asking.send("GET", path, headers={"Range": "bytes=0-1"})
    assert not asking.simulator.books.token_leaks
    asking.send("GET", path)
    assert asking.simulator.books.token_leaks == (path,)
    assert asking.simulator.books.requests("video") == 2
