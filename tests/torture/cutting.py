"""Work that is cut off at one iteration of the loop, in every way in which people cut things off.

A `Scenario` is what is cut, a `Cut` is how. After the cut the books and the ledger are judged,
then a person goes on to the end, and they are judged again.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import anyio
import attrs

from seedance_async import FixedPolling, Session, TransportError
from seedance_async.batch.runner import Batch
from seedance_async.bodies import Answer
from seedance_async.simulator import VirtualTimeLoop
from tests.batch.night import Night
from tests.session.scene import SteppingLoop, Wire, run, run_stepping
from tests.torture.judge import Figures, judge

__all__ = [
    "CUTS",
    "IS_LONG",
    "SEED",
    "BusyLoop",
    "Cut",
    "CutNight",
    "DoubtfulWire",
    "Scenario",
    "by_leave",
    "by_stop",
    "noted",
    "sweep",
]

IS_LONG: Final = "SEEDANCE_LONG" in os.environ
SEED: Final = int(os.environ.get("SEEDANCE_SEED") or random.randrange(1 << 32))

STRIDE: Final = 11
"""Iterations from one cut to the next, in the short form of what takes many."""


@contextmanager
def noted(text: str) -> Iterator[None]:
    """Add to an error what repeats it."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"{text}; SEEDANCE_SEED={SEED} repeats it")
        raise


class DoubtfulWire(Wire):
    """Counts the POSTs of which no answer came that could be believed."""

    unsure = 0

    async def send(
        self, method: str, path: str, body: bytes | None = None, *, timeout: float
    ) -> Answer:
        if body is None:
            return await super().send(method, path, timeout=timeout)
        self.unsure += 1
        try:
            answer = await super().send(method, path, body, timeout=timeout)
        except TransportError as error:
            self.unsure -= not error.sent
            raise
        self.unsure -= _tells(answer)
        return answer


def _tells(answer: Answer) -> bool:
    """Return whether an answer to a POST says if there is a job."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        return False
    refused = 400 <= answer.status < 500
    return answer.status < 500 and (refused or "request_id" in document)


class CutNight(Night):
    """A night that knows how many POSTs may rightly be in doubt."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.wire: DoubtfulWire = DoubtfulWire(self.simulator, 0.05)
        self.batch: Batch | None = None

    def session(self, **settings: Any) -> Session:
        """Return a session that polls seldom, for the sake of short runs."""
        settings.setdefault("polling", FixedPolling(5))
        return super().session(**settings)

    def figures(self) -> Figures:
        """Judge the folder as it lies there."""
        found = judge(self.folder, self.simulator.books, posts_under_way=self.wire.unsure)
        assert not list(self.folder.rglob("*.part")), "a half file is left"
        return attrs.evolve(found, faults=len(self.simulator.faults_log))


class Scenario:
    """What is cut: made and prepared calmly, worked at until the cut, brought to its end."""

    cuts: tuple[Cut, ...] = ()
    """Ways that only this one knows."""

    def make(self, folder: Path) -> CutNight:
        """Return a night in a folder of its own."""
        raise NotImplementedError

    async def prepare(self, night: CutNight) -> None:
        """Do what comes before."""

    async def work(self, night: CutNight) -> None:
        """Do what is cut."""
        raise NotImplementedError

    def figures(self, night: CutNight) -> Figures:
        """Judge the books against what was written down."""
        return night.figures()

    async def finish(self, night: CutNight) -> None:
        """Go on as a person would, and assert that all is well at the end."""
        raise NotImplementedError


# --- ways to cut ---------------------------------------------------------------------------

Cut = Callable[[Coroutine[Any, Any, None], SteppingLoop, CutNight], Awaitable[None]]


async def by_task_cancel(
    work: Coroutine[Any, Any, None], loop: SteppingLoop, _night: CutNight
) -> None:
    task = asyncio.ensure_future(work)
    loop.act = task.cancel
    await asyncio.wait({task})
    assert task.cancelled() or task.result() is None


async def by_timeout(work: Coroutine[Any, Any, None], loop: SteppingLoop, _night: CutNight) -> None:
    def expire() -> None:
        with suppress(RuntimeError):  # the work was over before
            scope.reschedule(loop.time())

    with suppress(TimeoutError):
        async with asyncio.timeout(None) as scope:
            loop.act = expire
            await work


async def by_anyio_scope(
    work: Coroutine[Any, Any, None], loop: SteppingLoop, _night: CutNight
) -> None:
    with anyio.CancelScope() as scope:
        loop.act = scope.cancel
        await work


async def by_sigint(work: Coroutine[Any, Any, None], loop: SteppingLoop, _night: CutNight) -> None:
    """`asyncio.Runner` turns the first Ctrl-C into a cancellation of its main task."""
    loop.act = lambda: signal.raise_signal(signal.SIGINT)
    try:
        await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()


async def by_stop(work: Coroutine[Any, Any, None], loop: SteppingLoop, night: CutNight) -> None:
    def stop() -> None:
        if night.batch is not None:
            night.batch.stop("enough")

    loop.act = stop
    await work


async def by_leave(work: Coroutine[Any, Any, None], loop: SteppingLoop, night: CutNight) -> None:
    def leave() -> None:
        if night.batch is not None:
            night.batch.leave()

    loop.act = leave
    await work


CUTS: tuple[Cut, ...] = (by_task_cancel, by_timeout, by_anyio_scope, by_sigint)


class BusyLoop(SteppingLoop):
    """Counts no iteration that only waits for a thread: their number is the disk's affair."""

    def _run_once(self) -> None:
        if self._ready or not self.held:  # type: ignore[attr-defined]
            super()._run_once()
        else:
            VirtualTimeLoop._run_once(self)  # type: ignore[attr-defined]


# --- all moments ---------------------------------------------------------------------------


def sweep(scenario: Scenario, folder: Path) -> tuple[Figures, int]:
    """Cut a scenario at many iterations, in all ways if there is time, else by turns.

    Returns:
        The figures of all nights at their ends, and how many they were.
    """
    cuts = (*CUTS, *scenario.cuts)
    length = _length(scenario, folder / "calm")
    stride = 1 if IS_LONG else min(STRIDE, length // 10)
    assert stride, "the scenario is too short to mean anything"
    figures, count = Figures(), 0
    for turn, step in enumerate(range(1 + SEED % stride, length, stride)):
        for cut in cuts if IS_LONG else (cuts[turn % len(cuts)],):
            with noted(f"{cut.__name__} at iteration {step} of {length}"):
                figures += _play(scenario, cut, step, folder / f"{step}-{cut.__name__}")
            count += 1
    return figures, count


def _length(scenario: Scenario, folder: Path) -> int:
    """Return how many iterations the work takes if nobody cuts it."""
    night, loop = scenario.make(folder), BusyLoop()
    run(lambda: scenario.prepare(night))
    run_stepping(lambda: scenario.work(night), loop)
    run(lambda: scenario.finish(night))
    return loop.main_steps


def _play(scenario: Scenario, cut: Cut, step: int, folder: Path) -> Figures:
    night = scenario.make(folder)
    run(lambda: scenario.prepare(night))
    loop = BusyLoop(step)
    run_stepping(lambda: _cut_off(scenario, cut, night, loop), loop)
    scenario.figures(night)
    run(lambda: scenario.finish(night))
    return scenario.figures(night)


async def _cut_off(scenario: Scenario, cut: Cut, night: CutNight, loop: SteppingLoop) -> None:
    """Run the work until the cut, and close it if it was cut before it began."""
    work = scenario.work(night)
    try:
        await cut(work, loop, night)
    finally:
        work.close()
