"""Results: one line for each row, in a file that is whole at any time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from seedance_async import ErrorInfo, LedgerError
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import RowEntry, RowProblem, StagedRow
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.results import result_of, results, write_lines, write_results
from tests.batch.ledgers import failed, fox, opened, plan, staged, submit, succeeded, timed_out
from tests.session.scene import run

FIELDS = [
    *("key", "line", "model", "state", "request_id", "video_url", "file", "bytes", "sha256"),
    *("cost_usd", "attempts", "error", "submitted_at", "finished_at"),
]
NOON = "2026-01-01T00:00:00.000+00:00"


def on_ledger(folder: Path, main: Callable[[Ledger], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with await opened(folder) as ledger:
            await main(ledger)

    run(whole)


async def written(ledger: Ledger, folder: Path) -> list[dict[str, Any]]:
    counts = await write_results(ledger, folder)
    assert counts.path == folder / "results.jsonl"
    lines = counts.path.read_text("utf-8").splitlines()
    found: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert all(list(result) == FIELDS for result in found)
    assert counts.invalid == sum(result["state"] == "invalid" for result in found)
    for state in RowState:
        assert counts.rows[state] == sum(result["state"] == state.value for result in found)
    assert sorted(path.name for path in folder.iterdir() if "results" in path.name) == [
        "results.jsonl"
    ]
    return found


ENTRY = RowEntry(
    key="füchsin",
    line=7,
    model_id="a/b",
    state=RowState.DOWNLOADED,
    request_id="id-7",
    video_url="https://x.runcomfy.net/7.mp4",
    file="videos/7.mp4",
    bytes=1234,
    sha256="f00d",
    cost=31_250,
    attempts=2,
    error=None,
    submitted_at=1_767_225_600.0,
    finished_at=1_767_225_661.25,
)


def test_a_result_tells_all_that_is_known_of_a_row() -> None:
    """Money in USD, times in UTC; the fields and their order are a promise."""
    assert list(result_of(ENTRY).items()) == [
        ("key", "füchsin"),
        ("line", 7),
        ("model", "a/b"),
        ("state", "downloaded"),
        ("request_id", "id-7"),
        ("video_url", "https://x.runcomfy.net/7.mp4"),
        ("file", "videos/7.mp4"),
        ("bytes", 1234),
        ("sha256", "f00d"),
        ("cost_usd", 0.03125),
        ("attempts", 2),
        ("error", None),
        ("submitted_at", NOON),
        ("finished_at", "2026-01-01T00:01:01.250+00:00"),
    ]


@pytest.mark.parametrize(
    ("micro", "usd"),
    [(None, "null"), (0, "0.0"), (1, "1e-06"), (123_456, "0.123456"), (2_000_000, "2.0")],
)
def test_micro_dollars_become_dollars_without_noise(micro: int | None, usd: str) -> None:
    """Six decimals at most."""
    assert json.dumps(result_of(attrs.evolve(ENTRY, cost=micro))["cost_usd"]) == usd


def test_an_error_has_a_kind_a_code_and_a_message() -> None:
    """The same words as in a job file."""
    error = ErrorInfo("RejectedError", "too long", code=422001, status=422, detail="text")
    assert result_of(attrs.evolve(ENTRY, error=error))["error"] == {
        "kind": "RejectedError",
        "code": 422001,
        "message": "too long",
    }


def test_results_follow_the_manifest_and_what_it_lost_comes_last(tmp_path: Path) -> None:
    """Invalid lines stand where they were; a key beyond ASCII is readable."""

    async def main(ledger: Ledger) -> None:
        await plan(ledger, "zy")
        await submit(ledger, "z")
        await ledger.finished("z", succeeded("id-z"))
        await ledger.downloaded("z", "videos/z.mp4", 10, "f00d")
        rows: list[StagedRow | RowProblem] = [
            RowProblem(1, None, "is no JSON"),
            staged(2, "a"),
            RowProblem(3, "duration", "must be one of 5, 10", "7", "bad"),
            RowProblem(3, "seed", "must be a whole number", "0.5", "bad"),
            staged(5, "ü"),
            staged(6, "c"),
            staged(7, "a"),
            *(RowProblem(9, f"x{number}", "is no field of this model") for number in range(25)),
        ]
        await ledger.draft.stage(rows)
        await ledger.plan(skip_invalid=True)
        await submit(ledger, "a")
        await ledger.finished("a", failed("id-a"))
        await submit(ledger, "ü")
        await ledger.finished("ü", timed_out("id-ü"))
        found = await written(ledger, tmp_path)
        assert [(r["line"], r["key"], r["state"]) for r in found] == [
            (1, None, "invalid"),
            (2, "a", "failed"),
            (3, "bad", "invalid"),
            (5, "ü", "timed_out"),
            (6, "c", "planned"),
            (7, "a", "invalid"),
            (9, None, "invalid"),
            (None, "z", "downloaded"),
            (None, "y", "planned"),
        ]
        assert (found[1]["cost_usd"], found[1]["error"]["code"]) == (None, 422001)
        assert (found[1]["submitted_at"], found[1]["finished_at"]) == (NOON, NOON)
        assert (found[4]["attempts"], found[4]["submitted_at"]) == (0, None)
        assert (found[7]["cost_usd"], found[7]["file"]) == (0.25, "videos/z.mp4")
        assert "ü" in (tmp_path / "results.jsonl").read_text("utf-8")
        assert found[2] == {
            **dict.fromkeys(FIELDS),
            "key": "bad",
            "line": 3,
            "state": "invalid",
            "attempts": 0,
            "error": {
                "kind": "InvalidRow",
                "code": None,
                "message": "duration must be one of 5, 10 (given: 7); "
                "seed must be a whole number (given: 0.5)",
            },
        }
        assert found[0]["error"]["message"] == "is no JSON"
        assert found[5]["error"]["message"].startswith("key 'a' is taken by line 2: give each")
        assert found[6]["error"]["message"].endswith("; x19 is no field of this model; and 5 more")
        assert [result async for result in results(ledger)] == found

    on_ledger(tmp_path, main)


def test_results_are_there_before_and_while_a_batch_runs(tmp_path: Path) -> None:
    """An empty plan gives an empty file; a reader without the lock writes it as well."""

    async def main(ledger: Ledger) -> None:
        assert await written(ledger, tmp_path) == []
        await ledger.draft.stage([staged(1), RowProblem(2, None, "is no JSON")])
        await ledger.plan(skip_invalid=True)
        assert [result["state"] for result in await written(ledger, tmp_path)] == [
            *("planned", "invalid")
        ]
        await ledger.draft.stage(staged(line, f"k{line}") for line in range(1, 2502))
        await ledger.plan()
        await ledger.submitting("k1", fox())
        async with await Ledger.read(tmp_path) as reader:
            assert (await write_results(reader, tmp_path)).rows[RowState.SUBMITTING] == 1
        found = await written(ledger, tmp_path)
        assert [result["line"] for result in found] == [*range(1, 2502), None]

    on_ledger(tmp_path, main)


async def some(*records: Mapping[str, object]) -> AsyncIterator[Mapping[str, object]]:
    for record in records:
        yield record


def test_a_file_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    """And leaves the old one, and nothing else."""
    path = tmp_path / "results.jsonl"
    path.mkdir()

    async def main(ledger: Ledger) -> None:
        with pytest.raises(LedgerError) as caught:
            await write_results(ledger, tmp_path)
        says = str(caught.value)
        assert says.startswith(f"cannot write {path}: ")
        assert "Free space on the disk, mend the rights, or close the program that has" in says
        assert f"so `seedance-async results {tmp_path}` writes it anew" in says
        assert not list(tmp_path.glob(".results*"))
        path.rmdir()
        with pytest.raises(LedgerError, match=r"cannot write .*No such file or directory"):
            await write_lines(tmp_path / "no" / "file", some(), then="try again")

    on_ledger(tmp_path, main)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_is_told_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words of the system, then the way out."""
    path = tmp_path / "lines"
    path.write_text("old\n")
    here = Path.open

    def full(self: Path, *args: Any, **options: Any) -> Any:
        return here(Path("/dev/full") if self.name[0] == "." else self, *args, **options)

    monkeypatch.setattr(Path, "open", full)

    async def main() -> None:
        with pytest.raises(LedgerError, match=r"No space left on device\. Free space on the disk"):
            await write_lines(path, some({"a": 1}), then="try again")

    run(main)
    assert path.read_text() == "old\n"


@pytest.mark.parametrize("end", ["cancelled", "broken"])
def test_an_unfinished_file_is_not_seen(end: str, tmp_path: Path) -> None:
    """The old one stays, and no draft is left."""
    path = tmp_path / "lines"
    path.write_text("old\n")

    async def main() -> None:
        async def records() -> AsyncIterator[Mapping[str, object]]:
            for number in range(1500):
                yield {"n": number}
            assert len(list(tmp_path.iterdir())) == 2
            if end == "broken":
                raise KeyError("broken")
            await asyncio.sleep(3600)

        if end == "broken":
            with pytest.raises(KeyError):
                await write_lines(path, records(), then="try again")
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(10):
                    await write_lines(path, records(), then="try again")

    run(main)
    assert [file.name for file in tmp_path.iterdir()] == ["lines"]
    assert path.read_text() == "old\n"


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    """Whoever ends last is read, whole."""
    path = tmp_path / "lines"

    async def records(name: str) -> AsyncIterator[Mapping[str, object]]:
        for number in range(3000):
            if number % 1000 == 0:
                await asyncio.sleep(1)
            yield {"name": name, "n": number}

    async def main() -> None:
        await asyncio.gather(
            *(write_lines(path, records(name), then="try again") for name in ("a", "b"))
        )

    run(main)
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({line["name"] for line in found}) == 1
    assert [line["n"] for line in found] == list(range(3000))
    assert [file.name for file in tmp_path.iterdir()] == ["lines"]


def test_a_lone_surrogate_does_not_stop_the_file(tmp_path: Path) -> None:
    """It is spelt out, for no UTF-8 file can hold it."""
    path = tmp_path / "lines"
    run(lambda: write_lines(path, some({"a": "\ud800"}), then="try again"))
    assert path.read_bytes() == b'{"a": "\\ud800"}\n'
