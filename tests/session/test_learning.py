"""What a session learns of durations: from jobs, from polls, from a history; in virtual time."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from seedance_async import BackoffPolling, JobFinished, LearnedPolling, Polling, Succeeded
from seedance_async.bodies import Answer
from seedance_async.models import Shape, shape
from seedance_async.simulator.delays import Lognormal

from .scene import Scene, fox, run

MINUTE = Lognormal(60.0, 0.3)


def learned(**settings: Any) -> LearnedPolling:
    return LearnedPolling(random=random.Random(5).random, **settings)


class Told:
    """A policy and its own schedule, which writes down what it is told."""

    def __init__(self, delay: float = 2.0) -> None:
        self.delay = delay
        self.ages: list[float | None] = []
        self.spans: list[tuple[float, float]] = []
        self.ends: list[tuple[Shape | None, float, float]] = []

    def schedule(self) -> Told:
        return self

    def next_delay(self, _shape: Shape | None, age: float | None, _polls: int) -> float:
        self.ages.append(age)
        return self.delay

    def running(self, _shape: Shape | None, since: float, until: float) -> None:
        self.spans.append((since, until))

    def finished(self, of_shape: Shape | None, since: float, duration: float) -> None:
        self.ends.append((of_shape, since, duration))


def night(
    polling: Polling, jobs: int = 300, scene: Scene | None = None, *, in_flight: int = 20
) -> tuple[float, float]:
    """Run jobs and return polls a job and the mean lateness."""
    scene = scene or Scene(capacity=20, durations=MINUTE)
    late: list[float] = []

    async def main() -> None:
        async with scene.session(polling=polling, max_in_flight=in_flight) as session:
            async with session.map(fox(number) for number in range(jobs)) as results:
                async for done in results:
                    assert isinstance(done.outcome, Succeeded)
                    assert done.outcome.timings is not None
                    assert done.outcome.timings.lateness is not None
                    late.append(done.outcome.timings.lateness)
            polls.append(session.statistics().polls / jobs)

    polls: list[float] = []
    run(main)
    scene.judge()
    return polls[0], sum(late) / len(late)


def test_a_batch_is_polled_less_and_known_sooner_than_by_a_backoff() -> None:
    """Three hundred jobs of about a minute, with nothing known at first."""
    polls, lateness = night(learned())
    backoff_polls, backoff_lateness = night(BackoffPolling(maximum=2))
    assert polls < 0.85 * backoff_polls
    assert lateness < 0.9 * backoff_lateness
    assert lateness < 0.5 * night(BackoffPolling())[1]


def test_a_service_that_becomes_slower_in_mid_run_is_learned_anew() -> None:
    """Half of the jobs take 60 s, the others 150 s: no worse than polling every 2 s."""

    class Slower:
        drawn = 0

        def draw(self, u: float) -> float:
            self.drawn += 1
            return MINUTE.draw(u) * (1.0 if self.drawn <= 150 else 2.5)

    polls, lateness = night(learned(), scene=Scene(capacity=20, durations=Slower()))
    fixed = BackoffPolling(2, 2)
    fixed_polls, late = night(fixed, scene=Scene(capacity=20, durations=Slower()))
    assert polls * lateness < 0.85 * fixed_polls * late


def test_what_ran_and_ended_is_told_once_with_the_servers_times() -> None:
    """The spans of a job join without a gap and lead to its end."""
    scene, policy = Scene(capacity=1), Told()

    async def main() -> None:
        async with scene.session(polling=policy) as session:
            await session.generate(fox())

    run(main)
    (end,) = policy.ends
    timings = scene.told(JobFinished)[0].outcome.timings
    assert timings is not None
    assert timings.created_at is not None
    assert timings.finished_at is not None
    server = (timings.finished_at - timings.created_at).total_seconds()
    assert policy.spans[0][0] == 0.0
    assert all(a[1] == b[0] for a, b in pairwise(policy.spans))
    assert end[:2] == (shape(fox()), policy.spans[-1][1])
    assert end[2] == pytest.approx(server, abs=0.1)


def test_without_the_servers_times_the_middle_of_the_last_sleep_counts() -> None:
    """As the service's documents promise no times."""
    scene, policy = Scene(faults=["no-times=1"], capacity=1), Told(delay=4.0)

    async def main() -> None:
        async with scene.session(polling=policy) as session:
            await session.generate(fox())

    run(main)
    ((_, since, duration),) = policy.ends
    assert duration == pytest.approx(since + 2.0, abs=0.1)


def test_jobs_that_do_not_succeed_teach_no_end() -> None:
    """Failed, cancelled and timed-out jobs tell only that they ran."""
    scene, policy = Scene(faults=["failed=1"]), Told()

    async def main() -> None:
        async with scene.session(polling=policy) as session:
            await (await session.submit(fox(1))).wait()
            job = await session.submit(fox(2))
            await asyncio.sleep(5)
            await job.detach()

    run(main)
    assert policy.ends == []
    assert len(policy.spans) > 3


@pytest.mark.parametrize("known", [True, False], ids=["its age is known", "it is not"])
def test_an_attached_job_is_looked_at_first_and_teaches_no_more_than_was_seen(known: bool) -> None:
    """That it ran before it was attached was not watched: those that ended then are not here."""
    scene, policy = Scene(capacity=1), Told()

    async def main() -> None:
        first = scene.session(exit_timeout=0, polling=Told(1000))
        async with first:
            job = await first.submit(fox())
        accepted = 1_767_225_600.0 + asyncio.get_running_loop().time()
        await asyncio.sleep(10)
        async with scene.session(polling=policy) as session:
            at = accepted if known else None
            assert isinstance(await session.attach(job.request_id, accepted_at=at), Succeeded)

    run(main)
    assert policy.ages[0] is None
    if known:
        assert policy.ages[1] == pytest.approx(12, abs=0.2)
        assert policy.spans[0][0] == pytest.approx(12, abs=0.2)
    else:
        assert set(policy.ages) == {None}
        assert policy.spans == []
    ((_, since, duration),) = policy.ends
    assert (since > 0) is known
    assert duration > 12


def test_retry_after_wins_over_what_is_learned() -> None:
    """A poll that is told to wait a minute is not repeated before."""
    scene = Scene(capacity=1)
    polled: list[float] = []
    limited = Answer(429, {"retry-after": "60"}, b'{"error_code": 429}', True)

    def script(method: str, _path: str) -> Answer | None:
        if method == "GET":
            polled.append(asyncio.get_running_loop().time())
        return limited if method == "GET" and len(polled) == 1 else None

    scene.wire.script = script

    async def main() -> None:
        async with scene.session(polling=learned()) as session:
            session.teach([(shape(fox()), 3.0)] * 100)
            await session.generate(fox())

    run(main)
    assert polled[1] - polled[0] >= 60


def test_a_history_goes_from_session_to_session(tmp_path: Path) -> None:
    """The first session learns and writes; the second knows at once, even 300 started together."""
    path = tmp_path / "state" / "durations.jsonl"
    night(learned(history=path))
    assert len(path.read_text().splitlines()) == 300

    def together(polling: Polling) -> tuple[float, float]:
        scene = Scene(capacity=1000, durations=MINUTE)
        return night(polling, 300, scene, in_flight=300)

    (polls, late), (cold_polls, cold_late) = together(learned(history=path)), together(learned())
    assert polls * late < 0.95 * cold_polls * cold_late
    assert polls < 0.8 * 31


def test_nothing_is_written_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's default keeps no file, at home or elsewhere."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:
            await session.generate(fox())

    run(main)
    assert list(tmp_path.iterdir()) == []


def test_a_history_that_cannot_be_written_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning for the reading, one for the writing, and the video."""
    night(learned(history=tmp_path), jobs=2)
    warnings = [record.message for record in caplog.records if "durations" in record.message]
    assert len(warnings) == 2


def test_what_others_saw_can_be_taught() -> None:
    """A batch does so with its ledger; it goes to the policy and not to its history."""
    scene, policy = Scene(), Told()

    async def main() -> None:
        async with scene.session(polling=policy) as session:
            session.teach([(shape(fox()), 33.0)])

    run(main)
    assert policy.ends == [(shape(fox()), 0.0, 33.0)]


def test_a_policy_that_breaks_while_it_learns_disturbs_no_job(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its trouble is logged; the video comes."""

    class Broken(Told):
        def finished(self, _shape: Shape | None, since: float, duration: float) -> None:
            raise ZeroDivisionError

    scene = Scene()

    async def main() -> None:
        async with scene.session(polling=Broken()) as session:
            session.teach([(shape(fox()), 33.0)])
            await session.generate(fox())

    run(main)
    assert caplog.text.count("the polling policy could not learn") == 2
