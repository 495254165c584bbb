"""Plans: what is refused, and that no two jobs ask for the same."""

from __future__ import annotations

import pytest

from seedance_async import InvalidRequestError, ProFastTextToVideo, RawRequest
from seedance_async.bench.rounds import Round, plan_benchmark, variant


def test_all_levels_are_gone_through_before_any_is_repeated() -> None:
    plan = plan_benchmark([4, 1, 2, 2], jobs=5, repeats=2)
    assert plan.rounds() == [Round(n, repeat) for repeat in (1, 2) for n in (1, 2, 4)]


def test_no_two_jobs_have_the_same_key_or_ask_for_the_same() -> None:
    rows = list(plan_benchmark([1, 2, 10], jobs=11, repeats=3).rows())
    assert len(rows) == 99
    assert len({key for key, _ in rows}) == len({str(r.input()) for _, r in rows}) == 99


def test_the_cheapest_video_is_asked_for_by_default() -> None:
    request = plan_benchmark().request
    assert isinstance(request, ProFastTextToVideo)
    assert (request.duration, request.resolution) == (2, "480p")


@pytest.mark.parametrize(
    ("levels", "jobs", "repeats", "why"),
    [
        ([], 40, 1, "at least one level"),
        ([0, 1], 40, 1, "a level must be"),
        ([True], 40, 1, "a level must be"),
        ([1, 8], 8, 1, "above the highest level, 8"),
        ([1], 40, 0, "repeats must be"),
    ],
)
def test_what_could_measure_nothing_is_refused(
    levels: list[int], jobs: int, repeats: int, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        plan_benchmark(levels, jobs=jobs, repeats=repeats)


def test_a_request_of_any_model_with_a_prompt_can_be_varied() -> None:
    given = RawRequest("some/other/model", {"prompt": "A hare", "size": 3})
    assert variant(given, "b").input() == {"prompt": "A hare (take b)", "size": 3}


def test_a_request_without_a_prompt_is_refused_before_anything_is_paid() -> None:
    with pytest.raises(ValueError, match="neither `prompt` nor `text`"):
        plan_benchmark(request=RawRequest("some/other/model", {"size": 3}))


def test_a_prompt_that_has_no_room_for_a_name_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        plan_benchmark(request=ProFastTextToVideo(text="x" * 495))
