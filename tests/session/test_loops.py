"""The same session on every kind of event loop that applications run. Real sockets, real time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seedance_async import FixedPolling, Session, Succeeded
from seedance_async.simulator import FaultPlan, Simulator
from seedance_async.simulator.web import serve

from .scene import fox

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def eager_loop() -> asyncio.AbstractEventLoop:
    """Return a loop whose tasks run at once up to their first await."""
    loop = asyncio.new_event_loop()
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    return loop


FACTORIES: list[LoopFactory] = [asyncio.new_event_loop]
if sys.version_info >= (3, 12):
    FACTORIES.append(eager_loop)
if sys.platform != "win32":
    import uvloop

    FACTORIES.append(uvloop.new_event_loop)


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__module__)
def test_twenty_jobs_with_faults_over_sockets(factory: LoopFactory, tmp_path: Path) -> None:
    """Fan-out, trouble on polls, 429s, a download and the exit, without a leftover or a warning."""
    faults = FaultPlan.parse(["poll-5xx=0.1", "poll-drop=0.1", "succeeded=0.5", "videos=0.5"])
    simulator = Simulator(seed=3, capacity=8, speed=500, faults=faults)

    async def main() -> None:
        async with serve(simulator) as service:
            async with Session(
                "simulator-token",
                base_url=service.base_url,
                max_in_flight=8,
                polling=FixedPolling(0.02),
            ) as session:
                async with session.map(fox(number) for number in range(20)) as results:
                    outcomes = [done.outcome async for done in results]
                assert all(isinstance(outcome, Succeeded) for outcome in outcomes)
                first = outcomes[0]
                assert isinstance(first, Succeeded)
                path = await session.download(first, tmp_path / "fox.mp4")
                assert path.stat().st_size > 1000
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    assert not simulator.books.paid_twice()
    assert not simulator.books.token_leaks
