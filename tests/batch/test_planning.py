"""Planning: a manifest, or a program's rows, becomes the plan; or all that is wrong is said."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from seedance_async import InvalidRequestError, LedgerError
from seedance_async.batch.draft import Draft
from seedance_async.batch.entries import PlannedRow
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.manifest import ManifestError
from seedance_async.batch.planning import InvalidManifestError, Plan, plan_manifest, request_of
from seedance_async.batch.source import Row
from seedance_async.models import LiteImageToVideo, ProFastTextToVideo, RawRequest, Request
from tests.batch.ledgers import opened
from tests.batch.reading import FAST, IMAGE, OTHER, jsonl
from tests.session.scene import run

FOXES = jsonl(*({"text": f"A red fox, take {number}"} for number in range(3)))
BAD = jsonl(
    {"text": "a", "key": "a"},
    {"text": "b", "duration": 1, "seed": 0.5, "key": "b"},
    {"text": "c", "key": "a"},
    {"text": "d", "key": "d\a"},
    {"text": "e"},
)


def on_ledger(folder: Path, main: Callable[[Ledger], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with await opened(folder / "out") as ledger:
            await main(ledger)

    run(whole)


def file(folder: Path, text: str, name: str = "foxes.jsonl") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


async def plan(ledger: Ledger, source: Any, **options: Any) -> Plan:
    options.setdefault("model", "pro-fast")
    options.setdefault("errors", ledger.path.with_name("errors.jsonl"))
    return await plan_manifest(ledger, source, **options)


async def planned(ledger: Ledger) -> list[PlannedRow]:
    return await ledger.next_planned(100)


async def keys(ledger: Ledger) -> list[str]:
    return [row.key for row in await planned(ledger)]


async def refused(ledger: Ledger, source: Any, **options: Any) -> InvalidManifestError:
    with pytest.raises(InvalidManifestError) as caught:
        await plan(ledger, source, **options)
    return caught.value


def test_a_manifest_becomes_the_plan(tmp_path: Path) -> None:
    """With what it changed; rows that left are counted once."""

    async def main(ledger: Ledger) -> None:
        path = file(tmp_path, FOXES)
        assert await plan(ledger, path) == Plan(rows=3, added=3, kept=0, gone=0, skipped=0)
        first = await planned(ledger)
        assert [(row.line, row.model_id) for row in first] == [(1, FAST), (2, FAST), (3, FAST)]
        assert json.loads(first[0].input_json) == {
            "text": "A red fox, take 0",
            "resolution": "480p",
            "ratio": "16:9",
            "duration": 5,
        }
        text = jsonl({"text": "ein Füchslein"}) + FOXES[: FOXES.rindex("{")]
        file(tmp_path, text)
        assert await plan(ledger, str(path)) == Plan(rows=3, added=1, kept=2, gone=1, skipped=0)
        second = await planned(ledger)
        assert [row.key for row in second[1:]] == [row.key for row in first[:2]]
        assert '"text":"ein Füchslein"' in second[0].input_json

    on_ledger(tmp_path, main)


def test_an_unchanged_file_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it after a restart; the short name of a model is its full id."""
    path = file(tmp_path, FOXES)
    rows = file(tmp_path, "text,notes\na fox,good\n", "foxes.csv")

    async def first(ledger: Ledger) -> None:
        assert not (await plan(ledger, path)).unchanged

    async def main(ledger: Ledger) -> None:
        same = Plan(rows=3, added=0, kept=3, gone=0, skipped=0, unchanged=True)
        with monkeypatch.context() as patch:
            patch.delattr(Draft, "stage")
            assert await plan(ledger, path) == same
            assert await plan(ledger, path, model=FAST) == same
        for options in (
            {"model": OTHER},
            {"ignore_columns": ["notes"]},
            {"skip_invalid": True},
        ):
            assert not (await plan(ledger, path, **options)).unchanged, options
            assert (await plan(ledger, path, **options)).unchanged, options
        assert not (await plan(ledger, rows, ignore_columns=["notes"])).unchanged
        assert (await plan(ledger, rows, ignore_columns=["notes"])).unchanged
        assert not (await plan(ledger, [{"text": "a fox"}])).unchanged
        assert not (await plan(ledger, rows, ignore_columns=["notes"])).unchanged
        path.write_text(FOXES + "\n")
        await plan(ledger, path)
        path.write_text(FOXES)
        assert not (await plan(ledger, path)).unchanged

    on_ledger(tmp_path, first)
    on_ledger(tmp_path, main)


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_planned(tmp_path: Path) -> None:
    """The first problems in the error, all of them in a file."""

    async def main(ledger: Ledger) -> None:
        await plan(ledger, [("x", ProFastTextToVideo(text="an owl"))])
        path = file(tmp_path, BAD)
        error = await refused(ledger, path)
        errors = tmp_path / "out" / "errors.jsonl"
        assert (error.total, error.lines, error.rows) == (4, 3, 2)
        assert error.errors_file == errors
        assert [(problem.line, problem.field) for problem in error.problems] == [
            (2, "duration"),
            (2, "seed"),
            (3, "key"),
            (4, "key"),
        ]
        assert str(error) == (
            f"{path} has 4 errors in 3 rows, so nothing was submitted. line 2: duration must be "
            f"one of 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 (a whole number) (given: 1); line 2: seed "
            f"must be a whole number (given: 0.5); line 3: key 'a' is taken by line 1: give each "
            f"row its own; and 1 more. All are in {errors}. Correct them, or go on with the other "
            f"2: --skip-invalid (skip_invalid=True)."
        )
        told = [json.loads(line) for line in errors.read_text().splitlines()]
        assert [list(line) for line in told] == [["line", "key", "field", "rule", "value"]] * 4
        assert [line["key"] for line in told] == ["b", "b", "a", None]
        assert told[1] == {
            "line": 2,
            "key": "b",
            "field": "seed",
            "rule": "must be a whole number",
            "value": "0.5",
        }
        assert await keys(ledger) == ["x"]
        error = await refused(ledger, path)  # what was refused is read again
        assert error.total == 4
        await plan(ledger, file(tmp_path, FOXES))
        assert not errors.exists()

    on_ledger(tmp_path, main)


def test_skip_invalid_goes_on_without_the_bad_rows(tmp_path: Path) -> None:
    """The same file tells of them, also when the manifest is planned again unchanged."""

    async def main(ledger: Ledger) -> None:
        path, errors = file(tmp_path, BAD), tmp_path / "out" / "errors.jsonl"
        await refused(ledger, path)
        told = errors.read_text()
        done = await plan(ledger, path, skip_invalid=True)
        assert done == Plan(rows=2, added=2, kept=0, gone=0, skipped=3)
        assert [row.line for row in await planned(ledger)] == [1, 5]
        assert errors.read_text() == told
        await refused(ledger, [{"text": 5}])
        assert errors.read_text() != told
        done = await plan(ledger, path, skip_invalid=True)
        assert done == Plan(rows=2, added=0, kept=2, gone=0, skipped=3, unchanged=True)
        assert errors.read_text() == told
        await plan(ledger, path, skip_invalid=True, errors=None)
        good = file(tmp_path, FOXES)
        assert (await plan(ledger, good)).skipped == 0
        await refused(ledger, [{"text": 5}])
        assert (await plan(ledger, good)).unchanged
        assert not errors.exists()

    on_ledger(tmp_path, main)


def test_an_error_holds_the_first_fifty_problems(tmp_path: Path) -> None:
    """The file has all; without a file, the number is still right."""

    async def main(ledger: Ledger) -> None:
        rows = [{"text": 5, "seed": "x"}] * 1500
        error = await refused(ledger, rows)
        assert (error.total, error.lines, error.rows, len(error.problems)) == (3000, 1500, 0, 50)
        assert str(error).startswith("the manifest has 3,000 errors in 1,500 rows, so nothing was")
        assert str(error).endswith("All are in " + f"{error.errors_file}. Correct them.")
        assert error.errors_file is not None
        told = error.errors_file.read_text().splitlines()
        assert [json.loads(line)["line"] for line in told] == [
            line for line in range(1, 1501) for _ in "ab"
        ]
        error.errors_file.unlink()
        error = await refused(ledger, [*rows, {"text": "a"}], errors=None)
        assert (error.total, error.lines, error.rows, len(error.problems)) == (3000, 1500, 1, 50)
        assert error.errors_file is None
        assert "; and 2,997 more. Correct them, or go on with the other row: --skip" in str(error)
        assert not (tmp_path / "out" / "errors.jsonl").exists()
        error = await refused(ledger, rows[:1], errors=None)
        assert (error.total, len(error.problems)) == (2, 2)
        assert (await plan(ledger, [{"text": "a"}], errors=None)).rows == 1

    on_ledger(tmp_path, main)


class OwnRequest:
    """A request of a class that is not ours."""

    def __init__(self, model_id: str, **given: object) -> None:
        self.model_id = model_id
        self.given = given

    def input(self) -> dict[str, object]:
        return dict(self.given)

    def advice(self) -> tuple[str, ...]:
        return ("never asked",)


def test_a_programs_rows_are_rows_of_a_manifest(tmp_path: Path) -> None:
    """Mappings, requests, requests with keys: equal ones have the key that a file gives them."""
    rows: list[Row] = [
        {"text": "a fox", "duration": 8.0},
        ProFastTextToVideo(text="a hare", seed=7),
        ("owl", LiteImageToVideo(prompt="an owl", first_frame_image_url=IMAGE)),
        RawRequest(OTHER, {"prompt": "a fox", "key": "its own", "model": "too"}),
        {"prompt": "a hare", "seed": 7, "resolution": "480p", "notes": object()},
        OwnRequest(FAST, text="a hare", seed=7),
        RawRequest(FAST, {"prompt": "a fox", "duration": 8}),
        {"model": OTHER, "prompt": "a fox", "key": 7},
    ]

    async def main(ledger: Ledger) -> None:
        text = jsonl({"prompt": "a fox", "duration": 8}, {"text": "a hare", "seed": 7.0})
        await plan(ledger, file(tmp_path, text))
        fox, hare = await keys(ledger)
        done = await plan(ledger, iter(rows), ignore_columns=["notes"])
        assert done == Plan(rows=8, added=6, kept=2, gone=0, skipped=0)
        found = await planned(ledger)
        assert [row.line for row in found] == list(range(1, 9))
        assert [row.key for row in found] == [
            *(fox, hare, "owl", found[3].key, f"{hare}_2", f"{hare}_3", f"{fox}_2", "7")
        ]
        assert [request_of(row) for row in found[:4]] == [
            ProFastTextToVideo(text="a fox", duration=8),
            *(rows[1], rows[2][1], rows[3]),  # type: ignore[index]
        ]
        assert rows[0] == {"text": "a fox", "duration": 8.0}
        assert await plan(ledger, []) == Plan(rows=0, added=0, kept=0, gone=8, skipped=0)

    on_ledger(tmp_path, main)


DEEP: list[Any] = []
DEEP.append(DEEP)

BAD_ROWS: list[tuple[Any, str]] = [
    ({"text": "a", "duration": 7.5}, "line 1: duration must be one of 2, 3"),
    ({"text": "a", 5: "b"}, "line 1: 5 is no field of this model"),
    ({"text": "a", "seed": 10**5000}, "line 1 cannot be written as JSON: Exceeds the limit"),
    ({"text": "a", "duration": 10**5000}, "line 1 cannot be written as JSON: Exceeds the limit"),
    ({"text": "a\ud800"}, "line 1: text must be text that UTF-8 can hold"),
    ({"text": b"a"}, "line 1: text must be text (given: b'a')"),
    ({"text": DEEP}, "line 1: text must be text (given: [[...]])"),
    ({"model": OTHER, "x": DEEP}, "line 1 must be a JSON object: Circular reference"),
    ({"model": OTHER, "x": object()}, "line 1 must be a JSON object: Object of type object is"),
    ({"model": OTHER, "x": float("nan")}, "line 1 must be a JSON object: Out of range float"),
    ({"model": OTHER, 5: "\ud800"}, "line 1: 5 must be text that UTF-8 can hold"),
    ({"model": "fast", "text": "a"}, "line 1: model must be a short name (lite, v15-pro, pro-"),
    (("", ProFastTextToVideo(text="a")), "line 1: key must have 1 to 200 characters, not 0"),
    ((None, 5), "line 1 must be a mapping of fields, a request, or a pair of a key and"),
    (("key", {"text": "a"}), "line 1 must be a mapping of fields, a request, or a pair"),
    (ProFastTextToVideo, "line 1 must be a mapping of fields, a request, or a pair"),
    ("a fox", "line 1 must be a mapping of fields, a request, or a pair of a key and a request"),
    (RawRequest(FAST, {"x": 1}), "line 1: x is no field of this model"),
    (RawRequest("fast", {}), "line 1: model must be a short name (lite,"),
    (OwnRequest("a//b"), "line 1: model must be segments of letters"),
    (OwnRequest(None), "line 1: model must be a short name or a full id"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("row", "says"), BAD_ROWS, ids=[says[:30] for _, says in BAD_ROWS])
def test_a_bad_row_of_a_program_is_a_problem_like_any_other(
    row: Any, says: str, tmp_path: Path
) -> None:
    """Its line is its place; no value that Python can hold ends the others."""

    async def main(ledger: Ledger) -> None:
        error = await refused(ledger, [row, {"text": "a fox"}])
        assert says in str(error)
        assert str(error).isprintable()
        assert (error.lines, error.rows) == (1, 1)

    on_ledger(tmp_path, main)


def test_what_is_no_manifest_is_refused_at_once(tmp_path: Path) -> None:
    """One row for many, text for bytes, a form that is unknown, a model that is none."""

    async def main(ledger: Ledger) -> None:
        for source in ({"text": "a"}, b"{}", None, ProFastTextToVideo(text="a")):
            with pytest.raises(TypeError, match="a manifest is a path, a binary stream or an"):
                await plan(ledger, source)
        with pytest.raises(ManifestError, match="gives text, not bytes: open it in binary mode"):
            await plan(ledger, io.StringIO(FOXES))
        with pytest.raises(ManifestError, match=r"is JSON Lines \(.jsonl\) or CSV"):
            await plan(ledger, "foxes.txt")
        with pytest.raises(ManifestError, match=r"--model 'fast' must be a short name"):
            await plan(ledger, FOXES.splitlines(), model="fast")
        for path in (tmp_path / "no.jsonl", "\0.jsonl"):
            with pytest.raises(ManifestError, match="check the path"):
                await plan(ledger, path)
        assert ledger.info.manifest is None
        await plan(ledger, file(tmp_path, FOXES))
        with pytest.raises(ManifestError, match="there is no such file: check the path"):
            await plan(ledger, tmp_path / "no.jsonl")
        assert len(await keys(ledger)) == 3

    on_ledger(tmp_path, main)


def test_streams_are_always_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input too; what they gave is known when it comes as a file."""

    async def main(ledger: Ledger) -> None:
        for _ in range(2):
            done = await plan(ledger, io.BytesIO(FOXES.encode()))
            assert (done.rows, done.unchanged) == (3, False)
        for _ in range(2):
            stdin = SimpleNamespace(buffer=io.BytesIO(FOXES.encode()))
            monkeypatch.setattr(sys, "stdin", stdin)
            assert await plan(ledger, "-") == Plan(rows=3, added=0, kept=3, gone=0, skipped=0)
        assert (await plan(ledger, file(tmp_path, FOXES))).unchanged
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"{}")))
        assert str(await refused(ledger, "-")).startswith("standard input has 1 error in 1 row, ")

    on_ledger(tmp_path, main)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """Comparing it first would take its bytes away."""
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)

    async def main(ledger: Ledger) -> None:
        for _ in range(2):
            writer = threading.Thread(target=path.write_text, args=(FOXES,))
            writer.start()
            done = await plan(ledger, path)
            await asyncio.to_thread(writer.join)
            assert (done.rows, done.unchanged) == (3, False)

    on_ledger(tmp_path, main)


def test_advice_is_counted_and_never_warned_of(tmp_path: Path) -> None:
    """Neither when rows are planned nor when they are submitted (a warning fails this test)."""
    plain = {"model": "lite", "prompt": "a", "first_frame_image_url": "http://example.com/a.png"}
    rows = [
        plain,
        {**plain, "key": "b", "last_frame_image_url": IMAGE, "resolution": "1080p"},
        {"text": "a fox"},
    ]

    async def main(ledger: Ledger) -> None:
        for source in (rows, file(tmp_path, jsonl(*rows))):
            done = await plan(ledger, source)
            assert {text[:40]: count for text, count in done.advice.items()} == {
                "first_frame_image_url is no https URL: t": 2,
                "last_frame_image_url has no effect at 10": 1,
            }
        with warnings.catch_warnings():
            found = [request_of(row) for row in await planned(ledger)]
            before = list(warnings.filters)
            assert [request_of(row) for row in await planned(ledger)] == found
            assert warnings.filters == before
        assert len(found[1].advice()) == 2

    on_ledger(tmp_path, main)


def test_a_stored_row_that_no_longer_passes_is_an_error() -> None:
    """After an upgrade to stricter rules; whoever submits it is told which."""
    row = PlannedRow(1, "fox", FAST, '{"text": "a fox", "duration": 99}')
    with pytest.raises(InvalidRequestError, match="duration must be one of"):
        request_of(row)
    other = attrs.evolve(row, model_id=OTHER)
    assert request_of(other) == RawRequest(OTHER, {"text": "a fox", "duration": 99})


REQUESTS: list[Request] = [
    ProFastTextToVideo(text='"Füchse" \U0001f98a\n\t\0', seed=-(2**70)),
    LiteImageToVideo(prompt="x", first_frame_image_url=IMAGE, last_frame_image_url=IMAGE),
    RawRequest(OTHER, {"prompt": None, "x": [1, 1.5, {"": True}], "y": 10**30, "z": 1e300}),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.model_id)
def test_a_request_comes_back_as_it_went(request_: Request, tmp_path: Path) -> None:
    """Through the ledger's file, and to the same bytes."""

    async def main(ledger: Ledger) -> None:
        await plan(ledger, [request_])
        (row,) = await planned(ledger)
        assert request_of(row) == request_
        assert request_of(row).input() == request_.input()

    on_ledger(tmp_path, main)


def test_a_manifest_that_breaks_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    """What a program's iterator raises comes out as it is."""

    def broken() -> Iterator[Row]:
        yield {"text": "an owl"}
        raise KeyError("sheet")

    async def main(ledger: Ledger) -> None:
        await plan(ledger, file(tmp_path, FOXES))
        before = await keys(ledger)
        with pytest.raises(KeyError, match="sheet"):
            await plan(ledger, broken())
        with pytest.raises(ManifestError, match="line 4: byte 1"):
            await plan(ledger, io.BytesIO(FOXES.encode() + b"\xff"))
        with pytest.raises(ManifestError, match="it is empty"):
            await plan(ledger, io.BytesIO(b"\n"))
        assert await keys(ledger) == before
        assert (await plan(ledger, tmp_path / "foxes.jsonl")).unchanged

    on_ledger(tmp_path, main)


def test_a_cancelled_plan_ends_soon_and_changes_nothing(tmp_path: Path) -> None:
    """Even of rows that never end."""

    async def main(ledger: Ledger) -> None:
        await plan(ledger, [{"text": "an owl", "key": "owl"}])
        begun = threading.Event()

        def endless() -> Iterator[Row]:
            for number in itertools.count():
                begun.set()
                time.sleep(0)  # lets the event loop's thread run
                yield {"text": f"take {number}"}

        task = asyncio.create_task(plan(ledger, endless()))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await keys(ledger) == ["owl"]
        assert not list((tmp_path / "out").glob("*staging*"))
        path = file(tmp_path, FOXES)
        await plan(ledger, path)
        task = asyncio.create_task(plan(ledger, path))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(await keys(ledger)) == 3

    on_ledger(tmp_path, main)


def test_errors_that_cannot_be_written_change_nothing(tmp_path: Path) -> None:
    """The disk's trouble is told, with the way out."""
    errors = tmp_path / "errors.jsonl"
    errors.mkdir()

    async def main(ledger: Ledger) -> None:
        with pytest.raises(LedgerError) as caught:
            await plan(ledger, [{"text": 5}], errors=errors)
        assert str(caught.value).startswith(f"cannot write {errors}: ")
        assert str(caught.value).endswith(": then run the same command again")
        with pytest.raises(LedgerError, match=r"which is out of date: .*Remove it, then run the"):
            await plan(ledger, [{"text": "a fox"}], errors=errors)
        assert await keys(ledger) == []

    on_ledger(tmp_path, main)


LONG = pytest.mark.skipif("SEEDANCE_LONG" not in os.environ, reason="60 s; SEEDANCE_LONG=1")
MEASURE = """
import asyncio, json, sys, time
from pathlib import Path
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.planning import plan_manifest
from seedance_async.batch.results import write_results
folder, count = Path(sys.argv[1]), int(sys.argv[2])
manifest = folder / "manifest.jsonl"
with manifest.open("w") as file:
    for n in range(count):
        bad = ', "seed": 0.5' if n % 10 == 9 else ""
        key = f', "key": "k{n}"' if n % 2 else ""
        file.write(f'{{"text": "A red fox crosses a frozen lake, take {n}"{key}{bad}}}\\n')
async def main():
    async with await Ledger.open(folder, origin="x") as ledger:
        begin = time.perf_counter()
        plan = await plan_manifest(
            ledger, manifest, model="pro-fast", skip_invalid=True, errors=folder / "errors.jsonl")
        seconds = time.perf_counter() - begin
        counts = await write_results(ledger, folder)
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    told = [plan.rows, plan.skipped, counts.invalid]
    print(json.dumps({"rate": count / seconds, "peak": peak, "told": told}))
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("count", [50_000, pytest.param(1_000_000, marks=LONG)])
def test_a_manifest_needs_flat_memory(count: int, tmp_path: Path) -> None:
    """At most 120 MB with its errors and results; the rate is printed, for a person to judge."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), str(count)],
        capture_output=True,
        check=True,
        timeout=300,
        cwd=Path(__file__).parents[2],
        env={key: value for key, value in os.environ.items() if "COVERAGE" not in key},
    )
    found = json.loads(done.stdout)
    assert found["told"] == [count * 9 // 10, count // 10, count // 10]
    assert found["peak"] < 120, found
    print(f"{count} rows: {found['rate']:,.0f} a second, {found['peak']:.0f} MB")
