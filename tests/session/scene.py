"""A session on the simulator in virtual time, with everything written down for judgement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import attrs

from seedance_async import Outcome, ProFastTextToVideo, Request, Session
from seedance_async.bodies import Answer
from seedance_async.simulator import FaultPlan, Simulator, VirtualTimeLoop
from seedance_async.simulator.virtualtime import run
from seedance_async.testing import SimulatedTransport

T = TypeVar("T")

__all__ = ["RecordingJournal", "Scene", "SteppingLoop", "fox", "run"]


def fox(number: int = 0, duration: int = 5) -> ProFastTextToVideo:
    """Return a request that no other number makes."""
    return ProFastTextToVideo(text=f"A red fox, take {number}", duration=duration)


@attrs.define
class RecordingJournal:
    """Remembers every word; may be slow, and may fail at one of them."""

    delay: float = 0.0
    broken: str | None = None
    failures: int = 1_000_000
    words: list[tuple[str, str, object]] = attrs.field(factory=list)

    async def _write(self, word: str, tag: str, value: object) -> None:
        if self.broken == word and self.failures > 0:
            self.failures -= 1
            raise OSError(28, "No space left on device")
        # Written first: a thread that writes ends its work even if who asked has gone.
        self.words.append((word, tag, value))
        if self.delay:
            await asyncio.sleep(self.delay)

    async def submitting(self, tag: str, request: Request) -> None:
        await self._write("submitting", tag, request)

    async def not_sent(self, tag: str, why: str) -> None:
        await self._write("not_sent", tag, why)

    async def accepted(self, tag: str, request_id: str) -> None:
        await self._write("accepted", tag, request_id)

    async def in_doubt(self, tag: str, why: str) -> None:
        await self._write("in_doubt", tag, why)

    async def finished(self, tag: str, outcome: Outcome) -> None:
        await self._write("finished", tag, outcome)

    def told(self, word: str) -> list[object]:
        """Return the values that one word came with."""
        return [value for said, _tag, value in self.words if said == word]

    def of(self, tag: str) -> list[str]:
        """Return the words about one submission."""
        return [word for word, about, _value in self.words if about == tag]


class Wire(SimulatedTransport):
    """Counts the POSTs of each body, and may answer in the simulator's place.

    Attributes:
        posts: Bodies of submissions, in order.
        script: Called with method and path before the simulator; an Answer or an exception
            replaces the simulator's answer, "then ..." lets it act first.
    """

    def __init__(self, simulator: Simulator, latency: float) -> None:
        super().__init__(simulator, latency=latency)
        self.posts: list[bytes] = []
        self.sent: list[tuple[str, str]] = []
        self.script: Callable[[str, str], Answer | Exception | None] = lambda _m, _p: None
        self.after: Callable[[str, str, Answer], Answer | Exception] = lambda _m, _p, answer: answer

    async def send(
        self, method: str, path: str, body: bytes | None = None, *, timeout: float
    ) -> Answer:
        self.sent.append((method, path))
        if body is not None:
            self.posts.append(body)
        scripted = self.script(method, path)
        if scripted is None:
            answer = await super().send(method, path, body, timeout=timeout)
            scripted = self.after(method, path, answer)
        else:
            await asyncio.sleep(self._latency)
        if isinstance(scripted, BaseException):
            raise scripted
        return scripted


class Scene:
    """One simulator, one journal, and sessions on them."""

    def __init__(
        self,
        *,
        faults: list[str] | None = None,
        capacity: int = 8,
        latency: float = 0.05,
        journal: RecordingJournal | None = None,
        **simulator: Any,
    ) -> None:
        self.simulator = Simulator(
            seed=7, capacity=capacity, faults=FaultPlan.parse(faults or []), **simulator
        )
        self.wire = Wire(self.simulator, latency)
        self.journal = journal or RecordingJournal()
        self.events: list[Any] = []
        self.sessions: list[Session] = []

    def session(self, **settings: Any) -> Session:
        """Return a session on this scene, not open yet."""
        settings.setdefault("clock", lambda: 1_767_225_600.0 + asyncio.get_running_loop().time())
        session = Session(
            transport=self.wire, journal=self.journal, on_event=self.events.append, **settings
        )
        self.sessions.append(session)
        return session

    def told(self, kind: type[T]) -> list[T]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def judge(self) -> None:
        """Assert what must hold however a scene ended."""
        books = self.simulator.books
        assert not books.paid_twice()
        assert not books.token_leaks
        accepted = {entry.request_id for entry in books.accepted}
        assert accepted <= set(self.journal.told("accepted")) | self._doubted()
        for session in self.sessions:
            assert session._lifetime.state is None
            pool = session._lifetime.tracker._state.pool
            assert (pool.submitting, pool.tracked, pool.waiting) == (0, 0, 0), pool
            assert session._lifetime.tracker._state.supervisor.tasks == 0

    def _doubted(self) -> set[str]:
        """Return the ids accepted behind an answer that nobody could read: doubts cover them."""
        known = set(self.journal.told("accepted"))
        hidden = [e.request_id for e in self.simulator.books.accepted if e.request_id not in known]
        assert len(hidden) <= len(self.journal.told("in_doubt"))
        return set(hidden)


class SteppingLoop(VirtualTimeLoop):
    """A virtual-time loop that acts once, before its iteration number `step`."""

    def __init__(self, step: int = -1, act: Callable[[], object] | None = None) -> None:
        super().__init__()
        self.steps = 0
        self.main_steps = 0
        self._step = step
        self.act = act

    def _run_once(self) -> None:
        self.steps += 1
        if self.act is not None and self.steps >= self._step:
            act, self.act = self.act, None
            act()
        super()._run_once()  # type: ignore[misc]


def run_stepping(main: Callable[[], Coroutine[Any, Any, T]], loop: SteppingLoop) -> T:
    """Run on a given loop and see that no task is left."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_without_leftovers(main, loop))


async def _without_leftovers(main: Callable[[], Coroutine[Any, Any, T]], loop: SteppingLoop) -> T:
    result = await main()
    loop.act = None  # the runner's own closing is not ours to cut
    loop.main_steps = loop.steps
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left behind: {left}"
    return result
