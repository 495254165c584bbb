"""The turnstile: who goes first, and never faster than the rate."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_async.pacing import Rate
from seedance_async.simulator.virtualtime import run
from seedance_async.turnstile import Turn, Turnstile


class Passing:
    """Asks for turns and notes who got one when."""

    def __init__(self, per_second: float | None) -> None:
        self.turnstile = Turnstile(Rate(per_second))
        self.passed: list[tuple[str, float]] = []

    def ask(self, name: str, turn: Turn = Turn.POLL, due: float = 0.0) -> asyncio.Task[None]:
        async def wait() -> None:
            await self.turnstile.wait(turn, due)
            self.passed.append((name, asyncio.get_running_loop().time()))

        return asyncio.ensure_future(wait())


def test_submissions_go_first_then_polls_by_due_time() -> None:
    """Whoever came first among equals; a submission overtakes all polls that wait."""

    async def main() -> list[tuple[str, float]]:
        passing = Passing(1.0)
        asked = [passing.ask("first")]
        await asyncio.sleep(0)
        asked += [passing.ask(f"poll due {due}", due=due) for due in (9, 7, 8)]
        asked += [passing.ask(name, Turn.SUBMIT) for name in ("submit a", "submit b")]
        await asyncio.sleep(2.5)
        asked.append(passing.ask("submit c", Turn.SUBMIT))
        await asyncio.wait(asked)
        return passing.passed

    assert run(main) == [
        ("first", 0.0),
        ("submit a", 1.0),
        ("submit b", 2.0),
        ("submit c", 3.0),
        ("poll due 7", 4.0),
        ("poll due 8", 5.0),
        ("poll due 9", 6.0),
    ]


def test_cancelled_waiters_do_not_hold_up_others() -> None:
    """Those who left take no turn, wherever they stood in the line."""

    async def main() -> list[tuple[str, float]]:
        passing = Passing(1.0)
        asked = [passing.ask(f"{number}", due=number) for number in range(10)]
        await asyncio.sleep(0.5)
        for number in (1, 2, 3, 5, 9):
            asked[number].cancel()
        await asyncio.wait(asked)
        return passing.passed

    assert run(main) == [("0", 0.0), ("4", 1.0), ("6", 2.0), ("7", 3.0), ("8", 4.0)]


def test_a_line_that_all_have_left_is_no_line() -> None:
    """Whoever comes later passes at once, and nothing is left that would wake the loop."""

    async def main() -> list[tuple[str, float]]:
        passing = Passing(0.1)
        asked = [passing.ask(f"{number}") for number in range(5)]
        await asyncio.sleep(1)
        for ask in asked[1:]:
            ask.cancel()
        await asyncio.sleep(100)
        await passing.ask("late")
        assert passing.turnstile._timer is None
        return passing.passed

    assert run(main) == [("0", 0.0), ("late", 101.0)]


@pytest.mark.parametrize("granted_first", [True, False])
def test_a_turn_that_nobody_uses_costs_one_interval_at_most(granted_first: bool) -> None:
    """A waiter cancelled at the moment of its turn, before or after it, holds up no other."""

    async def main() -> dict[str, float]:
        passing = Passing(1.0)
        asked = [passing.ask(f"{number}", due=number) for number in range(3)]
        if granted_first:  # timers of one moment strike in the order in which they were set
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(1.0, asked[1].cancel)
        await asyncio.wait(asked)
        return dict(passing.passed)

    assert run(main) == {"0": 0.0, "2": 2.0 if granted_first else 1.0}


@pytest.mark.parametrize("turn", list(Turn))
def test_without_a_rate_nobody_waits(turn: Turn) -> None:
    """No future, no timer, no loop turn: `wait` never suspends."""

    async def main() -> None:
        turnstile = Turnstile(Rate(None))
        for _ in range(3):
            with pytest.raises(StopIteration):
                turnstile.wait(turn).__await__().__next__()

    run(main)


@given(
    st.sampled_from([0.1, 1.0, 3.0, 7.0, 50.0]),
    st.lists(
        st.tuples(st.floats(0, 3), st.sampled_from(list(Turn)), st.booleans()),
        min_size=1,
        max_size=40,
    ),
)
def test_turns_are_spaced_and_none_is_wasted(
    per_second: float, comings: list[tuple[float, Turn, bool]]
) -> None:
    """Never closer than the rate; while anybody waits, never further apart either."""

    async def main() -> None:
        passing = Passing(per_second)
        loop = asyncio.get_running_loop()
        asked: list[asyncio.Task[None]] = []
        came: dict[str, float] = {}
        for number, (pause, turn, leaves) in enumerate(comings):
            await asyncio.sleep(pause)
            came[f"{number}"] = loop.time()
            task = passing.ask(f"{number}", turn, loop.time())
            await asyncio.sleep(0)
            if leaves:
                task.cancel()
            asked.append(task)
        await asyncio.wait(asked)
        assert all(task.cancelled() or task.exception() is None for task in asked)
        free_at = 0.0
        for name, when in passing.passed:
            assert when == pytest.approx(max(free_at, came[name]), abs=1e-6)
            free_at = when + 1 / per_second

    run(main)
