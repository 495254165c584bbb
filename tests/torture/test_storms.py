"""Storms of 429s, on virtual time: for submissions, for polls, in bursts, and without an end.

How many requests a storm can provoke is bounded by the design: after a 429 to a submission the
whole session submits nothing until its Retry-After has passed, and then no more POSTs leave than
the working limit lets through, which each 10 s of a storm cut; after a 429 to a poll its job is
not polled until its Retry-After has passed.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from math import inf
from pathlib import Path
from typing import Any, Final

from seedance_async import RetryPolicy
from seedance_async.batch.edges import RowState
from seedance_async.batch.stops import StopReason
from seedance_async.bodies import Answer
from tests.batch.night import Night, foxes
from tests.session.scene import run
from tests.torture.judge import Figures, judge

Tell = Callable[..., None]

LATENCY: Final = 0.05
"""Seconds that a request takes to the service; the answer comes back in none."""
IN_FLIGHT: Final = 8


class Stormy(Night):
    """A night in which each request is written down, with the waits that 429s asked for.

    Attributes:
        posts: When a submission left.
        refused: When one was answered with 429, and the seconds that it asked for.
        polls: When a job was polled, by path.
        refused_polls: The same as `refused`, of polls by path.
        forms: The forms of Retry-After that came.
    """

    def __init__(self, folder: Path, *faults: str, **options: Any) -> None:
        super().__init__(folder, faults=list(faults), **options)
        self.posts: list[float] = []
        self.refused: list[tuple[float, float]] = []
        self.polls: defaultdict[str, list[float]] = defaultdict(list)
        self.refused_polls: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self.forms: set[str] = set()
        self.wire.script = self._leaves
        self.wire.after = self._is_answered

    def _leaves(self, method: str, path: str) -> None:
        now = asyncio.get_running_loop().time()
        if method == "POST":
            self.posts.append(now)
        else:
            self.polls[path].append(now)

    def _is_answered(self, method: str, path: str, answer: Answer) -> Answer:
        if answer.status == 429:
            told = asyncio.get_running_loop().time(), self._seconds_of(answer)
            (self.refused if method == "POST" else self.refused_polls[path]).append(told)
        return answer

    def _seconds_of(self, answer: Answer) -> float:
        """Read Retry-After apart from the product's own reading."""
        text = answer.headers["retry-after"]
        self.forms.add("seconds" if text.isdecimal() else "date")
        if text.isdecimal():
            return float(text)
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(answer.headers["date"])
        return wait.total_seconds()

    async def submit(self, rows: int, **wishes: Any) -> Any:
        """Run the batch's command once."""
        retry = RetryPolicy(random=random.Random(1).random)
        return await self.run(
            foxes(rows), session={"max_in_flight": IN_FLIGHT, "retry": retry}, **wishes
        )

    def judge_storm(self, *, deadline: float = inf) -> Figures:
        """Let the judge look, to whom a refusal is no doubt, and see that each wait was kept.

        At its deadline a job is polled in any case.
        """
        too_early = _inside(self.posts, self.refused)
        for path, times in self.polls.items():
            in_time = [time for time in times if time < deadline]
            too_early += _inside(in_time, self.refused_polls[path])
        assert not too_early, f"sent before Retry-After had passed: {too_early}"
        figures = judge(self.folder, self.simulator.books, posts_under_way=0)
        assert figures.doubts == 0
        return figures + Figures(faults=len(self.simulator.faults_log))


def _inside(times: list[float], waits: list[tuple[float, float]]) -> list[float]:
    """Return the times that lie within a wait; what left before its beginning could not know."""
    return [time for time in times if any(at < time < at + wait - 1e-6 for at, wait in waits)]


def most_posts(seconds: float, limit: int = IN_FLIGHT) -> int:
    """Return how many POSTs a storm of so many seconds may provoke; Retry-After is 1 s at least."""
    most = 0
    for _ in range(int(seconds / 10) + 1):
        most += 10 * limit
        limit = max(1, int(limit * 0.7))
    return most


def test_never_pays_twice_while_submissions_are_refused_for_now(tmp_path: Path, tell: Tell) -> None:
    """90 s of 429s, twice: each Retry-After is kept by the whole session, and nothing is lost."""
    night = Stormy(tmp_path, "429=1,since=10,until=100", "429=1,since=160,until=250")

    async def main() -> None:
        report = await night.submit(40)
        assert report.counts[RowState.DOWNLOADED] == 40
        assert night.forms == {"seconds", "date"}
        assert 0 < len(night.refused) <= 2 * most_posts(90)
        assert len(night.posts) == 40 + len(night.refused)
        tell(night.judge_storm(), posts_refused=len(night.refused))

    run(main)


def test_never_loses_what_was_paid_while_polls_are_refused_for_now(
    tmp_path: Path, tell: Tell
) -> None:
    """90 s in which no poll is answered: each waits for its own Retry-After, and no job ends."""
    night = Stormy(tmp_path, "poll-429=1,since=10,until=100")

    async def main() -> None:
        report = await night.submit(24)
        assert report.counts[RowState.DOWNLOADED] == 24
        assert night.forms == {"seconds", "date"}
        refused = [len(waits) for waits in night.refused_polls.values()]
        assert 0 < max(refused) <= 90
        assert sum(refused) <= IN_FLIGHT * 90
        assert len(night.posts) == 24
        tell(night.judge_storm(), polls_refused=sum(refused))

    run(main)


def test_never_pays_twice_in_bursts_that_refuse_everything_for_now(
    tmp_path: Path, tell: Tell
) -> None:
    """Five bursts of submissions and polls refused by dice, and a queue that is often full."""
    bursts = [
        f"{name}=0.8,since={at},until={at + 40}"
        for at in range(0, 300, 60)
        for name in ("429", "poll-429")
    ]
    night = Stormy(tmp_path, *bursts, capacity=3, max_queue=2)

    async def main() -> None:
        report = await night.submit(40)
        assert report.counts[RowState.DOWNLOADED] == 40
        refused_polls = sum(map(len, night.refused_polls.values()))
        assert night.refused
        assert refused_polls
        tell(night.judge_storm(), posts_refused=len(night.refused), polls_refused=refused_polls)

    run(main)


def test_never_hangs_in_a_storm_of_refusals_without_an_end(tmp_path: Path, tell: Tell) -> None:
    """After 15 minutes of 429s the run stops and says so; what runs is finished, the rest waits.

    The command that is given again after the storm brings all to its end.
    """
    night = Stormy(tmp_path, "429=1,since=2,until=7200")
    patience = RetryPolicy().limited_patience

    async def main() -> None:
        loop = asyncio.get_running_loop()
        report = await night.submit(20)
        assert report.stop is not None
        assert report.stop.reason is StopReason.LIMITED
        assert patience - 60 <= loop.time() <= patience + 120
        paid = report.counts[RowState.DOWNLOADED]
        assert paid == IN_FLIGHT
        assert report.counts[RowState.PLANNED] == 20 - paid
        assert len(night.refused) <= most_posts(patience)
        refused = len(night.refused)
        night.judge_storm()
        await asyncio.sleep(7200 - loop.time())
        report = await night.submit(20)
        assert report.stop is None
        assert report.counts[RowState.DOWNLOADED] == 20
        tell(night.judge_storm(), posts_refused=refused)

    run(main)


def test_never_hangs_on_polls_that_are_refused_without_an_end(tmp_path: Path, tell: Tell) -> None:
    """At its deadline a job is let go, not failed; the next run finds its video."""
    night = Stormy(tmp_path, "poll-429=1,since=2,until=7200")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        report = await night.submit(IN_FLIGHT)
        assert report.counts[RowState.TIMED_OUT] == IN_FLIGHT
        assert 1800 <= loop.time() <= 1800 + 60
        await asyncio.sleep(7200 - loop.time())
        report = await night.submit(IN_FLIGHT)
        assert report.counts[RowState.DOWNLOADED] == IN_FLIGHT
        assert len(night.posts) == IN_FLIGHT
        polls = sum(map(len, night.refused_polls.values()))
        tell(night.judge_storm(deadline=1800), polls_refused=polls)

    run(main)
