"""Faults as values: what can never strike is refused, and equal faults are two."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from seedance_async.simulator import KNOWN_FAULTS, Fault, FaultPlan, Simulator
from seedance_async.simulator.faults import ENDPOINTS, STRIKES_AT

from .asking import FAST, LATER, Asking, read


def asking(*faults: Fault) -> Asking:
    return Asking(Simulator(capacity=1, faults=FaultPlan(faults)))


# --- endpoints ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "endpoint", "way_out"),
    [
        ("429", "status", "it strikes only at submit; name one of these, or leave endpoint out"),
        ("poll-5xx", "cancel", "it strikes only at status, result; name one"),
        ("slow", "video", "it strikes only at submit, status, result, cancel, catalog; name"),
        ("truncated-video", "result", "it strikes only at video"),
        ("failed", "result", "it belongs to no request: leave endpoint out"),
        ("unreachable", "submit", "it belongs to no request: leave endpoint out"),
        ("outage", "books", "endpoints are submit, status, result, cancel, catalog, video"),
        ("poll-5xx", "poll", "endpoints are status, result"),
    ],
)
def test_a_fault_is_not_bound_to_where_it_can_never_strike(
    name: str, endpoint: str, way_out: str
) -> None:
    """A test that waits for it would pass for nothing."""
    with pytest.raises(ValueError, match="cannot be bound to the endpoint") as caught:
        Fault(name, endpoint=endpoint)
    assert str(caught.value).startswith(f"{name} cannot be bound to the endpoint {endpoint!r}: ")
    assert way_out in str(caught.value)


def visit_all(there: Asking) -> None:
    """Send a request of each kind, such that each fault has an occasion."""
    first, second = there.accept(), there.accept({"text": "another"})
    refused = [there.submit({}), there.status("nobody"), there.result("nobody")]
    assert all(reply.drop or reply.status >= 400 for reply in refused)
    there.status(first)
    there.result(first)
    there.cancel("nobody")
    there.cancel(second)
    there.send("GET", "/v1/models")
    there.send("GET", "/v1/models/nobody/none")
    there.now = LATER
    there.send("GET", there.video_path(first))


BINDINGS = [(name, place) for name in KNOWN_FAULTS for place in STRIKES_AT[name]]


@pytest.mark.parametrize(("name", "endpoint"), BINDINGS)
def test_a_fault_strikes_wherever_it_may_be_bound_to(name: str, endpoint: str) -> None:
    """Nothing that could never happen is allowed, and what is allowed happens there alone."""
    there = asking(Fault(name, endpoint=endpoint, times=1))
    with suppress(AssertionError, KeyError):  # the fault may stand in the way of what follows
        visit_all(there)
    assert {(fault.name, fault.endpoint) for fault in there.simulator.faults_log} == {
        (name, endpoint)
    }


def test_every_fault_has_its_places() -> None:
    """Whoever adds a fault says where it strikes."""
    assert STRIKES_AT.keys() == KNOWN_FAULTS.keys()
    assert {place for places in STRIKES_AT.values() for place in places} == set(ENDPOINTS)


# --- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["nth", "times"])
@pytest.mark.parametrize("count", [1.5, 2.0, "3", True])
def test_counts_are_whole_numbers(word: str, count: object) -> None:
    """The one-and-a-halfth request never comes."""
    wrong: dict[str, Any] = {word: count}
    with pytest.raises(ValueError, match=f"{word} of 429 is {count!r}; it must be a whole number"):
        Fault("429", **wrong)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: Simulator(latency="0.2"),  # type: ignore[arg-type]
            "latency is '0.2'; pass seconds as a number, as in 0.2, or a distribution",
        ),
        (
            lambda: Simulator(latency={"submit": None}),  # type: ignore[dict-item]
            "latency is None; pass seconds as a number",
        ),
        (
            lambda: Simulator(balance_usd=-1.0),
            "balance_usd is -1.0; it must be 0 or more, or None for any amount",
        ),
    ],
)
def test_a_simulator_refuses_what_makes_no_sense(make: Callable[[], object], says: str) -> None:
    """At once, not at the first request."""
    with pytest.raises(ValueError, match=r"latency|balance") as caught:
        make()
    assert says in str(caught.value)


def test_a_balance_is_checked_when_it_is_changed_too() -> None:
    """It may be set while the simulator runs."""
    simulator = Simulator(balance_usd=0.0)
    with pytest.raises(ValueError, match="balance_usd is -1"):
        simulator.balance_usd = -1.0
    assert simulator.balance_usd == 0.0


# --- equal faults, and models --------------------------------------------------------------------


def test_two_equal_faults_each_strike_as_often_as_they_may() -> None:
    """They count for themselves: two that strike once strike twice."""
    there = asking(Fault("429", times=1), Fault("429", times=1))
    assert [there.submit({"text": str(n)}).status for n in range(4)] == [429, 429, 200, 200]


def test_two_equal_faults_both_mean_the_same_nth_request() -> None:
    """Counted together, the third of one would be the second."""
    there = asking(Fault("429", nth=3), Fault("429", nth=3))
    assert [there.submit({"text": str(n)}).status for n in range(5)] == [200, 200, 429, 200, 200]


def test_a_fault_knows_its_models() -> None:
    """A part of the id, or the short name that people use."""
    assert Fault("429").befalls(FAST)
    assert Fault("429", model="pro-fast").befalls(FAST)
    assert Fault("429", model="pro/fast").befalls(FAST)
    assert not Fault("429", model="lite").befalls(FAST)
    assert read(asking(Fault("429", model="pro-fast")).submit())["error_code"] == 429
