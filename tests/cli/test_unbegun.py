"""What a program reads on stdout when a run is interrupted before it begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedance_async.cli.app import run
from seedance_async.cli.batchrun import BatchRun
from seedance_async.cli.benchrun import BenchRun
from seedance_async.cli.interrupts import Interrupts

BATCH = ("batch", "films.jsonl", "--simulate", "--speed", "200", "--out", "run", "--json")
BENCH = ("bench", "--levels", "1,2", "--jobs", "4", "--out", "run", "--json")
UNKNOWN = {"settled_usd": None, "reserved_usd": None, "unpriced": None, "unestimated": None}


async def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


async def not_begun(*_: object) -> None:
    """Return what a run does that finds an interrupt before its first step."""


def at_entry(_: object) -> None:
    raise KeyboardInterrupt


def told_by(arguments: tuple[str, ...], said: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    """Return the exit code and the one object on stdout."""
    code = run(arguments)
    return code, json.loads(said.readouterr().out)


@pytest.fixture(autouse=True)
def _films() -> None:
    Path("films.jsonl").write_text('{"model": "pro-fast", "text": "a fox"}\n')


@pytest.mark.parametrize(
    ("name", "where"), [("prepare", interrupted), ("run", not_begun), ("__enter__", at_entry)]
)
@pytest.mark.parametrize(
    ("arguments", "kind"), [(BATCH, BatchRun), (BENCH, BenchRun)], ids=["batch", "bench"]
)
def test_a_run_that_is_interrupted_before_it_begins_tells_one_object(
    arguments: tuple[str, ...],
    kind: type,
    name: str,
    where: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the names of one that ran: it did nothing, and null is what it did not look at."""
    with monkeypatch.context() as patch:
        patch.setattr("sys.argv", ["seedance-async", *arguments])
        patch.setattr(Interrupts if name == "__enter__" else kind, name, where)
        code, told = told_by(arguments, capsys)
    assert code == told["exit_code"] == 130
    assert told["stop"]["reason"] == "interrupted"
    assert told["money"] == UNKNOWN
    (step,) = told["next"]
    assert f"`seedance-async {' '.join(arguments)}` goes on" in step
    after, ended = told_by(arguments, capsys)
    assert after == ended["exit_code"] == 0
    assert told.keys() == ended.keys()
    assert told["folder"] == ended["folder"]
    assert told["service"] == ended["service"] == "simulator"


def test_an_interrupted_batch_has_done_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its counts are empty, for the folder of an earlier run was not looked at."""
    monkeypatch.setattr(BatchRun, "prepare", interrupted)
    _, told = told_by(BATCH, capsys)
    assert told["counts"] == {}
    assert (told["submitted"], told["downloaded"]) == (0, 0)
    assert (told["to_download"], told["results"], told["report"]) == (None, None, None)


def test_an_interrupted_benchmark_has_measured_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BenchRun, "prepare", interrupted)
    _, told = told_by(BENCH, capsys)
    assert (told["levels"], told["rounds"], told["jobs"]) == ([], [], 4)
    assert told["recommendation"]["max_in_flight"] is None
