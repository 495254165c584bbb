"""The entrance: in order, no place lost, wider where the way is long and many wait."""

from __future__ import annotations

import asyncio

import pytest

from seedance_async.entrance import Entrance, needed
from seedance_async.errors import TransportError
from seedance_async.simulator.virtualtime import run

from .misbehaving import Conversation, live, server, transport_to


def test_twice_the_present_rate_is_provided_for() -> None:
    """1,000 a second over a way of 0.1 s are 100 at once."""
    assert needed(1000, 1.0, 0.1) == 200
    assert needed(3000, 1.5, 0.001) == 4
    assert needed(1, 1.0, 0.0) == 0


async def _poll(entrance: Entrance, seconds: float) -> None:
    entered = await entrance.enter()
    try:
        await asyncio.sleep(seconds)
    finally:
        entrance.leave(entered)


@pytest.mark.parametrize(("way", "size"), [(0.1, 500), (0.001, 100), (0.02, 200)])
def test_it_widens_with_the_way(way: float, size: int) -> None:
    """5,000 requests a second: 100 places, and no more, serve a millisecond's way."""

    async def main() -> None:
        entrance = Entrance(500)
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for number in range(50_000):
                if number % 50 == 0:
                    await asyncio.sleep(max(0.0, number / 5000 - loop.time()))
                group.create_task(_poll(entrance, way))
        assert entrance.size == size

    run(main)


def test_a_place_is_given_back_by_whoever_leaves_in_whatever_way() -> None:
    """Cancelled while waiting, cancelled inside, failed: as many places as before."""

    async def main() -> None:
        entrance = Entrance(2)
        polls = [asyncio.create_task(_poll(entrance, 1.0)) for _ in range(6)]
        await asyncio.sleep(0.5)
        for poll in (polls[0], polls[3], polls[4]):
            poll.cancel()
        await asyncio.wait(polls)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(_poll(entrance, 1.0) for _ in range(2)))
        assert loop.time() - began == pytest.approx(1.0)
        assert entrance.size == 2

    run(main)


def test_those_that_leave_together_are_not_followed_together() -> None:
    """A hundred answers in one turn of the loop: sixteen requests follow in each of the next."""

    async def main() -> None:
        entrance = Entrance(100)
        for _ in range(100):
            await entrance.enter()
        following = [asyncio.create_task(entrance.enter()) for _ in range(100)]
        await asyncio.sleep(0)
        for _ in range(100):
            entrance.leave()
        entered, most = 0, 0
        while entered < 100:
            await asyncio.sleep(0)
            before, entered = entered, sum(task.done() for task in following)
            most = max(most, entered - before)
        assert most == 16

    run(main)


def test_a_download_says_nothing_of_the_way() -> None:
    """It holds its place for as long as it takes, and widens nothing."""

    async def main() -> None:
        entrance = Entrance(500)
        for _ in range(300):
            await entrance.enter()
            await asyncio.sleep(0.01)
            entrance.leave()
        assert entrance.size == 100

    run(main)


def test_what_failed_at_once_says_nothing_of_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """One quick failure in a hundred, of a balancer near us, must not keep the entrance narrow."""
    timed: list[bool] = []

    def leave(_: Entrance, entered: float | None = None) -> None:
        timed.append(entered is not None)

    async def answer(talk: Conversation) -> None:
        for status in (200, 429, 503, 404):
            await talk.request()
            await talk.answer(status)
        await talk.request()  # the fifth gets none

    async def main() -> None:
        monkeypatch.setattr(Entrance, "leave", leave)
        async with server(answer) as here, transport_to(here.url) as transport:
            for _ in range(4):
                await transport.send("GET", "/v1/requests/x/result", timeout=5)
            with pytest.raises(TransportError):
                await transport.send("GET", "/v1/requests/x/result", timeout=5)

    live(main)
    assert timed == [True, False, False, False, False]
