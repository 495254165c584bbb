"""Cancellation at every iteration of the loop, in every way in which people cancel.

The whole scenario runs again and again on virtual time; each run is cut at a later iteration, so
that every await of submitting, waiting, cancelling, downloading and leaving is met, and every
state in which the session's own tasks can be.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from seedance_async import Session

from .scene import RecordingJournal, Scene, SteppingLoop, fox, run_stepping

Scenario = Callable[[Session, Path], Awaitable[object]]


async def submit_and_wait(session: Session, _folder: Path) -> None:
    job = await session.submit(fox())
    async for _update in job.updates():
        pass
    await job


async def generate_and_download(session: Session, folder: Path) -> None:
    video = await session.generate(fox())
    await session.download(video, folder / "fox.mp4")


async def cancel_in_queue(session: Session, _folder: Path) -> None:
    first = await session.submit(fox(1))
    second = await session.submit(fox(2))
    await second.cancel()
    await first.wait()


async def map_three(session: Session, _folder: Path) -> None:
    async with session.map([fox(1), fox(2), fox(3)]) as results:
        async for _done in results:
            pass


async def leave_at_once(session: Session, _folder: Path) -> None:
    """The exit does the waiting."""
    await session.submit(fox(1))
    await session.submit(fox(2))


SCENARIOS: list[Scenario] = [
    submit_and_wait,
    generate_and_download,
    cancel_in_queue,
    map_three,
    leave_at_once,
]

Cut = Callable[[Coroutine[Any, Any, None], SteppingLoop], Awaitable[None]]


async def by_task_cancel(work: Coroutine[Any, Any, None], loop: SteppingLoop) -> None:
    task = asyncio.ensure_future(work)
    loop.act = task.cancel
    await asyncio.wait({task})
    assert task.cancelled() or task.exception() is None


async def by_three_cancels(work: Coroutine[Any, Any, None], loop: SteppingLoop) -> None:
    task = asyncio.ensure_future(work)

    def cancel(times: int) -> None:
        task.cancel()
        if times > 1:
            loop.call_soon(cancel, times - 1)

    loop.act = lambda: cancel(3)
    await asyncio.wait({task})
    assert task.cancelled() or task.exception() is None


async def by_timeout(work: Coroutine[Any, Any, None], loop: SteppingLoop) -> None:
    try:
        async with asyncio.timeout(None) as scope:
            loop.act = partial(_expire, scope, loop)
            await work
    except TimeoutError:
        pass
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


def _expire(scope: asyncio.Timeout, loop: SteppingLoop) -> None:
    with suppress(RuntimeError):  # the work was over before
        scope.reschedule(loop.time())


async def by_wait_for(work: Coroutine[Any, Any, None], loop: SteppingLoop) -> None:
    """`wait_for` cancels what it waits for; the cut comes by cancelling the `wait_for`."""

    async def wait() -> None:
        await asyncio.wait_for(work, 10_000)

    task = asyncio.ensure_future(wait())
    loop.act = task.cancel
    await asyncio.wait({task})
    work.close()  # it may never have started
    assert task.cancelled() or task.exception() is None


async def by_anyio_scope(work: Coroutine[Any, Any, None], loop: SteppingLoop) -> None:
    with anyio.CancelScope() as scope:
        loop.act = scope.cancel
        await work


CUTS: list[Cut] = [by_task_cancel, by_three_cancels, by_timeout, by_wait_for, by_anyio_scope]


def play(
    scenario: Scenario, cut: Cut | None, step: int, folder: Path, **settings: Any
) -> tuple[Scene, int]:
    """Run a scenario, cut at one iteration; return the scene and how many iterations it took."""
    scene = Scene(
        capacity=1, journal=RecordingJournal(delay=0.01), faults=["429=0.2", "poll-5xx=0.1"]
    )
    loop = SteppingLoop(step)

    async def work() -> None:
        async with scene.session(**settings) as session:
            await scenario(session, folder)

    async def main() -> None:
        if cut is None:
            await work()
        else:
            await cut(work(), loop)

    run_stepping(main, loop)
    return scene, loop.main_steps


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.__name__)
def test_cancelled_at_every_iteration_nothing_is_left_and_no_id_is_lost(
    scenario: Scenario, cut: Cut, tmp_path: Path
) -> None:
    """The pool is empty, no task is left, each accepted id is in the journal, none paid twice."""
    _scene, steps = play(scenario, None, -1, tmp_path)
    assert steps > 50, "the scenario is too short to mean anything"
    (tmp_path / "fox.mp4").unlink(missing_ok=True)
    for step in range(2, steps):
        scene, _ = play(scenario, cut, step, tmp_path)
        scene.judge()
        assert not list(tmp_path.glob("*.part")), f"a part file is left after a cut at {step}"


@pytest.mark.parametrize("scenario", [submit_and_wait, leave_at_once])
def test_detach_on_abort_cancels_nothing_on_the_server(scenario: Scenario, tmp_path: Path) -> None:
    """With on_abort="detach" an exit by cancellation sends no cancel for accepted jobs."""
    _scene, steps = play(scenario, None, -1, tmp_path, on_abort="detach")
    for step in range(2, steps):
        scene, _ = play(scenario, by_task_cancel, step, tmp_path, on_abort="detach")
        scene.judge()
        posted = len(scene.journal.told("accepted"))
        cancels = [path for _method, path in scene.wire.sent if path.endswith("/cancel")]
        # A caller cut off during its own POST leaves a job that nobody holds: that one is tried.
        assert len(cancels) <= 1 <= max(1, posted)


@pytest.mark.parametrize("scenario", [submit_and_wait, generate_and_download, leave_at_once])
def test_sigint_under_asyncio_run(scenario: Scenario, tmp_path: Path) -> None:
    """Ctrl-C under `asyncio.run` ends as KeyboardInterrupt, with every accepted id written down."""
    _scene, steps = play(scenario, None, -1, tmp_path)
    for step in range(2, steps, 3):
        scene = Scene(capacity=1, journal=RecordingJournal(delay=0.01))
        loop = SteppingLoop(step, lambda: signal.raise_signal(signal.SIGINT))

        async def work(scene: Scene = scene) -> None:
            async with scene.session() as session:
                await scenario(session, tmp_path)

        with suppress(KeyboardInterrupt):
            run_stepping(work, loop)
        scene.judge()
