"""`results`: the file, the counts and the money of a batch, at any time."""

import asyncio
import json
import signal
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seedance_async.batch.lock import FolderLock
from seedance_async.cli.app import run

from .folders import leave

RUN = Path("run")


def test_it_writes_the_file_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a token; whatever became of the rows, it has done its work."""
    leave(RUN, doubts="a", jobs={"b": "job-b"})
    assert run(["results", "run"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "     rows  state",
        "        2  planned",
        "        1  in_doubt",
        "        1  submitted",
        "        4  in all",
        "",
        "settled $0.00",
        "reserved $0.25 (1 without an estimate)",
        "results run/results.jsonl",
    ]
    assert "1 in doubt: `seedance-async resolve run`" in said.err
    assert "3 not at their end: the same batch command" in said.err
    lines = [json.loads(line) for line in Path("run/results.jsonl").read_text().splitlines()]
    assert [line["state"] for line in lines] == ["in_doubt", "submitted", "planned", "planned"]


def test_as_json_while_a_batch_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """It takes no lock; one object with all states, also those without rows."""
    leave(RUN, keys="ab", under_way="a")
    lock = FolderLock(RUN / "ledger.lock", now=0.0)
    try:
        assert run(["results", "run", "--json"]) == 0
    finally:
        lock.release()
    told = json.loads(capsys.readouterr().out)
    assert told["results"] == "run/results.jsonl"
    assert {state: n for state, n in told["counts"].items() if n} == {"planned": 1, "submitting": 1}
    assert len(told["counts"]) == 11
    assert told["money"] == {
        "settled_usd": 0.0,
        "reserved_usd": 0.25,
        "unpriced": 0,
        "unestimated": 0,
    }


def test_a_folder_without_a_ledger_is_64(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what to give instead."""
    assert run(["results", "run"]) == 64
    assert "there is no ledger in run: give the --out of a batch" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_73(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder stands in its place."""
    leave(RUN)
    Path("run/results.jsonl").mkdir()
    assert run(["results", "run"]) == 73
    assert "cannot write run/results.jsonl" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="it sends no SIGTERM to itself")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_no_draft(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code is the signal's; a long ledger's draft has tens of megabytes."""
    leave(RUN, doubts="a")
    begun: list[Path] = []

    async def rows(_reader: object) -> AsyncIterator[object]:
        begun.extend(RUN.glob(".*"))
        signal.raise_signal(number)
        await asyncio.sleep(20)
        yield None

    monkeypatch.setattr("seedance_async.batch.reading.LedgerReader.rows", rows)
    assert run(["results", "run"]) == 128 + number
    assert capsys.readouterr().err == "error: interrupted\n"
    assert begun
    assert not list(RUN.glob(".*"))


def test_another_program_may_ask_in_any_thread() -> None:
    leave(RUN, doubts="a")
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run(["results", "run"])))
    thread.start()
    thread.join()
    assert codes == [0]
