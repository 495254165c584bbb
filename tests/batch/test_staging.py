"""The plan: streaming in, all or nothing, and nothing renamed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from seedance_async import LedgerError
from seedance_async.batch.entries import (
    ConflictKind,
    PlanSummary,
    RowProblem,
    Staged,
    StagedRow,
)
from seedance_async.batch.keys import derived_key
from seedance_async.batch.ledger import Ledger
from tests.batch.ledgers import (
    entries,
    fox,
    keyed,
    opened,
    plan,
    staged,
    states,
    submit,
    succeeded,
)
from tests.session.scene import run


def on_ledger(folder: Path, main: Callable[[Ledger], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with await opened(folder) as ledger:
            await main(ledger)

    run(whole)


async def keys(ledger: Ledger) -> list[str]:
    return [row.key for row in await ledger.next_planned(100)]


def test_rows_are_planned_in_the_manifests_order(tmp_path: Path) -> None:
    """In pages, from any line on; what identifies the manifest is kept."""

    async def main(ledger: Ledger) -> None:
        assert ledger.info.manifest is None
        assert await plan(ledger, "cab", manifest="f00d") == PlanSummary(3, 0, 0)
        first, second = await ledger.next_planned(2)
        assert (first.key, second.key) == ("c", "a")
        assert json.loads(first.input_json)["duration"] == 5
        assert [row.key for row in await ledger.next_planned(2, after=second.line)] == ["b"]
        assert ledger.info.manifest == "f00d"

    on_ledger(tmp_path, main)

    async def again(ledger: Ledger) -> None:
        assert ledger.info.manifest == "f00d"

    on_ledger(tmp_path, again)


def test_derived_keys_count_equal_rows_and_moving_renames_nothing(tmp_path: Path) -> None:
    """Two equal rows are two videos; inserting before them leaves their names."""

    async def main(ledger: Ledger) -> None:
        await ledger.draft.stage([staged(1, take=1), staged(3, take=2), staged(7, take=1)])
        await ledger.plan()
        digest = staged(1, take=1).digest
        assert await keys(ledger) == [
            derived_key(digest, 1),
            derived_key(staged(1, take=2).digest, 1),
            derived_key(digest, 2),
        ]
        before = set(await keys(ledger))
        await ledger.draft.stage(
            [staged(1, take=9), staged(2, take=2), staged(3, take=1), staged(4, take=1)]
        )
        assert await ledger.plan() == PlanSummary(added=1, kept=3, gone=0)
        assert set(await keys(ledger)) > before

    on_ledger(tmp_path, main)


def test_conflicts_name_both_lines_and_change_nothing(tmp_path: Path) -> None:
    """A key twice, a derived key that somebody copied, a changed request under a known key."""

    async def main(ledger: Ledger) -> None:
        await plan(ledger, "ab")
        copied = derived_key(staged(1, take=5).digest, 1)
        rows = [
            staged(1, "a", take=999),
            staged(2, "x"),
            staged(3, "x"),
            staged(4, take=5),
            staged(5, copied, take=6),
            staged(6, "x"),
        ]
        assert await ledger.draft.stage(rows) == Staged(rows=6, conflicts=4)
        found = [conflict async for conflict in ledger.draft.conflicts()]
        assert [(c.line, c.key, c.kind, c.first_line) for c in found] == [
            (1, "a", ConflictKind.CHANGED, None),
            (3, "x", ConflictKind.DUPLICATE, 2),
            (5, copied, ConflictKind.DUPLICATE, 4),
            (6, "x", ConflictKind.DUPLICATE, 2),
        ]
        assert found[0].rule.startswith("'a' stands for another request in this ledger: give")
        assert found[1].rule == "'x' is taken by line 2: give each row its own"
        with pytest.raises(LedgerError, match="4 lines of the manifest cannot be planned, so "):
            await ledger.plan()
        assert await keys(ledger) == ["a", "b"]
        assert await ledger.plan(skip_invalid=True) == PlanSummary(
            added=2, kept=0, gone=2, skipped=4
        )
        assert await keys(ledger) == ["x", copied]
        with pytest.raises(LedgerError, match="nothing is staged"):
            await ledger.plan()

    on_ledger(tmp_path, main)


def test_problems_are_staged_with_the_rows_and_kept_where_they_are_skipped(tmp_path: Path) -> None:
    """In line order, conflicts among them; the next plan's take their place."""
    wrong = [
        RowProblem(5, "duration", "must be 5 or 10", "7", "e"),
        RowProblem(2, None, "is no JSON object", "[]"),
        RowProblem(2, "key", "must be text", "\ud800"),
        RowProblem(9, "text", "must be given"),
    ]
    conflict = RowProblem(7, "key", "'x' is taken by line 1: give each row its own", key="x")
    found = [wrong[1], attrs.evolve(wrong[2], value="\\ud800"), wrong[0], conflict, wrong[3]]

    async def main(ledger: Ledger) -> None:
        await plan(ledger, "ab")
        rows: list[StagedRow | RowProblem]
        rows = [staged(1, "x"), wrong[0], wrong[1], wrong[2], staged(7, "x"), wrong[3]]
        assert await ledger.draft.stage(rows) == Staged(rows=2, conflicts=1, problems=4)
        assert [problem async for problem in ledger.draft.problems()] == found
        with pytest.raises(LedgerError, match="4 lines of the manifest cannot be planned, so "):
            await ledger.plan()
        assert [problem async for problem in ledger.invalid()] == []
        assert await keys(ledger) == ["a", "b"]
        done = await ledger.plan(skip_invalid=True)
        assert done == PlanSummary(added=1, kept=0, gone=2, skipped=4)
        assert [problem async for problem in ledger.invalid()] == found
        assert await ledger.invalid_lines() == 4
        await ledger.draft.stage([staged(1, "x"), wrong[0]])
        with pytest.raises(LedgerError, match="1 line of the manifest cannot be planned"):
            await ledger.plan()
        await ledger.plan(skip_invalid=True)
        assert [problem async for problem in ledger.invalid()] == [wrong[0]]
        await ledger.draft.stage([staged(1, "x")])
        assert [problem async for problem in ledger.draft.problems()] == []
        assert (await ledger.plan(skip_invalid=True)).skipped == 0
        assert await ledger.invalid_lines() == 0
        with pytest.raises(LedgerError, match="nothing is staged"):
            [problem async for problem in ledger.draft.problems()]

    on_ledger(tmp_path, main)


def test_a_line_with_a_problem_is_left_out_even_if_it_is_a_row_too(tmp_path: Path) -> None:
    """Whoever finds something wrong with a staged row need not take it back."""

    async def main(ledger: Ledger) -> None:
        await ledger.draft.stage(
            [staged(1, "a"), staged(2, "b"), RowProblem(2, "image", "is too small")]
        )
        assert await ledger.plan(skip_invalid=True) == PlanSummary(1, 0, 0, 1)
        assert await keys(ledger) == ["a"]

    on_ledger(tmp_path, main)


def test_cancelled_staging_stops_at_the_next_row(tmp_path: Path) -> None:
    """And leaves the ledger as it was. Real threads and time: it is about a running iterable."""
    begun = threading.Event()

    def endless() -> Iterator[StagedRow]:
        for line in itertools.count(1):
            begun.set()
            yield staged(line)

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "ab")
            task = asyncio.create_task(ledger.draft.stage(endless()))
            await asyncio.to_thread(begun.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await keys(ledger) == ["a", "b"]
            assert not list(tmp_path.glob("*staging*"))
            await plan(ledger, "c")
            assert await keys(ledger) == ["c"]

    asyncio.run(main())


def test_rows_that_left_the_manifest_are_kept_and_not_submitted(tmp_path: Path) -> None:
    """What was paid is tracked and listed last; what was only planned waits for its return."""

    async def main(ledger: Ledger) -> None:
        await plan(ledger, "abcd")
        await submit(ledger, "a")
        await submit(ledger, "b")
        await ledger.finished("b", succeeded("id-b"))
        assert await plan(ledger, "dx") == PlanSummary(added=1, kept=1, gone=3)
        assert await keys(ledger) == ["d", "x"]
        assert await ledger.unlisted_planned() == 1
        with pytest.raises(LedgerError, match="'c' is no longer in the manifest, so nothing was"):
            await ledger.submitting("c", fox())
        assert [job.key async for job in ledger.open_jobs()] == ["a"]
        found = await entries(ledger)
        assert [(key, entry.line) for key, entry in found.items()] == [
            *(("d", 1), ("x", 2), ("a", None), ("b", None), ("c", None))
        ]
        assert await plan(ledger, "cab") == PlanSummary(added=0, kept=3, gone=2)
        assert await keys(ledger) == ["c"]
        assert (await states(ledger))["b"] == "succeeded"

    on_ledger(tmp_path, main)


@pytest.mark.parametrize("at", [0, 1, 500])
def test_a_manifest_that_breaks_leaves_the_ledger_as_it_was(at: int, tmp_path: Path) -> None:
    """Its own error comes out, and no file is left."""

    def broken() -> Iterator[StagedRow]:
        for line in range(1, at + 1):
            yield staged(line)
        raise ValueError("line 501: no JSON")

    async def main(ledger: Ledger) -> None:
        await plan(ledger, "ab")
        with pytest.raises(ValueError, match="line 501"):
            await ledger.draft.stage(broken())
        assert await keys(ledger) == ["a", "b"]
        assert not list(tmp_path.glob("*staging*"))
        with pytest.raises(LedgerError, match="nothing is staged"):
            await ledger.plan()
        await plan(ledger, "")
        assert await keys(ledger) == []
        with pytest.raises(LedgerError, match=r"UNIQUE constraint failed: staged\.line"):
            await ledger.draft.stage([staged(1), staged(1)])

    on_ledger(tmp_path, main)


def test_many_pages_come_whole(tmp_path: Path) -> None:
    """Streams go on where a page ended: rows, conflicts, jobs."""

    async def main(ledger: Ledger) -> None:
        await ledger.draft.stage(staged(line, f"k{line}") for line in range(1, 2502))
        await ledger.plan()
        assert len(await entries(ledger)) == 2501
        for line in range(1, 1101):
            await submit(ledger, f"k{line}")
        assert len([job async for job in ledger.open_jobs()]) == 1100
        await ledger.draft.stage(staged(line, "same") for line in range(1, 2502))
        assert len([conflict async for conflict in ledger.draft.conflicts()]) == 2500
        many = [RowProblem(1 + n % 7, f"f{n}", "no") for n in range(2501)]
        await ledger.draft.stage(many)
        found = [problem async for problem in ledger.draft.problems()]
        assert found == sorted(many, key=lambda problem: problem.line)
        await ledger.plan(skip_invalid=True)
        assert [problem async for problem in ledger.invalid()] == found
        assert [row.line for row in keyed("abc")] == [1, 2, 3]

    on_ledger(tmp_path, main)


LONG = pytest.mark.skipif("SEEDANCE_LONG" not in os.environ, reason="20 s; SEEDANCE_LONG=1")
MEASURE = """
import asyncio, json, sys, time
from pathlib import Path
from seedance_async.batch.entries import RowProblem
from seedance_async.batch.ledger import Ledger
from tests.batch.ledgers import staged
count = int(sys.argv[2])
async def main():
    async with await Ledger.open(Path(sys.argv[1]), origin="x") as ledger:
        begin = time.perf_counter()
        # one of ten with a capital letter, one of a hundred with a problem
        await ledger.draft.stage(
            staged(n, None if n % 2 else f"{'K' if n % 10 == 0 else 'k'}{n}", n // 4)
            if n % 100 else RowProblem(n, "duration", "must be 5 or 10", "7")
            for n in range(1, count)
        )
        await ledger.plan(skip_invalid=True)
        seconds = time.perf_counter() - begin
        async for _ in ledger.rows(): pass
        async for _ in ledger.invalid(): pass
        await ledger.shapes()
    # ru_maxrss would begin with the size of the process that started this one
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    print(json.dumps({"rate": count / seconds, "peak": peak}))
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("count", [200_000, pytest.param(1_000_000, marks=LONG)])
def test_planning_needs_flat_memory(count: int, tmp_path: Path) -> None:
    """At most 120 MB, however long the manifest; the rate is printed, for a person to judge."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), str(count)],
        capture_output=True,
        check=True,
        timeout=200,
        cwd=Path(__file__).parents[2],
        env={key: value for key, value in os.environ.items() if "COVERAGE" not in key},
    )
    found = json.loads(done.stdout)
    assert found["peak"] < 120, found
    print(f"{count} rows: {found['rate']:,.0f} a second, {found['peak']:.0f} MB")
