"""The account behind the token, other accounts, latency, and the books for everybody."""

import json
from collections.abc import Mapping

import pytest

from seedance_async.simulator import (
    Account,
    Delay,
    Fixed,
    Lognormal,
    Simulator,
    Uniform,
)
from seedance_async.simulator.delays import parse_delay

from .asking import FOX, LATER, TOKEN, Asking, code, read


@pytest.mark.parametrize(
    ("account", "answer"),
    [
        (Account.EMPTY, (400, 400002)),
        (Account.UNPAID, (402, 402001)),
        (Account.DENIED, (403, 403001)),
        (Account.EXPIRED, (400, 400004)),
    ],
)
def test_an_account_in_trouble_takes_nothing_on(account: Account, answer: tuple[int, int]) -> None:
    """What runs, runs on, and can be seen unless the account is gone."""
    asking = Asking(Simulator())
    request_id = asking.accept()
    asking.simulator.account = account
    assert code(asking.submit()) == answer
    seen = asking.result(request_id)
    assert seen.status == (400 if account is Account.EXPIRED else 200)
    assert len(asking.simulator.books.accepted) == 1


def test_a_balance_is_used_up_and_comes_back_with_a_cancellation() -> None:
    """Each video of five seconds costs a quarter of a dollar here."""
    asking = Asking(Simulator(capacity=1, price_per_second=0.05, balance_usd=0.6))
    asking.accept({"text": "a", "duration": 5})
    queued = asking.accept({"text": "b", "duration": 5})
    assert code(asking.submit({"text": "c", "duration": 5})) == (400, 400002)
    asking.cancel(queued)
    asking.accept({"text": "c", "duration": 5})
    assert asking.simulator.books.billed_usd == 0.5


def test_somebody_elses_job_is_403003() -> None:
    """Each token is an account of its own; neither sees the other's jobs."""
    asking = Asking(Simulator(other_tokens=frozenset({"theirs"})))
    request_id = asking.accept()
    theirs = {"Authorization": "Bearer theirs", "Content-Type": "application/json"}
    for end, method in (("result", "GET"), ("status", "GET"), ("cancel", "POST")):
        reply = asking.send(method, f"/v1/requests/{request_id}/{end}", headers=theirs)
        assert code(reply) == (403, 403003)
    stranger = {"Authorization": "Bearer nobody", "Content-Type": "application/json"}
    reply = asking.send("GET", f"/v1/requests/{request_id}/result", headers=stranger)
    assert code(reply) == (401, 401001)
    assert asking.result(request_id).status == 200


# --- latency, bandwidth, durations -------------------------------------------------------------


def test_latency_is_drawn_by_endpoint_and_by_what_is_asked() -> None:
    """Equal requests of equal seeds wait equally long, whatever came between them."""
    latency: Mapping[str, Delay | float] = {"submit": Lognormal(0.2, 0.5), "result": 1.5}

    def delays(numbers: list[int]) -> dict[int, float]:
        asking = Asking(Simulator(latency=latency))
        return {n: asking.submit({"text": str(n)}).delay for n in numbers}

    first = delays(list(range(200)))
    assert delays(list(reversed(range(200)))) == first
    assert 0.15 < sorted(first.values())[100] < 0.27
    asking = Asking(Simulator(latency=latency))
    request_id = asking.accept()
    assert (asking.result(request_id).delay, asking.status(request_id).delay) == (1.5, 0.0)
    assert Asking(Simulator(latency=0.3)).send("GET", "/v1/models").delay == 0.3


def test_all_videos_may_be_slow() -> None:
    """Bytes a second, as a link would have it."""
    asking = Asking(Simulator(bandwidth=50_000.0))
    request_id = asking.accept()
    asking.now = LATER
    assert asking.send("GET", asking.video_path(request_id), headers={}).bandwidth == 50_000.0


def test_durations_can_be_given() -> None:
    """In seconds, before `speed` divides them."""
    asking = Asking(Simulator(durations=Fixed(30.0), speed=2.0))
    request_id = asking.accept()
    asking.now = 14.99
    assert read(asking.result(request_id))["status"] == "in_progress"
    asking.now = 15.0
    assert read(asking.result(request_id))["status"] == "completed"


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("0.2", Fixed(0.2)),
        ("fixed:3", Fixed(3.0)),
        ("uniform:0.1,0.4", Uniform(0.1, 0.4)),
        ("lognormal:30,0.3", Lognormal(30.0, 0.3)),
    ],
)
def test_distributions_are_parsed(text: str, delay: object) -> None:
    """A number alone is always so many seconds."""
    assert parse_delay(text) == delay


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is no distribution of seconds; write 0.2, uniform:0.1,0.4"),
        ("soon", "is no distribution"),
        ("uniform:1", "is no distribution"),
        ("gamma:1,2", "is no distribution"),
        ("uniform:2,1", "high is 1.0, below low, which is 2.0"),
        ("lognormal:0,1", "median is 0.0; it must be above 0"),
        ("-1", "seconds is -1.0; it must be 0 or more"),
        ("inf", "must be 0 or more, and finite"),
    ],
)
def test_bad_distributions_say_what_is_wrong(text: str, words: str) -> None:
    """And how to write one."""
    with pytest.raises(ValueError, match=r"distribution|must|below") as caught:
        parse_delay(text)
    assert words in str(caught.value)


def test_a_latency_of_nowhere_and_a_bandwidth_of_nothing_are_refused() -> None:
    """The endpoints are named."""
    with pytest.raises(ValueError, match=r"latency for \['poll'\]; endpoints are submit, status"):
        Simulator(latency={"poll": 1.0})
    with pytest.raises(ValueError, match="bandwidth is 0"):
        Simulator(bandwidth=0)


# --- the books for everybody -------------------------------------------------------------------


def test_the_books_can_be_asked_for_without_a_token() -> None:
    """For tests in other processes and other languages; asking is in no count."""
    asking = Asking(Simulator(capacity=1))
    running, queued = asking.accept(), asking.accept({"text": "b"})
    asking.result(running)
    asking.cancel(queued)
    reply = asking.send("GET", "/simulator/books", headers={})
    books = json.loads(reply.body)
    first, second = books["accepted"]
    assert (first["request_id"], first["input"], first["polls"]) == (running, FOX, 1)
    assert (first["billed"], first["cancelled"]) == (True, False)
    assert (second["billed"], second["cancelled"]) == (False, True)
    assert books["billed_usd"] == 0.25
    assert books["requests"] == {"submit": 2, "result": 1, "cancel": 1}
    assert books["paid_twice"] == []
    assert TOKEN not in reply.body.decode()
