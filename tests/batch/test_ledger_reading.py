"""What a ledger tells: selections, shapes, names, further videos, and what may be paid for."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from seedance_async import Output, Succeeded
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import ReadyVideo, RowProblem
from seedance_async.batch.ledger import Ledger
from seedance_async.models import Shape
from tests.batch.ledgers import (
    URL,
    failed,
    fox,
    keyed,
    lost,
    on_ledger,
    plan,
    staged,
    submit,
    succeeded,
    timed_out,
)


def some(counts: dict[RowState, int]) -> dict[str, int]:
    """Return the states that some rows are in."""
    assert list(counts) == list(RowState)
    return {state.value: count for state, count in counts.items() if count}


def test_rows_are_chosen_by_line_and_by_key(tmp_path: Path) -> None:
    """Planned and listed ones only, in the manifest's order, however they are asked for."""

    async def main(ledger: Ledger) -> None:
        await submit(ledger, "b")
        await plan(ledger, "dcab")  # e is planned and no longer listed
        assert [row.key for row in await ledger.next_planned(9)] == ["d", "c", "a"]
        assert [row.key for row in await ledger.next_planned(9, through=2)] == ["d", "c"]
        assert [row.key for row in await ledger.next_planned(9, after=1, through=2)] == ["c"]
        asked = ["a", "b", "d", "d", "e", "z", "\ud800", "d\0"]
        assert [row.key for row in await ledger.planned(asked)] == ["d", "a"]
        assert await ledger.planned(["a"]) == await ledger.next_planned(1, after=2)
        assert await ledger.known(asked) == {"a", "b", "d", "e"}
        assert await ledger.known([]) == set()

    on_ledger(tmp_path, main, "abcde")


def test_many_keys_can_be_asked_for(tmp_path: Path) -> None:
    """More than SQLite takes variables."""

    async def main(ledger: Ledger) -> None:
        await ledger.draft.stage(staged(line, f"k{line}") for line in range(1, 40_001))
        await ledger.plan()
        keys = [f"k{line}" for line in range(1, 80_001)]
        assert len(await ledger.planned(keys)) == 40_000
        assert len(await ledger.known(keys)) == 40_000
        assert (await ledger.counts(keys=keys))[RowState.PLANNED] == 40_000

    on_ledger(tmp_path, main)


def test_the_nth_row_has_a_line(tmp_path: Path) -> None:
    """Lines may have gaps, and rows that the manifest no longer has are not counted."""

    async def main(ledger: Ledger) -> None:
        await ledger.draft.stage([staged(3), staged(7), staged(20)])
        await ledger.plan()
        assert [await ledger.line_of(nth) for nth in (1, 2, 3, 4)] == [3, 7, 20, None]
        with pytest.raises(ValueError, match="rows count from 1, not 0"):
            await ledger.line_of(0)

    on_ledger(tmp_path, main)


def test_rows_are_counted_by_state(tmp_path: Path) -> None:
    """Planned rows that the manifest no longer has do not count; what was paid does."""

    async def main(ledger: Ledger) -> None:
        for key in "abc":
            await submit(ledger, key)
        await ledger.finished("c", succeeded("id-c"))
        await plan(ledger, "abde")  # c and f are no longer listed
        assert some(await ledger.counts()) == {"planned": 2, "submitted": 2, "succeeded": 1}
        assert some(await ledger.counts(through=3)) == {"planned": 1, "submitted": 2}
        chosen = await ledger.counts(keys=["a", "c", "d", "f", "z"])
        assert some(chosen) == {"planned": 1, "submitted": 1, "succeeded": 1}
        chosen = await ledger.counts(keys=["a", "c", "d"], through=2)
        assert some(chosen) == {"submitted": 1}
        assert some(await ledger.counts(keys=[])) == {}
        assert await ledger.unlisted_planned() == 1

    on_ledger(tmp_path, main, "abcdef")


def test_what_waits_is_grouped_by_shape(tmp_path: Path) -> None:
    """Model, resolution, duration and audio; what is no JSON or says nothing has no shape."""
    inputs = [
        '{"duration": 5, "resolution": "480p", "generate_audio": true}',
        '{"duration": 5.0, "resolution": "480p", "generate_audio": true, "text": "x"}',
        '{"duration": 10, "resolution": "480p"}',
        '{"duration": "long", "resolution": 7}',
        "no JSON",
    ]

    async def main(ledger: Ledger) -> None:
        await ledger.draft.stage(
            attrs.evolve(staged(line), model_id="m", input_json=text)
            for line, text in enumerate(inputs, 1)
        )
        await ledger.plan()
        loud, long, none = Shape("m", "480p", 5, True), Shape("m", "480p", 10), Shape("m")
        assert dict(await ledger.shapes()) == {loud: 2, long: 1, none: 2}
        assert dict(await ledger.shapes(through=3)) == {loud: 2, long: 1}
        rows = await ledger.next_planned(9)
        keys = [row.key for row in rows[1:4]]
        assert dict(await ledger.shapes(keys=keys)) == {loud: 1, long: 1, none: 1}
        assert dict(await ledger.shapes(keys=keys, through=2)) == {loud: 1}
        await submit(ledger, rows[2].key)
        assert dict(await ledger.shapes()) == {loud: 2, none: 2}

    on_ledger(tmp_path, main)


def test_a_name_belongs_to_the_row_that_was_planned_first(tmp_path: Path) -> None:
    """Letters beyond ASCII are not folded; rows that left the manifest keep their names."""

    async def main(ledger: Ledger) -> None:
        keys = ["Fox", "fox", "FOX", "owl", "OWL", "É", "é", "elk"]
        await ledger.draft.stage(staged(line, key) for line, key in enumerate(keys, 1))
        await ledger.plan()
        taken = [key for key in keys if await ledger.name_is_taken(key)]
        assert taken == ["fox", "FOX", "OWL"]
        await ledger.draft.stage([staged(1, "ELK", 99), staged(2, "fox")])
        await ledger.plan()
        assert await ledger.name_is_taken("ELK")
        assert await ledger.name_is_taken("fox")
        assert not await ledger.name_is_taken("elk")
        assert not await ledger.name_is_taken("nobody")

    on_ledger(tmp_path, main)


def test_further_videos_are_kept(tmp_path: Path) -> None:
    """All but the first, each once; told again, fresher ones count."""

    async def main(ledger: Ledger) -> None:
        def told(*urls: str) -> Succeeded:
            output = Output(video=URL, videos=urls)
            return Succeeded(request_id="id-a", video_url=URL, output=output)

        await submit(ledger, "a")
        await ledger.finished("a", told(URL, f"{URL}?2", f"{URL}?2", f"{URL}?3\ud800"))
        (video,) = [video async for video in ledger.ready_videos()]
        assert video == ReadyVideo("a", "id-a", URL, (f"{URL}?2", f"{URL}?3\\ud800"))
        await ledger.finished("a", told(f"{URL}?fresh"))
        await ledger.finished("a", told())
        (video,) = [video async for video in ledger.ready_videos()]
        assert video.more == (f"{URL}?fresh",)
        await submit(ledger, "b")
        await ledger.finished("b", succeeded("id-b"))
        assert [video.more async for video in ledger.ready_videos()] == [(f"{URL}?fresh",), ()]

    on_ledger(tmp_path, main)


def test_attempts_that_may_be_paid_for_are_counted(tmp_path: Path) -> None:
    """Of all rows, listed or not: all but what was not sent, refused, or not billed."""

    async def main(ledger: Ledger) -> None:
        assert await ledger.paid_attempts() == 0
        ends = [succeeded("id-a"), failed("id-b"), timed_out("id-c"), lost("id-d")]
        for key, end in zip("abcd", ends, strict=True):
            await submit(ledger, key)
            await ledger.finished(key, end)
        for key in "efgh":
            await ledger.submitting(key, fox())
        assert await ledger.paid_attempts() == 8
        await ledger.not_sent("e", "429")
        await ledger.finished("f", failed(None))
        for key in "gh":
            await ledger.in_doubt(key, "no answer")
        await ledger.resolve("g", not_billed=True)
        assert await ledger.paid_attempts() == 5
        await ledger.retry({RowState.LOST, RowState.FAILED})
        await submit(ledger, "d", "id-d2")
        await plan(ledger, "a")
        assert await ledger.paid_attempts() == 6

    on_ledger(tmp_path, main, "abcdefgh")


def test_readers_see_it_too(tmp_path: Path) -> None:
    """All of it is asked without the lock, also in many pages."""

    async def main(ledger: Ledger) -> None:
        problems = [RowProblem(line, "text", "must be given") for line in range(10, 2511)]
        await ledger.draft.stage([*keyed("abc"), *problems])
        await ledger.plan(skip_invalid=True)
        for key in "ab":
            await submit(ledger, key)
            await ledger.finished(key, succeeded(f"id-{key}"))
        async with await Ledger.read(tmp_path) as reader:
            assert [problem async for problem in reader.invalid()] == problems
            assert await reader.invalid_lines() == 2501
            assert [video.key async for video in reader.ready_videos()] == ["a", "b"]
            assert await reader.line_of(3) == 3
            assert await reader.paid_attempts() == 2
            assert not await reader.name_is_taken("a")
            assert len(await reader.shapes()) == 1

    on_ledger(tmp_path, main)
