"""A session's tasks that others cancel before their first step, as by `asyncio.all_tasks()`.

No line of such a task runs, not even a `finally`: whoever waits for it must hear of it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from seedance_async import Budget, SeedanceError, Session, TimedOut

from .scene import Scene, fox, run


def cancel_unbegun(word: str = "seedance_async") -> int:
    """Cancel the tasks of the session with such a name; return how many there were."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith(word)]
    for task in tasks:
        task.cancel()
    return len(tasks)


async def begin_submission(session: Session) -> asyncio.Task[object]:
    """Submit in a task of the caller's, up to the moment at which the POST's task is made."""
    submission = asyncio.ensure_future(session.submit(fox(), tag="t"))
    while not any(task.get_name().endswith("submission t") for task in asyncio.all_tasks()):
        await asyncio.sleep(0)
    return submission


def test_never_hangs_on_a_submission_whose_task_others_cancelled() -> None:
    """The caller hears that nothing was sent, and slot and money are given back."""
    scene = Scene()

    async def main() -> None:
        async with scene.session(budget=Budget(usd=10, price_per_second=0.05)) as session:
            submission = await begin_submission(session)
            assert cancel_unbegun() == 2, "the submission, and the supervisor"
            with pytest.raises(SeedanceError, match=r"nothing was sent.*submission t.*cancelled"):
                await submission
            assert session.statistics().in_flight == 0
            assert session.statistics().reserved == 0

    run(main)
    scene.judge()
    assert not scene.wire.sent
    assert not scene.journal.words


@pytest.mark.parametrize("turns", [-1, 0, 1, 2, 3])
def test_a_caller_cancelled_together_with_its_submission_leaves_nothing_behind(turns: int) -> None:
    """Before it, or some turns of the loop after it: a program that ends cancels all its tasks."""
    scene = Scene()

    async def main() -> None:
        async with scene.session(budget=Budget(usd=10, price_per_second=0.05)) as session:
            submission = await begin_submission(session)
            if turns < 0:
                submission.cancel()
            cancel_unbegun()
            for _ in range(turns):
                await asyncio.sleep(0)
            submission.cancel()
            with suppress(asyncio.CancelledError, SeedanceError):
                await submission
            await asyncio.sleep(0)
            assert session.statistics().in_flight == 0
            assert session.statistics().reserved == 0

    run(main)
    scene.judge()
    assert not scene.wire.sent


def test_a_job_whose_task_others_cancelled_is_detached() -> None:
    """Of an attached one nothing was asked yet; attached again, it is followed again."""
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:
            request_id = (await session.submit(fox())).request_id
            await session.attach(request_id).detach()
            job = session.attach(request_id)
            assert cancel_unbegun(f"seedance_async job {request_id}") == 1
            outcome = await job.wait()
            assert isinstance(outcome, TimedOut)
            assert "cancelled" in outcome.reason
            assert session.statistics().in_flight == 0
            await session.attach(request_id)

    run(main)
    scene.judge()


def test_a_job_is_detached_although_others_cancel_the_detaching() -> None:
    """Nobody waits for it any more, and its slot is free."""
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:
            job = await session.submit(fox())
            detaching = asyncio.ensure_future(job.detach())
            while not cancel_unbegun("seedance_async detaching"):
                await asyncio.sleep(0)
            assert isinstance(await job.wait(), TimedOut)
            await asyncio.wait({detaching})
            assert session.statistics().in_flight == 0

    run(main)
    scene.judge()


@pytest.mark.parametrize("task", ["map", "map 0"])
def test_a_map_whose_task_others_cancelled_ends_with_an_error(task: str) -> None:
    """Neither the reading of its input nor a request of it vanishes silently."""
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:
            async with session.map([fox(1)]) as results:
                while not cancel_unbegun(f"seedance_async {task}"):
                    await asyncio.sleep(0)
                with pytest.raises(RuntimeError, match="cancelled"):
                    await anext(results)

    run(main)
    scene.judge()
