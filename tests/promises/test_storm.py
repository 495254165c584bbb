"""A thousand jobs under every fault at once: afterwards books, journal and outcomes agree."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import anyio
import attrs
import pytest

from seedance_async import (
    Budget,
    Cancelled,
    DownloadError,
    Failed,
    GateChanged,
    Job,
    Lost,
    Outcome,
    Request,
    RetryPolicy,
    SeedanceError,
    Session,
    Statistics,
    SubmissionInDoubtError,
    SubmittingStoppedError,
    Succeeded,
    TimedOut,
)
from seedance_async.simulator import KNOWN_FAULTS, Acceptance, canonical_json
from tests.session.scene import RecordingJournal, Scene, fox, run

JOBS = 1000
ALL_FAULTS = KNOWN_FAULTS.keys() - {"unreachable"}
"""All that befall a request; `unreachable` befalls those that never arrive."""
PRICE = 0.05
COST = 250_000
"""Micro-dollars for one of these videos: five seconds at `PRICE`."""


@attrs.define
class CallersLeave(RecordingJournal):
    """A journal by which some callers are cancelled while their POST is under way."""

    scopes: dict[str, anyio.CancelScope] = attrs.field(factory=dict)

    async def submitting(self, tag: str, request: Request) -> None:
        await super().submitting(tag, request)
        if tag in self.scopes:
            asyncio.get_running_loop().call_later(0.02, self.scopes[tag].cancel)


@attrs.define
class Storm:
    """What came of each job, by its number."""

    scene: Scene
    journal: CallersLeave
    folder: Path
    handles: dict[int, Job] = attrs.field(factory=dict)
    outcomes: dict[int, Outcome] = attrs.field(factory=dict)
    doubts: set[int] = attrs.field(factory=set)
    left: set[int] = attrs.field(factory=set)
    not_sent: set[int] = attrs.field(factory=set)
    downloads: Counter[str] = attrs.field(factory=Counter)
    statistics: Statistics | None = None
    looks: int = 0
    overdrawn: list[tuple[int, int, int]] = attrs.field(factory=list)

    @property
    def stops(self) -> int:
        """How often the brake was pulled."""
        return sum(not event.open for event in self.scene.told(GateChanged))

    async def play(self) -> None:
        budget = Budget(usd=JOBS * COST / 1e6, price_per_second=PRICE)
        retry = RetryPolicy(random=random.Random(7).random)
        async with self.scene.session(max_in_flight=60, budget=budget, retry=retry) as session:
            self.watch_the_money(session)
            async with asyncio.TaskGroup() as group:
                for number in range(JOBS):
                    group.create_task(self.one(session, number))
            await self.idle(session)
            self.statistics = session.statistics()

    def watch_the_money(self, session: Session) -> None:
        """Compare what the session says it spent and set aside with what is really billed."""
        remember = self.scene.events.append
        books = self.scene.simulator.books

        def on_event(event: object) -> None:
            remember(event)
            numbers = session.statistics()
            spent, reserved = round(numbers.spent * 1e6), round(numbers.reserved * 1e6)
            self.looks += 1
            if not spent <= books.billed <= spent + reserved <= JOBS * COST:
                self.overdrawn.append((spent, books.billed, spent + reserved))

        object.__setattr__(session._settings, "on_event", on_event)

    async def one(self, session: Session, number: int) -> None:
        job = await self.submit(session, number)
        if job is None:
            return
        self.handles[number] = job
        if number % 3 == 1:
            await job.cancel()
        outcome = self.outcomes[number] = await job.wait()
        if isinstance(outcome, Succeeded) and number % 4 == 0:
            try:
                await session.download(outcome, self.folder / f"{number}.mp4")
                self.downloads["whole"] += 1
            except DownloadError:
                self.downloads["failed"] += 1

    async def submit(self, session: Session, number: int) -> Job | None:
        """Submit as a person would who reopens after each stop; some callers leave meanwhile."""
        while True:
            try:
                with anyio.CancelScope() as scope:
                    if number % 10 == 7:
                        self.journal.scopes[f"{number}"] = scope
                    return await session.submit(fox(number), tag=f"{number}")
                self.left.add(number)
            except SubmittingStoppedError:
                session.reopen()
                continue
            except SubmissionInDoubtError:
                self.doubts.add(number)
            except SeedanceError:
                self.not_sent.add(number)
            return None

    async def idle(self, session: Session) -> None:
        """Wait for what the session still does for callers who left."""
        while session.statistics().in_flight:
            await asyncio.sleep(60)


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Storm:
    """Play once: every fault that the simulator knows, each at 5%, and a while of silence."""
    faults = [f"{name}=0.05" for name in ALL_FAULTS] + ["unreachable,since=100,until=190"]
    journal = CallersLeave()
    scene = Scene(faults=faults, capacity=3, price_per_second=PRICE, journal=journal)
    storm = Storm(scene, journal, tmp_path_factory.mktemp("videos"))
    began = time.perf_counter()
    run(storm.play)
    seconds = time.perf_counter() - began
    ends = Counter(type(outcome).__name__ for outcome in storm.outcomes.values())
    print(
        f"\n{JOBS} jobs in {seconds:.2f} s: {dict(ends)}, {len(storm.doubts)} in doubt, "
        f"{len(storm.left)} callers left, {storm.stops} stops, {dict(storm.downloads)} "
        f"downloads, {len(scene.simulator.faults_log)} faults, {storm.statistics}"
    )
    return storm


def entries(storm: Storm) -> dict[int, Acceptance]:
    """Return the books' acceptances by the number of their request."""
    numbers = {canonical_json(fox(number).input()): number for number in range(JOBS)}
    return {numbers[entry.body]: entry for entry in storm.scene.simulator.books.accepted}


def struck(storm: Storm, name: str) -> set[str | None]:
    """Return the ids of the jobs that a fault befell."""
    return {f.request_id for f in storm.scene.simulator.faults_log if f.name == name}


def test_the_storm_was_one(storm: Storm) -> None:
    """Every fault struck, every way to end was met, and every job has an end."""
    assert {fault.name for fault in storm.scene.simulator.faults_log} == ALL_FAULTS
    ends = {type(outcome) for outcome in storm.outcomes.values()}
    assert ends == {Succeeded, Failed, Cancelled, TimedOut, Lost}
    assert storm.doubts
    assert storm.stops
    assert storm.left & set(entries(storm)), "nobody left whose job was accepted"
    everyone = [*storm.outcomes, *storm.doubts, *storm.left, *storm.not_sent]
    assert sorted(everyone) == list(range(JOBS))


def test_never_pays_twice_in_a_storm(storm: Storm) -> None:
    """Each request was accepted at most once, and none again whose answer got lost."""
    books = storm.scene.simulator.books
    assert not books.paid_twice()
    assert set(books.accepted_by_body().values()) == {1}
    assert not books.token_leaks


def test_never_loses_what_was_paid_in_a_storm(storm: Storm) -> None:
    """Each accepted id is in the journal under its own request, or that request is in doubt."""
    journal = storm.journal
    ids = {tag: value for word, tag, value in journal.words if word == "accepted"}
    in_doubt = {int(tag) for word, tag, _value in journal.words if word == "in_doubt"}
    for number, entry in entries(storm).items():
        if number in in_doubt:
            assert f"{number}" not in ids
        else:
            assert ids[f"{number}"] == entry.request_id
        if number in storm.handles:
            assert storm.handles[number].request_id == entry.request_id
    assert storm.doubts <= in_doubt <= storm.doubts | storm.left
    assert len(set(ids.values())) == len(ids)
    assert {int(tag) for tag in ids} <= set(entries(storm)), "an id that nobody gave"


def test_never_lies_in_a_storm(storm: Storm) -> None:
    """Each outcome is what the service's books say, and what they cannot say is not made up."""
    books = storm.scene.simulator.books
    billed = books.billed_by_body()
    accepted = entries(storm)
    for number, outcome in storm.outcomes.items():
        entry = accepted[number]
        assert outcome.request_id == entry.request_id
        match outcome:
            case Succeeded(cost_usd=cost):
                assert billed[entry.body] == 1
                untold = entry.request_id in struck(storm, "no-cost")
                assert cost == (None if untold else entry.price / 1e6)
            case Failed(error=error) if error.kind == "NoVideo":
                assert billed[entry.body] == 1
                assert entry.request_id in struck(storm, "no-video")
            case Failed():
                assert entry.body not in billed
                assert entry.request_id in struck(storm, "failed")
            case Cancelled():
                assert entry.body not in billed
                assert entry.request_id in books.cancelled
            case TimedOut():
                assert entry.request_id in struck(storm, "stuck")
            case Lost():
                assert entry.request_id in struck(storm, "expired")
    assert not (storm.not_sent & set(accepted)), "told as not accepted, but it was"
    cancelled = {o.request_id for o in storm.outcomes.values() if isinstance(o, Cancelled)}
    told = {getattr(value, "request_id", None) for value in storm.journal.told("finished")}
    assert cancelled <= set(books.cancelled) <= told


def test_the_money_is_bounded_all_through_a_storm(storm: Storm) -> None:
    """At every event: spent <= really billed <= spent + reserved <= the budget."""
    assert storm.looks > 2 * JOBS
    assert not storm.overdrawn


def test_never_floods_in_a_storm(storm: Storm) -> None:
    """Everything is given back, the counters are right, and each job cost few polls."""
    numbers = storm.statistics
    assert numbers is not None
    assert (numbers.in_flight, numbers.submitting, numbers.waiting) == (0, 0, 0)
    journal = storm.journal
    outcomes = [outcome for outcome in journal.told("finished") if isinstance(outcome, Outcome)]
    of_jobs = [outcome for outcome in outcomes if outcome.request_id is not None]
    assert all(isinstance(outcome, Failed) for outcome in outcomes if outcome not in of_jobs)
    finished = Counter(type(outcome).__name__ for outcome in of_jobs)
    priced = sum(isinstance(o, Failed) and bool(o.cost_usd) for o in of_jobs)  # without a video
    doubts = len(journal.told("in_doubt"))
    assert numbers.submitted == len(journal.told("accepted")) == finished.total()
    assert numbers.untracked == finished["TimedOut"] + finished["Lost"] + doubts
    assert numbers.spent * 1e6 == pytest.approx((finished["Succeeded"] + priced) * COST)
    # Nobody said that these cost nothing, so they stay set aside.
    unpriced = sum(
        isinstance(outcome, Failed | Cancelled) and outcome.request_id in struck(storm, "no-cost")
        for outcome in of_jobs
    )
    assert numbers.reserved * 1e6 == pytest.approx((numbers.untracked + unpriced) * COST)
    gone = {o.request_id for o in storm.outcomes.values() if isinstance(o, TimedOut | Lost)}
    polls = [
        storm.scene.simulator.books.polls(entry.request_id)
        for entry in storm.scene.simulator.books.accepted
        if entry.request_id not in gone
    ]
    assert sum(polls) / len(polls) < 20
    files = list(storm.folder.iterdir())
    assert len(files) == storm.downloads["whole"] > 0
    assert all(path.suffix == ".mp4" for path in files)
