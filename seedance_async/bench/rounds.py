"""What a benchmark does: levels, rounds in order, and a distinct request for each job. Pure.

A round is one level once: so many jobs with so many in flight. All rounds are rows of one batch,
whose keys say which round a job belongs to, so that a resumed benchmark finds its jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from seedance_async.models import ProFastTextToVideo, Request, build_request

__all__ = ["LEVELS", "PROMPT", "BenchmarkPlan", "Round", "plan_benchmark", "variant"]

LEVELS: Final = (1, 2, 4, 8, 16, 32)
"""Generations in flight that a benchmark tries."""
PROMPT: Final = "A red fox crosses a frozen lake at dawn"
"""What the jobs show; each gets its own name behind it."""


@attrs.frozen(order=True)
class Round:
    """One level, once.

    Attributes:
        level: Generations in flight.
        repeat: Which time, from 1.
    """

    level: int
    repeat: int

    @property
    def name(self) -> str:
        """The round's name in keys and files."""
        return f"level-{self.level:02d}-{self.repeat}"

    def keys(self, jobs: int) -> tuple[str, ...]:
        """Return the keys of its first so many jobs."""
        return tuple(f"{self.name}-{number:03d}" for number in range(1, jobs + 1))


@attrs.frozen(kw_only=True)
class BenchmarkPlan:
    """What a benchmark does; made by `plan_benchmark`.

    Attributes:
        levels: Rising, each once.
        jobs: Generations in each round.
        repeats: Rounds of each level.
        request: What each job asks for, but for its prompt's end.
    """

    levels: tuple[int, ...]
    jobs: int
    repeats: int
    request: Request

    def rounds(self) -> list[Round]:
        """Return the rounds in order: all levels rising, then all of them again.

        So a service that becomes slower during the benchmark does so for all levels alike.
        """
        return [
            Round(level, repeat) for repeat in range(1, self.repeats + 1) for level in self.levels
        ]

    def rows(self) -> Iterator[tuple[str, Request]]:
        """Yield a key and a request for each job of all rounds; no two requests are equal."""
        for this in self.rounds():
            for key in this.keys(self.jobs):
                yield key, variant(self.request, key)


def plan_benchmark(
    levels: Iterable[int] = LEVELS,
    *,
    jobs: int = 40,
    repeats: int = 1,
    request: Request | None = None,
) -> BenchmarkPlan:
    """Return the plan, or refuse what could measure nothing.

    Args:
        levels: Generations in flight, in any order.
        jobs: Generations in each round; more than the highest level, for the first jobs of a
            round only fill the pool and are not measured.
        repeats: Rounds of each level.
        request: What each job asks for; None: two seconds at 480p of the model that needs no
            image.

    Raises:
        ValueError: A number is no whole number from 1, or there are too few jobs.
    """
    given = tuple(levels)
    rising = tuple(sorted(set(given)))
    if not rising:
        raise ValueError("a benchmark needs at least one level")
    for name, number in (*(("a level", level) for level in given), ("repeats", repeats)):
        if type(number) is not int or number < 1:
            raise ValueError(f"{name} must be a whole number from 1 (given: {number!r})")
    if type(jobs) is not int or jobs <= rising[-1]:
        raise ValueError(
            f"jobs must be a whole number above the highest level, {rising[-1]}: the first jobs of "
            f"a round only fill the pool and are not measured (given: {jobs!r}; three times as "
            f"many as the level measure well)"
        )
    chosen = request or ProFastTextToVideo(text=PROMPT, duration=2, resolution="480p")
    variant(chosen, "level")
    return BenchmarkPlan(levels=rising, jobs=jobs, repeats=repeats, request=chosen)


def variant(request: Request, name: str) -> Request:
    """Return the request with a name behind its prompt, so that nobody takes it for another's.

    Raises:
        ValueError: It has neither `prompt` nor `text`.
        InvalidRequestError: The prompt becomes too long for the model.
    """
    given = request.input()
    field = next((word for word in ("prompt", "text") if isinstance(given.get(word), str)), None)
    if field is None:
        raise ValueError(
            "the request has neither `prompt` nor `text`, so that its jobs cannot be told apart"
        )
    return build_request(request.model_id, given | {field: f"{given[field]} (take {name})"})
