"""Fault plans as values: when and where faults strike, their log, and its replay."""

import random
from collections.abc import Callable
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_async.simulator import KNOWN_FAULTS, Fault, FaultPlan, InjectedFault, Simulator
from seedance_async.simulator.fates import KNOWN_LATE
from seedance_async.simulator.faults import JOB, SILENT, STRIKES_AT

from .asking import FAST, LATER, LITE, Asking, code, read

PICTURE = "https://example.com/a.png"


def asking(*faults: Fault, **options: object) -> Asking:
    return Asking(Simulator(faults=FaultPlan(faults), **options))  # type: ignore[arg-type]


def test_a_window_of_time_begins_and_ends_to_the_second() -> None:
    """Seconds count from the simulator's start: its first request, or where a driver says."""
    there = asking(Fault("html-502", since=10, until=100))
    there.now = 5000.0
    assert there.submit().status == 200
    statuses = {}
    for second in (9.99, 10.0, 99.99, 100.0):
        there.now = 5000.0 + second
        statuses[second] = there.submit().status
    assert statuses == {9.99: 200, 10.0: 502, 99.99: 502, 100.0: 200}


def test_the_nth_request_and_no_other() -> None:
    """Requests are counted in the order in which they come, each body for itself or not."""
    there = asking(Fault("429", nth=3))
    replies = [there.submit({"text": str(n % 2)}).status for n in range(6)]
    assert replies == [200, 200, 429, 200, 200, 200]


def test_at_most_so_often() -> None:
    """`times` bounds the strikes."""
    there = asking(Fault("5xx-before-accept", times=2))
    replies = [there.submit({"text": str(n)}).status >= 500 for n in range(5)]
    assert replies == [True, True, False, False, False]


def test_only_at_one_endpoint_and_for_one_model() -> None:
    """A poll's fault may be bound to the status; a model by a part of its id."""
    there = asking(Fault("poll-5xx", endpoint="status"), Fault("html-504", model="lite"))
    request_id = there.accept()
    assert there.status(request_id).status >= 500
    assert there.result(request_id).status == 200
    assert there.submit({"prompt": "A fox", "first_frame_image_url": PICTURE}, LITE).status == 504
    assert there.submit(model=FAST).status == 200


def test_several_faults_of_one_name_each_have_their_say() -> None:
    """A rate for ever, and a storm for a while."""
    there = asking(Fault("429", rate=0.1), Fault("429", since=100, until=200))
    quiet = sum(there.submit({"text": f"quiet {n}"}).status == 429 for n in range(300))
    there.now = 150.0
    storm = sum(there.submit({"text": f"storm {n}"}).status == 429 for n in range(50))
    assert storm == 50
    assert 10 < quiet < 60


def test_an_outage_answers_nothing_and_has_seen_nothing() -> None:
    """Every endpoint is silent, and the books know of no request."""
    there = asking(Fault("outage", since=1, until=91))
    request_id = there.accept()
    books = there.simulator.books
    before = books.document()
    there.now = 90.9
    replies = [there.submit(), there.result(request_id), there.send("GET", "/v1/models")]
    assert all(reply.drop for reply in replies)
    assert books.document() == before
    there.now = 91.0
    assert read(there.result(request_id))["request_id"] == request_id


# --- the same faults whatever the order ------------------------------------------------------


def story(numbers: list[int], plan: FaultPlan, seed: int = 5) -> tuple[InjectedFault, ...]:
    """Let jobs be submitted, polled and cancelled in an order, and return the faults' log."""
    there = Asking(Simulator(capacity=3, faults=plan, seed=seed))
    accepted: dict[int, str] = {}
    for number in numbers:
        books = there.simulator.books
        before = len(books.accepted)
        there.submit({"text": f"fox {number}"})
        if len(books.accepted) > before:
            accepted[number] = books.accepted[-1].request_id
    for number in numbers:
        if number in accepted:
            for _ in range(3):
                there.result(accepted[number])
    return there.simulator.faults_log


def decided(log: tuple[InjectedFault, ...]) -> set[tuple[str, str, int]]:
    return {(fault.name, fault.subject, fault.number) for fault in log}


MANY = FaultPlan({"429": 0.2, "drop-after-accept": 0.2, "poll-5xx": 0.3, "failed": 0.3})


def test_the_order_of_requests_changes_no_fault() -> None:
    """The same batch meets the same faults at any concurrency."""
    numbers = list(range(60))
    log = story(numbers, MANY)
    random.Random(1).shuffle(numbers)
    assert decided(story(numbers, MANY)) == decided(log)
    assert decided(story(numbers, MANY, seed=6)) != decided(log)
    assert len(log) > 40


def test_a_log_is_replayed() -> None:
    """Even what depended on order and time comes again, and nothing else does."""
    plan = FaultPlan([Fault("429", nth=7), Fault("poll-5xx", rate=0.3, times=4), Fault("stuck")])
    log = story(list(range(20)), plan)
    assert {fault.name for fault in log} == {"429", "poll-5xx", "stuck"}
    lines = [fault.to_json() for fault in log]
    read_back = [InjectedFault.from_json(line) for line in lines]
    assert tuple(read_back) == log
    again = story(list(reversed(range(20))), FaultPlan.replaying(read_back))
    assert decided(again) == decided(log)


def test_a_line_that_is_no_fault_is_refused() -> None:
    """A log that was mixed up with something else says so."""
    with pytest.raises(ValueError, match="no line of a fault log"):
        InjectedFault.from_json('{"key": "fox"}')


def test_faults_are_told_as_they_happen() -> None:
    """A log on disk outlives whoever is killed."""
    told: list[InjectedFault] = []
    there = asking(Fault("429"), on_fault=told.append)
    there.submit()
    assert tuple(told) == there.simulator.faults_log
    assert len(told) == 1


# --- the command line's form -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("429=0.5", Fault("429", rate=0.5)),
        ("stuck,nth=3", Fault("stuck", nth=3)),
        ("outage,since=30,until=120", Fault("outage", since=30, until=120)),
        (
            "poll-5xx=0.2,endpoint=status,model=lite,times=4",
            Fault("poll-5xx", rate=0.2, endpoint="status", model="lite", times=4),
        ),
    ],
)
def test_faults_are_parsed(text: str, fault: Fault) -> None:
    """Name, rate, and conditions in any order."""
    assert Fault.parse(text) == fault
    assert FaultPlan.parse([text]) == FaultPlan([fault])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("429,nth=0", "nth of 429 is 0; it must be 1 or more"),
        ("429,nth=x", "nth of 429 is 'x', not a whole number"),
        ("429,times=1.5", "times of 429 is '1.5', not a whole number"),
        ("429,since=9,until=9", "429 from 9 s until 9 s is no span of time"),
        ("429,since=-1", "no span of time"),
        ("429,until=nan", "no span of time"),
        ("429,when=3", "'when=3' in '429,when=3' is not one of nth, times, since, until"),
        ("429,nth=1,nth=2", "each once"),
        ("429,model=", "model of 429 is empty"),
        ("429,endpoint=nowhere", "429 cannot be bound to the endpoint 'nowhere'"),
        ("stuck,endpoint=submit", "'submit': it belongs to no request: leave endpoint out"),
        ("unreachable=0.5", "unreachable takes since and until alone"),
        ("unreachable,model=lite", "unreachable takes since and until alone"),
    ],
)
def test_bad_faults_say_what_is_wrong(text: str, words: str) -> None:
    """The message names the fault, the word and the rule."""
    with pytest.raises(ValueError, match=r"429|stuck|unreachable") as caught:
        FaultPlan.parse([text])
    assert words in str(caught.value)


def test_one_fault_with_two_rates_is_refused_but_for_other_occasions() -> None:
    """Which of two rates was meant for the same requests, nobody knows."""
    FaultPlan.parse(["429=0.1", "429=0.5,since=10", "429=0.7,model=lite"])
    with pytest.raises(ValueError, match="given twice"):
        FaultPlan.parse(["429=0.1,since=10", "429=0.5,since=10"])


@given(
    st.sampled_from(sorted(KNOWN_FAULTS.keys() - SILENT.keys() - JOB.keys())),
    st.floats(0, 1),
    st.integers(1, 9) | st.none(),
    st.floats(0, 1000),
    st.floats(1001, 2000) | st.just(inf),
    st.data(),
)
def test_what_is_spelt_is_read(
    name: str, rate: float, nth: int | None, since: float, until: float, data: st.DataObject
) -> None:
    """The command line reaches all that Python does."""
    endpoint = data.draw(st.sampled_from(STRIKES_AT[name]) | st.none())
    words = [f"{name}={rate!r}", f"since={since!r}", f"until={until!r}"]
    words += [f"nth={nth}"] if nth else []
    words += [f"endpoint={endpoint}"] if endpoint else []
    expected = Fault(name, rate=rate, nth=nth, since=since, until=until, endpoint=endpoint)
    assert Fault.parse(",".join(words)) == expected


@pytest.mark.parametrize("make", [lambda: Fault("429", rate=2), lambda: Fault("stuk")])
def test_values_are_checked_in_python_too(make: Callable[[], Fault]) -> None:
    """As on the command line."""
    with pytest.raises(ValueError, match=r"rate of 429|unknown fault stuk"):
        make()


# --- spellings -----------------------------------------------------------------------------------


def test_other_spellings_of_the_answers() -> None:
    """What RunComfy's documents and clients spell in several ways, each can be had."""
    names = ["accepted-202", "bare-acceptance", "canceled", "no-times", "no-cost", "no-position"]
    there = asking(*map(Fault, names), Fault("code-and-message"), capacity=1)
    first, second = there.submit(), there.submit({"text": "another"})
    assert (first.status, list(read(first))) == (202, ["request_id"])
    running, queued = read(first)["request_id"], read(second)["request_id"]
    assert "queue_position" not in read(there.status(queued))
    assert there.cancel(queued).status == 202
    assert read(there.result(queued, "?include_cost=true")) == {
        "request_id": queued,
        "status": "canceled",
    }
    there.now = LATER
    assert read(there.result(running, "?include_cost=true")).keys() == {
        "request_id",
        "status",
        "output",
    }
    refused = read(there.submit({}))
    assert (refused["code"], "message" in refused, "error_code" in refused) == (422001, True, False)


def test_gateways_pages_with_and_without_a_job_behind_them() -> None:
    """Both are 502 and HTML; only one was billed."""
    for name, accepted in (("html-502", 0), ("html-502-after-accept", 1)):
        there = asking(Fault(name))
        reply = there.submit()
        assert (reply.status, reply.headers["Content-Type"][:9]) == (502, "text/html")
        assert len(there.simulator.books.accepted) == accepted


def test_a_refusal_for_now_keeps_its_retry_after_in_other_words() -> None:
    """The header is no part of the body's spelling."""
    there = asking(Fault("429"), Fault("code-and-message"))
    reply = there.submit()
    assert read(reply)["code"] == 429
    assert "Retry-After" in reply.headers
    assert code(asking(Fault("429")).submit()) == (429, 429)


# --- what only the wire's small print knows ----------------------------------------------------


def test_a_cancel_that_is_promised_and_not_kept() -> None:
    """The truth is what the result says: the job runs on and is billed."""
    there = asking(Fault("cancel-ignored"), capacity=1)
    there.accept()
    queued = there.accept({"text": "another"})
    answer = read(there.cancel(queued))
    assert answer == {"status": "cancelled", "outcome": "cancellation_requested"}
    assert read(there.result(queued))["status"] == "in_queue"
    assert there.simulator.books.cancelled == ()


def test_a_job_that_is_not_yet_known_is_404001_for_a_moment() -> None:
    """Submit and result may be answered by machines that have not talked to each other."""
    there = asking(Fault("not-yet-known"))
    request_id = there.accept()
    assert code(there.result(request_id)) == (404, 404001)
    there.now = KNOWN_LATE
    assert read(there.result(request_id))["status"] == "in_progress"


def test_a_video_that_is_missing_is_billed() -> None:
    """The job has completed, and its output is empty."""
    there = asking(Fault("no-video"))
    request_id = there.accept()
    there.now = LATER
    document = read(there.result(request_id))
    assert (document["status"], document["output"]) == ("completed", {})
    assert there.simulator.books.billed_usd == 0.25


def test_refusals_in_odd_clothes() -> None:
    """A 429 without Retry-After, and a refusal that calls itself 200."""
    reply = asking(Fault("429-bare")).submit()
    assert (code(reply), "Retry-After" in reply.headers) == ((429, 429), False)
    there = asking(Fault("refused-in-200"))
    assert code(there.submit()) == (200, 422001)
    assert there.simulator.books.accepted == ()


@pytest.mark.parametrize("status", [404, 502, 504])
def test_gateways_pages_while_polling(status: int) -> None:
    """None of them is the service's word about the job."""
    there = asking(Fault(f"poll-html-{status}"))
    reply = there.result(there.accept())
    assert (reply.status, reply.headers["Content-Type"][:9]) == (status, "text/html")


def test_a_fault_that_only_lost_the_throw_is_not_used_up() -> None:
    """Two that strike at once: one happens, the other has its turn later."""
    there = asking(Fault("429", times=1), Fault("429-bare", times=1))
    replies = [there.submit({"text": str(n)}).status for n in range(4)]
    assert replies == [429, 429, 200, 200]


def test_a_model_may_be_named_in_short_and_must_be_offered() -> None:
    """A fault for a model that nobody has would let a test pass for nothing."""
    assert asking(Fault("429", model="pro-fast")).submit().status == 429
    with pytest.raises(ValueError, match="no model is called 'sora', so 429 could never happen"):
        asking(Fault("429", model="sora"))


def test_books_refuse_a_kind_of_request_that_is_none() -> None:
    """A misspelt word would count nothing, and a test that wants nothing would pass."""
    with pytest.raises(ValueError, match="'submits' is none of submit, status"):
        asking().simulator.books.requests("submits")  # type: ignore[arg-type]
