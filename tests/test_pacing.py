"""Pacing: backoff, the gate and its brake, the working limit, the rate; numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from seedance_async.jobs import ErrorInfo
from seedance_async.pacing import AdaptiveLimit, Admission, Gate, Rate, RetryPolicy

ATTEMPTS = st.integers(0, 100) | st.integers(0, 10**30)
CHANCE = st.floats(0, 1, exclude_max=True)
RETRY_AFTER = st.none() | st.floats(0, 1e6)
SECONDS = st.floats(0, 1e4)


def rolling(number: float) -> Callable[[], float]:
    """Return dice that always show `number`."""
    return lambda: number


# --- RetryPolicy ---------------------------------------------------------------------------


def test_the_ceiling_of_the_backoff_doubles_up_to_its_maximum() -> None:
    """0.5, 1, 2, 4, 8, then 15 s for ever, of which the jitter takes any part."""
    highest = RetryPolicy(random=rolling(1.0))
    assert [highest.backoff(attempt) for attempt in range(8)] == [0.5, 1, 2, 4, 8, 15, 15, 15]
    assert RetryPolicy(random=rolling(0.5)).backoff(2) == 1.0
    assert RetryPolicy(random=rolling(0.0)).backoff(7) == 0.0


@given(ATTEMPTS, CHANCE)
def test_a_backoff_never_leaves_its_bounds(attempt: int, chance: float) -> None:
    """Whatever the attempt, however large its number: from 0 to `maximum`."""
    assert 0 <= RetryPolicy(random=rolling(chance)).backoff(attempt) <= 15


@given(ATTEMPTS, RETRY_AFTER, CHANCE)
def test_a_failed_poll_waits_at_least_retry_after_and_at_most_one_backoff_more(
    attempt: int, retry_after: float | None, chance: float
) -> None:
    """Retry-After is the floor, up to 15 minutes; a poll is never repeated at once."""
    delay = RetryPolicy(random=rolling(chance)).poll_backoff(attempt, retry_after)
    floor = max(min(retry_after or 0.0, 900.0), 0.05)
    assert floor <= delay <= floor + 15


@given(ATTEMPTS, RETRY_AFTER, CHANCE)
def test_a_pause_after_a_429_has_retry_after_as_its_floor_and_15_minutes_as_its_ceiling(
    attempt: int, retry_after: float | None, chance: float
) -> None:
    """Jitter comes on top of the floor, so that many sessions do not come back together."""
    pause = RetryPolicy(random=rolling(chance)).pause(attempt, retry_after)
    step = min(60.0, 2.0 ** min(attempt, 6))
    floor = step / 2 if retry_after is None else retry_after
    assert min(floor, 900) <= pause <= min(floor + step / 2, 900)


def test_the_dice_of_a_policy_are_those_that_were_given() -> None:
    """Jitter is injected: equal dice, equal seconds; and they stay out of the repr."""
    thrown = iter([0.25, 0.75])
    policy = RetryPolicy(random=lambda: next(thrown))
    assert [policy.backoff(1), policy.pause(0, 10.0)] == [0.25, 10.375]
    assert "random" not in repr(policy)


# --- Gate ----------------------------------------------------------------------------------


def error(kind: str = "RejectedError", code: int | None = 422) -> ErrorInfo:
    """Return an error of one kind, its message different each time it matters not."""
    return ErrorInfo(kind, f"{kind} {code}", code=code)


class GateMachine(RuleBasedStateMachine):
    """Any order of answers, compared with what promise 4 says about their history."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()
        self.now = 0.0
        self.since_success: list[str] = []
        self.braked = False
        self.shut_since: float | None = None

    def _pulls_brake(self, news: str) -> bool:
        self.since_success.append(news)
        if news == "doubt":
            pulled = self.since_success.count("doubt") >= 3
        else:
            refusals = [word for word in self.since_success if word != "doubt"]
            pulled = len(refusals) >= 10 and len(set(refusals[-10:])) == 1
        newly = pulled and not self.braked
        self.braked |= pulled
        return newly

    @rule(seconds=st.sampled_from([0.5, 29.0, 30.0, 31.0, 1e6]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_submission_asks(self) -> None:
        said = self.gate.admit(self.now)
        if self.braked:
            assert said is Admission.SHUT
        elif self.shut_since is None:
            assert said is Admission.OPEN
        elif self.now < self.shut_since + 30:
            assert said is Admission.SHUT
        else:
            assert said is Admission.PROBE
            self.shut_since = self.now

    @rule()
    def a_submission_ends_in_doubt(self) -> None:
        assert self.gate.doubt(error("Doubt")) is self._pulls_brake("doubt")

    @rule(kind=st.sampled_from(["a", "a", "a", "b"]), times=st.integers(1, 10))
    def submissions_are_refused(self, kind: str, times: int) -> None:
        for _ in range(times):
            assert self.gate.refusal(error(kind)) is self._pulls_brake(kind)

    @rule()
    def the_account_is_in_trouble(self) -> None:
        self.gate.account_trouble(error("InsufficientBalanceError", 400002), self.now)
        self.shut_since = self.now

    @rule()
    def a_submission_is_accepted(self) -> None:
        opened = self.shut_since is not None and not self.braked
        assert self.gate.success(self.now) is opened
        self.since_success.clear()
        if opened:
            self.shut_since = None

    @rule()
    def the_journal_breaks(self) -> None:
        self.gate.stop(error("LedgerError", None))
        self.braked = True

    @precondition(lambda self: self.braked)
    @rule()
    def a_person_reopens(self) -> None:
        self.gate.reopen()
        self.braked, self.shut_since = False, None
        self.since_success.clear()
        assert self.gate.admit(self.now) is Admission.OPEN

    @invariant()
    def looking_uses_up_no_probe(self) -> None:
        waits = self.shut_since is not None and self.now < self.shut_since + 30
        assert self.gate.is_shut(self.now) is (self.braked or waits)
        assert self.gate.braked is self.braked


TestGate = GateMachine.TestCase


def test_one_probe_passes_every_30_seconds() -> None:
    """The account's trouble half-opens: of all who ask, one each 30 s gets through."""
    gate = Gate()
    gate.account_trouble(error(), 0.0)
    said = {second: gate.admit(float(second)) for second in range(1, 100)}
    assert [second for second, word in said.items() if word is Admission.PROBE] == [30, 60, 90]
    assert Admission.OPEN not in said.values()


def test_refusals_of_different_kinds_do_not_pull_the_brake() -> None:
    """Mixed refusals are many people's mistakes; a doubt between equal ones interrupts nothing."""
    gate = Gate()
    assert not any(gate.refusal(error("a" if n % 9 else "b")) for n in range(100))
    gate.success(1e9)
    assert [gate.refusal(error()) for _ in range(5)] == [False] * 5
    gate.doubt(error())
    assert [gate.refusal(error()) for _ in range(5)] == [False] * 4 + [True]
    assert not gate.refusal(error()), "only the one that pulled it says so"


# --- AdaptiveLimit -------------------------------------------------------------------------

NEWS = st.lists(
    st.tuples(
        st.sampled_from(["429", "completed", "completed", "ceiling"]), st.integers(1, 40), SECONDS
    )
)


@given(st.integers(1, 40), NEWS)
def test_the_working_limit_stays_between_one_and_the_ceiling(
    ceiling: int, news: list[tuple[str, int, float]]
) -> None:
    """Through any history; each cut and each growth is told, and no cut comes in a cooldown."""
    limit = AdaptiveLimit(ceiling)
    now, last_cut = 0.0, float("-inf")
    for word, number, seconds in news:
        now += seconds
        before = limit.limit
        if word == "429":
            if limit.limited(number, now):
                assert limit.limit < before
                assert now - last_cut >= 10
                last_cut = now
            else:
                assert limit.limit == before
        elif word == "completed":
            assert limit.completed() is (limit.limit != before)
            assert limit.limit in (before, before + 1)
        else:
            limit.set_ceiling(number)
            assert limit.limit == limit.ceiling == number
        assert 1 <= limit.limit <= limit.ceiling


@given(st.integers(2, 100), st.integers(0, 100))
def test_a_429_cuts_to_what_was_in_flight_and_clean_completions_grow_it_back(
    ceiling: int, in_flight: int
) -> None:
    """A cut takes 30% of what was really in flight; one round of completions adds about one."""
    limit = AdaptiveLimit(ceiling)
    assert limit.limited(in_flight, 0.0)
    assert limit.limit == max(1, int(min(ceiling, in_flight) * 0.7))
    rounds = 0
    while limit.limit < ceiling:
        for _ in range(limit.limit):
            limit.completed()
        rounds += 1
        assert rounds <= 2 * ceiling
    assert not limit.completed(), "it grows no further"


def test_429s_of_submissions_that_were_under_way_together_cut_once() -> None:
    """Their answers are one signal; after the cooldown the next one counts again."""
    limit = AdaptiveLimit(100)
    assert [limit.limited(100, now) for now in (0.0, 0.1, 5.0, 9.9, 10.0)] == [
        True,
        False,
        False,
        False,
        True,
    ]
    assert limit.limit == 49


# --- Rate ----------------------------------------------------------------------------------


@given(st.floats(0.01, 1000), st.lists(SECONDS, max_size=50))
def test_requests_are_spaced_evenly_whenever_they_come(
    per_second: float, pauses: list[float]
) -> None:
    """Two requests are never closer than the rate allows, and idle time is not saved up."""
    rate, now, left_at = Rate(per_second), 0.0, float("-inf")
    for pause in pauses:
        now += pause
        due = max(now, left_at + 1 / per_second)
        now += rate.delay(now)
        assert now == pytest.approx(due)
        rate.take(now)
        assert rate.delay(now) == pytest.approx(1 / per_second)
        left_at = now


@given(SECONDS)
def test_no_rate_bounds_nothing(now: float) -> None:
    """None lets every request pass at once."""
    rate = Rate(None)
    for _ in range(5):
        rate.take(now)
        assert rate.delay(now) == 0.0
