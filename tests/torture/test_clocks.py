"""Clocks that jump: the wall clock is set anew, the computer sleeps; nothing is decided by that."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

from seedance_async import (
    Budget,
    Event,
    FixedPolling,
    RateLimited,
    Request,
    SubmissionInDoubtError,
    Succeeded,
    TimedOut,
)
from seedance_async.batch.edges import RowState
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.report import RowChange
from seedance_async.bodies import Answer
from seedance_async.simulator import FaultPlan, VirtualTimeLoop
from tests.batch.night import foxes
from tests.session.scene import fox, run, run_stepping
from tests.torture.cutting import IS_LONG, SEED, BusyLoop, CutNight, DoubtfulWire, noted
from tests.torture.judge import Figures
from tests.torture.leaping import HOUR, JUMPS, NEW_YEAR, SleepySimulator, WildClock

SLEEP = 8 * HOUR
DEADLINE = 600.0

# --- the computer sleeps -------------------------------------------------------------------


class SleepyNight(CutNight):
    """A batch of four rows on a service whose time goes on while the computer sleeps."""

    rows = 4

    def __init__(self, folder: Path, *, counts_sleep: bool) -> None:
        super().__init__(folder)
        self.simulator = self.service = SleepySimulator(
            seed=7,
            capacity=1,
            faults=FaultPlan.parse(["429,nth=2"]),
            latency={"submit": 1.0},
            bandwidth=4000.0,
        )
        self.wire = DoubtfulWire(self.simulator, 0.05)
        self.counts_sleep = counts_sleep

    def sleep(self, loop: BusyLoop) -> None:
        """Close the lid for eight hours; not every system's monotonic clock counts them."""
        if self.counts_sleep:
            loop._jump(SLEEP)
        else:
            self.service.ahead += SLEEP

    def wall(self) -> float:
        return NEW_YEAR + self.service.ahead + asyncio.get_running_loop().time()

    async def play(self) -> None:
        """Run the batch to its end, or to where doubts stop it."""
        session = {"clock": self.wall, "max_in_flight": 2, "job_timeout": DEADLINE}
        await self.run(foxes(self.rows), session=session)

    async def judge_after_sleep(self) -> Figures:
        """Assert that the videos which were made meanwhile were found."""
        assert not [path for _method, path in self.wire.sent if path.endswith("/cancel")]
        states = set((await self.states()).values())
        assert states <= {"downloaded", "succeeded", "in_doubt"}, states
        if not self.counts_sleep:
            assert states == {"downloaded"}, "no time had passed for us"
        return self.figures()

    async def judge_end(self) -> Figures:
        states = set((await self.states()).values())
        assert states <= {"downloaded", "in_doubt"}, states
        assert set(self.simulator.books.accepted_by_body().values()) == {1}
        return self.figures()


@pytest.mark.parametrize("counts_sleep", [True, False], ids=["clock-counts-sleep", "clock-stops"])
def test_never_pays_twice_when_the_computer_sleeps_at_any_moment(
    counts_sleep: bool, tmp_path: Path, tell: Callable[..., None]
) -> None:
    """Asleep at every iteration of a batch: each job's video is found, none is made again."""

    def make(name: str) -> SleepyNight:
        return SleepyNight(tmp_path / name, counts_sleep=counts_sleep)

    calm, loop = make("calm"), BusyLoop()
    run_stepping(calm.play, loop)
    assert loop.main_steps > 100
    stride = 1 if IS_LONG else 11
    figures, sleeps = Figures(), 0
    for step in range(1 + SEED % stride, loop.main_steps, stride):
        night, loop = make(f"{step}"), BusyLoop(step)
        loop.act = lambda night=night, loop=loop: night.sleep(loop)
        with noted(f"asleep at iteration {step}"):
            run_stepping(night.play, loop)
            run(night.judge_after_sleep)
            run(night.play)
            figures += run(night.judge_end)
        sleeps += 1
    tell(figures, sleeps=sleeps)


def test_never_lies_about_a_deadline_that_passed_asleep(
    tmp_path: Path, tell: Callable[..., None]
) -> None:
    """One poll is made after the deadline: it finds the video, or only then the job timed out."""
    calm = BusyLoop()
    run_stepping(lambda: _two_jobs(tmp_path), calm)
    stride = 1 if IS_LONG else 9
    figures, sleeps = Figures(), 0
    for step in range(3 + SEED % stride, calm.main_steps, stride):
        loop = BusyLoop(step)
        loop.act = lambda loop=loop: loop._jump(SLEEP)
        with noted(f"asleep at iteration {step}"):
            accepted = run_stepping(lambda: _two_jobs(tmp_path), loop)
        figures += Figures(accepted=accepted)
        sleeps += 1
    tell(figures, sleeps=sleeps)


async def _two_jobs(folder: Path) -> int:
    """One job never ends, one is made in time; return how many were accepted."""
    faults = ["stuck,nth=1", "poll-5xx=0.3,until=300", "poll-429=0.2,until=300"]
    night = CutNight(folder, faults=faults, latency={"submit": 1.0})
    loop, polls = asyncio.get_running_loop(), list[tuple[float, str]]()
    night.wire.script = lambda _method, path: polls.append((loop.time(), path))
    async with night.session(job_timeout=DEADLINE, exit_timeout=None) as session:
        for number, end in enumerate((TimedOut, Succeeded)):
            began = loop.time()
            try:
                job = await session.submit(fox(number))
            except SubmissionInDoubtError:
                continue
            assert isinstance(await job.wait(), end)
            last = max(at for at, path in polls if f"/{job.request_id}/result" in path)
            assert end is Succeeded or last >= began + DEADLINE
    assert not night.simulator.books.paid_twice()
    assert not [path for _at, path in polls if path.endswith("/cancel")]
    return len(night.simulator.books.accepted)


# --- the ledger is slow --------------------------------------------------------------------


@pytest.mark.parametrize("word", ["submitting", "accepted", "finished"])
def test_never_lies_about_a_word_that_was_being_written_when_the_computer_slept(
    word: str, tmp_path: Path, tell: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asleep during the commit of a word: it is on disk, so nothing stops or is doubted."""
    write = getattr(Ledger, word)

    async def asleep(self: Ledger, tag: str, value: Any) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.call_soon(loop._jump, SLEEP)
        await write(self, tag, value)

    monkeypatch.setattr(Ledger, word, asleep)
    night = CutNight(tmp_path)
    report = run(lambda: night.run(foxes(3), session={"max_in_flight": 1}))
    assert report.stop is None
    assert set(run(night.states).values()) == {"downloaded"}
    tell(night.figures())


def test_never_lies_that_a_post_was_under_way_when_the_ledger_was_too_slow(
    tmp_path: Path, tell: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word that was written too late for its POST is taken back: no doubt, no second run lost."""
    written = Ledger.submitting
    slow = ["fox-2"]

    async def submitting(self: Ledger, tag: str, request: Request) -> None:
        await written(self, tag, request)
        if tag in slow:
            slow.remove(tag)
            await asyncio.sleep(100)

    monkeypatch.setattr(Ledger, "submitting", submitting)
    night = CutNight(tmp_path)
    run(lambda: night.run(foxes(3)))
    assert run(night.states)["fox-2"] == "planned"
    night.figures()
    run(lambda: night.run(foxes(3)))
    assert set(run(night.states).values()) == {"downloaded"}
    tell(night.figures())


# --- the wall clock is wrong ---------------------------------------------------------------

ROWS = 8
STORM = ["429=0.4", "poll-429=0.1", "poll-5xx=0.1", "stuck,nth=5", "failed,nth=7"]
NIGHTS = 100 if IS_LONG else 3


class WildNight(CutNight):
    """A batch under a wall clock that nobody can trust, in several runs."""

    def __init__(self, folder: Path, clock: WildClock, **options: Any) -> None:
        super().__init__(folder, **options)
        self.clock = clock
        self.since: list[str] = []
        self.events: list[Event] = []
        self.wire.after = self.dated

    def dated(self, _method: str, _path: str, answer: Answer) -> Answer:
        """Let an answer tell the service's own time, as servers do."""
        now = self.simulator.epoch + asyncio.get_running_loop().time()
        date = formatdate(now, usegmt=True)
        return attrs.evolve(answer, headers={**answer.headers, "date": date})

    def young(self, _method: str, path: str) -> Answer | None:
        """Know nothing of a job yet, half a minute after it was accepted."""
        now = asyncio.get_running_loop().time()
        young = (e for e in self.simulator.books.accepted if now < e.accepted_at + 30)
        if not any(f"/{entry.request_id}/result" in path for entry in young):
            return None
        body = {"error_code": 404001, "error_message": "no such request"}
        return Answer(404, {"content-type": "application/json"}, json.dumps(body).encode())

    async def play(self, seconds: float | None, **session: Any) -> None:
        """Run the batch, cut after some seconds; None: to its end."""
        session.update(clock=self.clock, job_timeout=DEADLINE, on_event=self.events.append)
        budget = Budget(usd=ROWS * 0.25, price_per_second=0.05)
        work = asyncio.create_task(
            self.run(foxes(ROWS), session=session, budget=budget, on_change=self.look)
        )
        if seconds is not None:
            await asyncio.sleep(seconds)
            work.cancel()
        await asyncio.wait({work})
        assert work.cancelled() or work.result().stop is None, work.result().stop

    def look(self, change: RowChange) -> None:
        """Read who the folder's lock says holds it."""
        self.changes.append(change)
        self.since.append(json.loads((self.folder / "ledger.lock").read_text())["since"])

    def judge_times(self) -> None:
        """Assert that every time which is shown is one that the clock told."""
        told = {_stamp(seconds, "milliseconds") for seconds in self.clock.told}
        shown = {line[name] for line in self.results() for name in ("submitted_at", "finished_at")}
        assert shown - {None} <= told
        pauses = [event.delay for event in self.events if isinstance(event, RateLimited)]
        assert max(pauses, default=0) < 60, "a date was read against the wrong clock"
        assert set(self.since) <= {_stamp(seconds, "seconds") for seconds in self.clock.told}


def _stamp(seconds: float, timespec: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec)


CLOCKS = [(f"jumps-{name}", reach, False) for name, reach in JUMPS.items()]
CLOCKS.append(("stands-still", 0.0, True))


@pytest.mark.parametrize(
    ("reach", "stands"), [clock[1:] for clock in CLOCKS], ids=[clock[0] for clock in CLOCKS]
)
def test_never_lies_under_a_wall_clock_that_cannot_be_trusted(
    reach: float, stands: bool, tmp_path: Path, tell: Callable[..., None]
) -> None:
    """Verdicts, deadlines, money, names are those of a good clock; times are what it told."""
    figures = Figures()
    for number in range(NIGHTS):
        random = Random(f"{SEED} {number}")
        clock = WildClock(random, reach, stands=stands)
        night = WildNight(tmp_path / f"{number}", clock, faults=STORM)
        with noted(f"night {number}"):
            run(lambda: _live_through(night, random))  # noqa: B023
            figures += night.figures()
    tell(figures, nights=NIGHTS)


async def _live_through(night: WildNight, random: Random) -> None:
    """Two runs that are cut, one to the end, all on one loop's clock."""
    for seconds in (random.uniform(0, 60), random.uniform(0, 200), None):
        await night.play(seconds)
        if (night.folder / "ledger.sqlite").exists():
            night.figures()
    await _judge_wild(night)


def test_never_lies_that_a_young_job_is_lost_whatever_the_wall_clock_says(
    tmp_path: Path, tell: Callable[..., None]
) -> None:
    """A service that does not know its jobs at first is asked on, by the loop's clock."""
    clock = WildClock(Random(SEED), JUMPS["by-years"])
    night = WildNight(tmp_path, clock, capacity=ROWS)
    night.wire.script = night.young
    run(lambda: night.play(None, polling=FixedPolling(3), max_in_flight=ROWS))
    tell(night.figures())
    assert set(run(night.states).values()) == {RowState.DOWNLOADED}


async def _judge_wild(night: WildNight) -> None:
    entries = await night.entries()
    states = Counter(entry.state.value for entry in entries.values())
    assert states == {"downloaded": ROWS - 2, "failed": 1, "timed_out": 1}
    assert {entry.file for entry in entries.values()} - {None} == {
        f"videos/{key}.mp4" for key, entry in entries.items() if entry.state == "downloaded"
    }
    night.judge_times()
    async with await Ledger.read(night.folder) as ledger:
        money = await ledger.money()
    assert money.settled + 250_000 == night.simulator.books.billed, "all but what is not over"
