"""Every fault: what it does to the answer, and what it does not do to the books."""

import json
from email.utils import parsedate_to_datetime

import pytest

from seedance_async.simulator import KNOWN_FAULTS, FaultPlan, Reply, Simulator
from seedance_async.simulator.fates import EXPIRES_SOON, STATES

from .asking import LATER, Asking, code, read


def with_fault(name: str, rate: float = 1.0) -> Asking:
    return Asking(Simulator(capacity=2, faults=FaultPlan({name: rate})))


def unreadable(reply: Reply) -> bool:
    """Whether an answer arrives cut short, or whole but no JSON."""
    if reply.cut is not None:
        return reply.cut < len(reply.body)
    try:
        json.loads(reply.body)
    except ValueError:
        return reply.headers["Content-Length"] == str(len(reply.body))
    return False


@pytest.mark.parametrize("name", ["drop-before-accept", "html-504", "5xx-before-accept", "429"])
def test_before_accept_nothing_is_accepted(name: str) -> None:
    """A fault before the acceptance leaves no job behind."""
    asking = with_fault(name)
    reply = asking.submit()
    books = asking.simulator.books
    assert (len(books.accepted), books.billed, books.requests("submit")) == (0, 0, 1)
    assert reply.drop or reply.status >= 429
    (entry,) = asking.simulator.faults_log
    assert (entry.name, entry.endpoint, entry.request_id) == (name, "submit", None)


@pytest.mark.parametrize("name", ["drop-after-accept", "5xx-after-accept", "truncated-json"])
def test_after_accept_the_job_exists(name: str) -> None:
    """A fault after the acceptance hides a job that runs and is billed."""
    asking = with_fault(name)
    reply = asking.submit()
    (accepted,) = asking.simulator.books.accepted
    assert reply.drop or reply.status >= 500 or unreadable(reply)
    (entry,) = asking.simulator.faults_log
    assert (entry.name, entry.request_id) == (name, accepted.request_id)
    asking.now = LATER
    assert read(asking.result(accepted.request_id))["status"] == "completed"


def test_429_asks_to_wait_in_seconds_and_dates_by_turns() -> None:
    """Retry-After comes in both spellings; a date counts from the Date beside it."""
    asking = with_fault("429")
    asking.now = 100.5
    replies = [asking.submit() for _ in range(6)]
    assert {code(reply) for reply in replies} == {(429, 429)}
    waits = []
    for reply in replies:
        value = reply.headers["Retry-After"]
        if "Date" in reply.headers:
            begin = parsedate_to_datetime(reply.headers["Date"])
            waits.append((parsedate_to_datetime(value) - begin).total_seconds())
            assert begin.timestamp() == asking.simulator.epoch + 101
        else:
            waits.append(float(value))
    dated = ["Date" in reply.headers for reply in replies]
    assert dated in ([False, True] * 3, [True, False] * 3)
    assert waits in ([1, 2, 3] * 2, [2, 3, 1] * 2, [3, 1, 2] * 2)


def test_server_errors_take_turns() -> None:
    """5xx faults go through 500, 502 and 503, each with code 500001."""
    asking = with_fault("5xx-before-accept")
    answers = [code(asking.submit()) for _ in range(4)]
    assert set(answers) == {(500, 500001), (502, 500001), (503, 500001)}
    assert answers[0] == answers[3]


@pytest.mark.parametrize("name", ["truncated-json", "poll-truncated-json"])
def test_truncated_answers_are_cut_and_unreadable_by_turns(name: str) -> None:
    """Once the connection ends too early, once the body itself is half."""
    asking = with_fault(name)
    if name == "truncated-json":
        replies = [asking.submit() for _ in range(2)]
    else:
        request_id = asking.accept()
        replies = [asking.result(request_id), asking.status(request_id)]
    assert all(unreadable(reply) for reply in replies)
    assert {reply.cut is None for reply in replies} == {False, True}


@pytest.mark.parametrize(
    ("name", "status"),
    [("poll-html-504", 504), ("poll-5xx", 503), ("poll-429", 429), ("error-in-200", 200)],
)
def test_a_spoilt_poll_says_nothing_about_the_job(name: str, status: int) -> None:
    """Both polls are spoilt, submit and cancel are not."""
    asking = with_fault(name)
    request_id = asking.accept()
    for reply in (asking.result(request_id), asking.status(request_id)):
        assert request_id.encode() not in reply.body
    assert asking.cancel(request_id).status == 202
    assert with_fault(name).submit().status == 200
    fresh = with_fault(name)
    reply = fresh.result(fresh.accept())
    assert reply.status == status or (name == "poll-5xx" and reply.status in (500, 502))
    if name == "poll-html-504":
        assert reply.headers["Content-Type"].startswith("text/html")
    else:
        assert read(reply)["error_code"] in (500001, 429)


def test_a_dropped_poll_has_no_answer() -> None:
    """poll-drop closes the connection."""
    asking = with_fault("poll-drop")
    assert asking.result(asking.accept()).drop


def test_slow_delays_any_api_answer() -> None:
    """The plan says by how many seconds."""
    asking = Asking(Simulator(faults=FaultPlan({"slow": 1.0}, slow_seconds=40.0)))
    assert asking.submit().delay == 40.0
    assert asking.send("GET", "/v1/models").delay == 40.0


@pytest.mark.parametrize("name", ["cancel-drop", "cancel-5xx", "cancellation-requested"])
def test_a_spoilt_cancel_has_cancelled_all_the_same(name: str) -> None:
    """The job is cancelled, whatever the answer looks like."""
    asking = Asking(Simulator(capacity=1, faults=FaultPlan({name: 1.0})))
    _, queued = asking.accept({"text": "a"}), asking.accept()
    reply = asking.cancel(queued)
    if name == "cancellation-requested":
        assert read(reply) == {"status": "cancelled", "outcome": "cancellation_requested"}
    else:
        assert reply.drop or reply.status in (500, 502, 503)
    assert read(asking.result(queued))["status"] == "cancelled"


def test_cancellation_is_not_requested_where_it_is_too_late() -> None:
    """The other spelling is for jobs that were cancelled."""
    asking = with_fault("cancellation-requested")
    assert read(asking.cancel(asking.accept()))["outcome"] == "not_cancellable"


def test_failed_reads_completed_on_the_status_and_failed_on_the_result() -> None:
    """Section 2: only the result tells; `error` is any JSON; nothing is billed."""
    asking = Asking(Simulator(capacity=30, faults=FaultPlan({"failed": 1.0})))
    ids = [asking.accept({"text": str(n)}) for n in range(30)]
    assert read(asking.result(ids[0]))["status"] == "in_progress"
    asking.now = LATER
    errors = []
    for request_id in ids:
        assert read(asking.status(request_id))["status"] == "completed"
        document = read(asking.result(request_id, "?include_cost=true"))
        assert (document["status"], document["cost"]) == ("failed", 0.0)
        assert "output" not in document
        errors.append(type(document["error"]))
    assert set(errors) == {dict, str}
    assert asking.simulator.books.billed == 0


def test_stuck_jobs_never_end_but_do_not_block_the_queue() -> None:
    """They read in_progress for ever; their slots become free."""
    asking = with_fault("stuck")
    ids = [asking.accept({"text": str(n)}) for n in range(9)]
    asking.now = LATER
    assert {read(asking.result(name))["status"] for name in ids} == {"in_progress"}
    assert (asking.simulator.running, asking.simulator.waiting) == (0, 0)


def test_expired_ids_are_forgotten_soon_after_the_end() -> None:
    """There is a moment to read the result, then 404001; the job is billed."""
    asking = with_fault("expired")
    request_id = asking.accept()
    job = asking.simulator._jobs[request_id]
    asking.now = job.work_seconds
    assert read(asking.result(request_id))["status"] == "completed"
    asking.now += EXPIRES_SOON
    assert code(asking.result(request_id)) == (404, 404001)
    assert asking.simulator.books.billed == job.price


def test_spellings_of_a_jobs_answers() -> None:
    """succeeded, not-ready-400, unknown-state and videos belong to a job for its whole life."""
    plan = FaultPlan({"succeeded": 1, "not-ready-400": 1, "unknown-state": 1, "videos": 1})
    asking = Asking(Simulator(faults=plan))
    request_id = asking.accept()
    for _ in range(2):
        assert code(asking.result(request_id)) == (400, 400005)
        assert read(asking.status(request_id))["status"] in STATES
    asking.now = LATER
    document = read(asking.result(request_id))
    assert document["status"] == "succeeded"
    assert list(document["output"]) == ["videos"]
    assert len(set(document["output"]["videos"])) == 2
    assert read(asking.status(request_id))["status"] == "completed"
    for url in document["output"]["videos"]:
        path = url.removeprefix(asking.simulator.public_url)
        assert asking.send("GET", path, headers={}).status == 200


def test_unknown_states_show_on_the_result_too() -> None:
    """A job in flight reads as a state that nobody documented."""
    asking = Asking(Simulator(capacity=30, faults=FaultPlan({"unknown-state": 1.0})))
    names = {read(asking.result(asking.accept({"text": str(n)})))["status"] for n in range(30)}
    assert names == set(STATES)


def test_truncated_and_slow_videos() -> None:
    """A download ends half-way, or crawls; HEAD is left alone."""
    plan = FaultPlan({"truncated-video": 1, "slow-video": 1}, slow_bandwidth=100.0)
    asking = Asking(Simulator(faults=plan))
    request_id = asking.accept()
    asking.now = LATER
    path = asking.video_path(request_id)
    reply = asking.send("GET", path, headers={})
    assert reply.cut == len(reply.body) // 2
    assert reply.bandwidth == 100.0
    assert asking.send("HEAD", path, headers={}).cut is None
    assert {entry.endpoint for entry in asking.simulator.faults_log} == {"video"}


def test_every_known_fault_can_strike_and_is_logged() -> None:
    """No name is only a name: each one shows in the log of a session that does everything."""
    for name in KNOWN_FAULTS.keys() - {"outage", "unreachable"}:  # nothing is seen of those
        asking = Asking(Simulator(capacity=1, faults=FaultPlan({name: 1.0})))
        for n in range(2):
            asking.submit({"text": str(n)})
        for entry in reversed(asking.simulator.books.accepted):
            asking.status(entry.request_id)
            asking.cancel(entry.request_id)
        asking.now = LATER
        for path in asking.simulator._videos:
            asking.result("x")
            asking.submit({})
            asking.send("GET", path, headers={})
        assert {entry.name for entry in asking.simulator.faults_log} == {name}


def test_rates_are_kept_and_streams_are_independent() -> None:
    """A rate is a rate; another fault beside it does not move its hits."""

    def hits(rates: dict[str, float]) -> list[float]:
        asking = Asking(Simulator(capacity=2, faults=FaultPlan(rates), seed=5))
        for second in range(2000):
            asking.now = float(second)
            asking.submit({"text": str(second)})
        return [e.at for e in asking.simulator.faults_log if e.name == "429"]

    alone = hits({"429": 0.1})
    assert 150 < len(alone) < 250
    assert hits({"429": 0.1, "slow": 0.3, "5xx-after-accept": 0.3}) == alone
    assert set(alone) < set(hits({"429": 0.2}))


def test_plans_are_parsed() -> None:
    """The command line's form."""
    plan = FaultPlan.parse(["drop-after-accept=0.05", "429=1"])
    assert plan == FaultPlan({"drop-after-accept": 0.05, "429": 1.0})
    assert FaultPlan.parse([]) == FaultPlan()


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("drop", "'drop' is not NAME=RATE"),
        ("drop=0.1", "unknown fault drop; known are drop-before-accept, html-504"),
        ("429=often", "rate of 429 is 'often', not a number"),
        ("429=1.5", "rate of 429 is 1.5; it must lie between 0 and 1"),
        ("429=-1", "between 0 and 1"),
        ("429=nan", "between 0 and 1"),
    ],
)
def test_bad_plans_say_what_is_wrong(argument: str, words: str) -> None:
    """The messages name the argument, and what is known."""
    with pytest.raises(ValueError, match=r"429|drop") as caught:
        FaultPlan.parse([argument])
    assert words in str(caught.value)


def test_a_fault_given_twice_is_refused() -> None:
    """Which of two rates was meant, nobody knows."""
    with pytest.raises(ValueError, match="429 is given twice"):
        FaultPlan.parse(["429=0.1", "429=0.2"])
