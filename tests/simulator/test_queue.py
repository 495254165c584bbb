"""The queue against a naive model, and the draws of durations."""

import random
import statistics

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedance_async.simulator import FaultPlan, Simulator
from seedance_async.simulator.durations import Durations, median_seconds
from seedance_async.simulator.job import Job, JobState

from .asking import FAST, LATER, PRO, Asking, read


@attrs.define
class NaiveQueue:
    """The same queue, written without any thought of speed."""

    capacity: int
    waiting: list[Job] = attrs.field(factory=list)
    ends: dict[str, float] = attrs.field(factory=dict)

    def start(self, now: float) -> None:
        while self.waiting and len(self.ends) < self.capacity:
            job = self.waiting.pop(0)
            self.ends[job.request_id] = now + job.work_seconds

    def advance(self, now: float) -> None:
        while self.ends and (end := min(self.ends.values())) <= now:
            self.ends = {name: e for name, e in self.ends.items() if e > end}
            self.start(end)


operations = st.lists(
    st.tuples(
        st.sampled_from(["submit"] * 6 + ["cancel"] * 2 + ["wait"]),
        st.integers(0, 1000),
        st.floats(0, 60),
    ),
    min_size=5,
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5), st.integers(0, 3), operations)
def test_the_queue_agrees_with_a_naive_one(
    capacity: int, seed: int, steps: list[tuple[str, int, float]]
) -> None:
    """Capacity, first in first out, positions, cancellations and books, at every step."""
    play(Simulator(capacity=capacity, seed=seed), steps)


def test_thousands_of_operations_agree_as_well() -> None:
    """One long run, where lines grow and shrink by hundreds."""
    chance = random.Random(1)
    kinds = ["submit"] * 6 + ["cancel", "wait"]
    steps = [
        (chance.choice(kinds), chance.randrange(10_000), chance.uniform(0, 90)) for _ in range(3000)
    ]
    play(Simulator(capacity=7), steps, check_every=50)


def play(simulator: Simulator, steps: list[tuple[str, int, float]], check_every: int = 1) -> None:
    asking, naive = Asking(simulator), NaiveQueue(simulator.capacity)
    jobs: list[Job] = []
    cancelled: list[str] = []
    for number, (kind, index, seconds) in enumerate(steps):
        if kind == "wait":
            asking.now += seconds
        naive.advance(asking.now)
        if kind == "submit":
            jobs.append(simulator._jobs[asking.accept({"text": f"fox {number}"})])
            naive.waiting.append(jobs[-1])
            naive.start(asking.now)
        elif kind == "cancel" and jobs:
            job = jobs[index % len(jobs)]
            outcome = read(asking.cancel(job.request_id))["outcome"]
            if job in naive.waiting:
                naive.waiting.remove(job)
                cancelled.append(job.request_id)
            assert (outcome == "cancelled") == (job.request_id in cancelled)
        if number % check_every == 0:
            agree(asking, naive, jobs)
    books = simulator.books
    assert books.cancelled == tuple(cancelled)
    assert len(books.accepted) == len(jobs)
    assert books.billed == sum(job.price for job in jobs if job.request_id not in cancelled)
    assert not books.paid_twice()


def agree(asking: Asking, naive: NaiveQueue, jobs: list[Job]) -> None:
    simulator = asking.simulator
    simulator.advance(asking.now)
    assert simulator.running == len(naive.ends) <= simulator.capacity
    assert simulator.waiting == len(naive.waiting)
    for position, job in enumerate(naive.waiting):
        document = read(asking.status(job.request_id))
        assert (document["status"], document["queue_position"]) == ("in_queue", position)
    running = {job.request_id for job in jobs if job.state is JobState.RUNNING}
    assert running == naive.ends.keys()


def test_a_job_starts_when_a_slot_becomes_free_not_when_somebody_asks() -> None:
    """Time passes between requests: a night of silence leaves no job behind."""
    asking = Asking(Simulator(capacity=1))
    ids = [asking.accept({"text": str(n)}) for n in range(20)]
    asking.now = LATER
    ends = [asking.simulator._jobs[request_id] for request_id in ids]
    read(asking.status(ids[0]))
    total = sum(job.work_seconds for job in ends)
    assert ends[-1].finished_at == pytest.approx(total)


def test_a_clock_that_goes_back_stands_still() -> None:
    """A request with an earlier time than the last one is taken at the last one."""
    asking = Asking(Simulator(), now=LATER)
    asking.accept()
    asking.now = 0.0
    asking.accept()
    assert [entry.accepted_at for entry in asking.simulator.books.accepted] == [LATER, LATER]


def test_durations_have_the_median_of_their_kind() -> None:
    """Model, resolution and length decide; the spread is that of sigma 0.25."""
    durations = Durations(seed=3, speed=2.0)
    draws = [durations.draw(str(n), FAST, "720p", 5) for n in range(4000)]
    assert statistics.median(draws) == pytest.approx(median_seconds(FAST, "720p", 5) / 2, rel=0.03)
    assert statistics.quantiles(draws, n=100)[83] == pytest.approx(
        statistics.median(draws) * 1.28, rel=0.05
    )
    assert median_seconds(PRO, "1080p", 12) > 4 * median_seconds(FAST, "1080p", 5)
    assert median_seconds(FAST, "480p", 5) < median_seconds(FAST, "480p", 6)


def test_equal_seeds_give_equal_answers_and_faults_do_not_shift_durations() -> None:
    """Each purpose has draws of its own, and no order of requests moves them."""

    def lengths(
        seed: int, rates: dict[str, float], *, backwards: bool = False
    ) -> set[tuple[str, float]]:
        asking = Asking(Simulator(seed=seed, faults=FaultPlan(rates)))
        numbers = range(20)
        ids = [
            asking.accept({"text": str(n)}) for n in (reversed(numbers) if backwards else numbers)
        ]
        return {(name, asking.simulator._jobs[name].work_seconds) for name in ids}

    plain = lengths(7, {})
    assert plain == lengths(7, {"failed": 0.5, "drop-after-accept": 0.5, "poll-429": 1.0})
    assert plain == lengths(7, {}, backwards=True)
    assert not plain & lengths(8, {})
