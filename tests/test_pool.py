"""The pool: whom it lets pass, and that no slot is ever lost or given twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedance_async import SessionClosedError
from seedance_async.pacing import AdaptiveLimit
from seedance_async.pool import Pool, Slot, admissible
from seedance_async.simulator.virtualtime import run

# --- the decision --------------------------------------------------------------------------

COUNT = st.integers(0, 50)
NUMBERS = st.fixed_dictionaries(
    {
        "waiting": COUNT,
        "submitting": COUNT,
        "tracked": COUNT,
        "limit": st.integers(1, 50),
        "max_submitting": st.integers(1, 50),
    }
)


def fits(passing: int, numbers: dict[str, int]) -> bool:
    """Tell whether so many more submissions keep both bounds."""
    submitting = numbers["submitting"] + passing
    return (
        submitting + numbers["tracked"] <= numbers["limit"]
        and submitting <= numbers["max_submitting"]
    )


@given(NUMBERS)
def test_as_many_pass_as_both_bounds_allow_and_no_more(numbers: dict[str, int]) -> None:
    """Nobody passes beyond a bound, nobody waits for no reason, and a count is no debt."""
    passing = admissible(**numbers)
    assert 0 <= passing <= numbers["waiting"]
    assert passing == 0 or fits(passing, numbers)
    assert passing == numbers["waiting"] or not fits(passing + 1, numbers)


@given(NUMBERS, st.sampled_from(["waiting", "limit", "max_submitting", "submitting", "tracked"]))
def test_more_room_never_lets_fewer_pass(numbers: dict[str, int], name: str) -> None:
    """Monotone in each number: up in waiters and bounds, down in what is taken."""
    more = admissible(**{**numbers, name: numbers[name] + 1})
    change = more - admissible(**numbers)
    assert change in ((0, 1) if name in {"waiting", "limit", "max_submitting"} else (0, -1))


# --- the pool ------------------------------------------------------------------------------

ACTS = ["ask", "ask", "ask", "cancel", "track", "release", "release", "turn", "limit", "attach"]


class Play:
    """Any order of acts upon a pool, with what must hold after each of them."""

    def __init__(self, limit: int, max_submitting: int) -> None:
        self.limit = AdaptiveLimit(limit)
        self.max_submitting = max_submitting
        self.pool = Pool(self.limit, max_submitting)
        self.asks: list[asyncio.Task[None]] = []
        self.granted: list[int] = []
        self.held: list[Slot] = []
        self.tracked = 0

    async def ask(self, number: int) -> None:
        slot = await self.pool.acquire()
        self.granted.append(number)
        self.held.append(slot)

    async def act(self, act: str, number: int) -> None:
        before = self.pool.submitting + self.pool.tracked
        if act == "ask":
            self.asks.append(asyncio.ensure_future(self.ask(len(self.asks))))
            await asyncio.sleep(0)
        elif act == "cancel" and (waiting := [ask for ask in self.asks if not ask.done()]):
            waiting[number % len(waiting)].cancel()
        elif act == "track" and self.held:
            self.held[number % len(self.held)].track()
        elif act == "release" and self.held:
            slot = self.held.pop(number % len(self.held))
            slot.release()
            slot.release()
            slot.track()
        elif act == "limit":
            self.limit.set_ceiling(1 + number)
            self.pool.wake()
        elif act == "attach":
            self.held.append(self.pool.attach())
            before += 1
        elif act == "turn":
            await self.settle()
        self.check(before)

    def check(self, before: int) -> None:
        pool = self.pool
        assert pool.submitting >= 0
        assert pool.tracked >= 0
        assert pool.submitting <= self.max_submitting
        in_flight = pool.submitting + pool.tracked
        assert in_flight <= max(before, self.limit.limit), "grew beyond the limit"
        assert self.granted == sorted(self.granted), "somebody was overtaken"

    async def settle(self) -> None:
        """Let every wake-up arrive: then nobody waits while there is room for him."""
        for _ in range(5):
            await asyncio.sleep(0)
        pool = self.pool
        assert len(self.held) == pool.submitting + pool.tracked, "a slot has no owner"
        assert pool.waiting == sum(not ask.done() for ask in self.asks)
        assert not admissible(
            waiting=pool.waiting,
            submitting=pool.submitting,
            tracked=pool.tracked,
            limit=self.limit.limit,
            max_submitting=self.max_submitting,
        ), "somebody waits for nothing"

    async def end(self) -> None:
        """Release all: everybody who still waits gets a turn."""
        await self.settle()
        while self.held:
            self.held.pop(0).release()
            await self.settle()
        assert all(ask.done() for ask in self.asks), "somebody starves"
        served = {number for number, ask in enumerate(self.asks) if not ask.cancelled()}
        assert served <= set(self.granted)
        assert (self.pool.submitting, self.pool.tracked, self.pool.waiting) == (0, 0, 0)


@settings(max_examples=400)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 3)), min_size=8, max_size=60),
)
def test_no_slot_is_lost_or_given_twice_whatever_comes_in_whatever_order(
    limit: int, max_submitting: int, acts: list[tuple[str, int]]
) -> None:
    """First come, first served; bounds hold; nobody starves; all is free at the end."""

    async def main() -> None:
        play = Play(limit, max_submitting)
        for act, number in acts:
            await play.act(act, number)
        await play.end()

    run(main)


def scene(
    main: Callable[[Pool, Slot, list[asyncio.Task[Slot]]], None],
) -> tuple[Pool, list[asyncio.Task[Slot]]]:
    """Let three wait for the only slot, act within one loop turn, then let all turns pass."""

    async def play() -> tuple[Pool, list[asyncio.Task[Slot]]]:
        pool = Pool(AdaptiveLimit(1), max_submitting=8)
        slot = await pool.acquire()
        waiters = [asyncio.ensure_future(pool.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        assert repr(pool) == "<Pool 1 submitting, 0 tracked, 3 waiting, limit 1 of 1>"
        main(pool, slot, waiters)
        await asyncio.sleep(1)
        for waiter in waiters:
            if not waiter.done():
                waiter.cancel()
        await asyncio.wait(waiters)
        return pool, waiters

    return run(play)


def test_a_waiter_cancelled_in_the_turn_in_which_it_was_granted_gives_the_slot_back() -> None:
    """The grant had come, but nobody was there to take it: the next in line gets it."""

    def main(_pool: Pool, slot: Slot, waiters: list[asyncio.Task[Slot]]) -> None:
        slot.release()
        waiters[0].cancel()

    pool, waiters = scene(main)
    assert waiters[0].cancelled()
    assert not waiters[1].cancelled()
    assert pool.submitting == 1


def test_a_waiter_cancelled_just_before_a_release_does_not_swallow_the_slot() -> None:
    """It still stands in the line when the slot comes, and must be passed over."""

    def main(_pool: Pool, slot: Slot, waiters: list[asyncio.Task[Slot]]) -> None:
        waiters[0].cancel()
        waiters[1].cancel()
        slot.release()

    pool, waiters = scene(main)
    assert [waiter.cancelled() for waiter in waiters] == [True, True, False]
    assert pool.submitting == 1


def test_a_slot_is_given_back_once() -> None:
    """A double release, or tracking after it, changes no count and frees no second slot."""

    def main(pool: Pool, slot: Slot, _waiters: list[asyncio.Task[Slot]]) -> None:
        slot.track()
        slot.track()
        assert (pool.submitting, pool.tracked) == (0, 1)
        for _ in range(3):
            slot.release()
            slot.track()
        assert (pool.submitting, pool.tracked) == (1, 0)

    pool, waiters = scene(main)
    assert [waiter.cancelled() for waiter in waiters] == [False, True, True]
    assert pool.submitting == 1


def test_refuse_waiting_tells_each_who_waits_and_only_those() -> None:
    """Each gets an error of his own; a grant of the same turn stands; one who left is let go."""
    made: list[SessionClosedError] = []

    def make_error() -> SessionClosedError:
        made.append(SessionClosedError("closing"))
        return made[-1]

    def main(pool: Pool, slot: Slot, waiters: list[asyncio.Task[Slot]]) -> None:
        slot.release()
        waiters[1].cancel()
        pool.refuse_waiting(make_error)
        assert pool.waiting == 0
        pool.refuse_waiting(make_error)

    pool, waiters = scene(main)
    assert waiters[0].result() is not None
    assert waiters[1].cancelled()
    assert waiters[2].exception() is made[0]
    assert len(made) == 1
    assert pool.submitting == 1


def test_a_waiter_refused_and_cancelled_in_one_turn_is_cancelled() -> None:
    """The cancellation is what its caller asked for; the refusal leaves no trace."""

    def main(pool: Pool, slot: Slot, waiters: list[asyncio.Task[Slot]]) -> None:
        pool.refuse_waiting(lambda: SessionClosedError("closing"))
        waiters[0].cancel()
        slot.release()

    pool, waiters = scene(main)
    assert waiters[0].cancelled()
    assert isinstance(waiters[1].exception(), SessionClosedError)
    assert pool.submitting == 0


def test_attached_jobs_pass_the_limit_and_hold_back_submissions() -> None:
    """`attach` never waits; submissions wait until the pool is below its limit again."""

    async def main() -> None:
        pool = Pool(AdaptiveLimit(2), max_submitting=8)
        attached = [pool.attach() for _ in range(4)]
        assert pool.tracked == 4
        waiter = asyncio.ensure_future(pool.acquire())
        for slot in attached[:2]:
            slot.release()
            await asyncio.sleep(1)
            assert not waiter.done()
        attached[2].release()
        await asyncio.wait_for(waiter, 1)

    run(main)


@pytest.mark.parametrize("max_submitting", [1, 2])
def test_a_slot_that_turns_to_tracking_makes_room_for_a_post(max_submitting: int) -> None:
    """`max_submitting` bounds POSTs under way, not accepted jobs."""

    async def main() -> None:
        pool = Pool(AdaptiveLimit(10), max_submitting)
        slots = [await pool.acquire() for _ in range(max_submitting)]
        waiter = asyncio.ensure_future(pool.acquire())
        await asyncio.sleep(1)
        assert not waiter.done()
        slots[0].track()
        await waiter
        assert (pool.submitting, pool.tracked) == (max_submitting, 1)

    run(main)
