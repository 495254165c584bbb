"""`demo`: the first command of the README, and the same as a simulated batch."""

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from seedance_async.cli import demo as module
from seedance_async.cli.app import run

from .processes import command, finish, start, until

FAST = ("--speed", "150")


def rows() -> list[dict[str, str]]:
    return [json.loads(line) for line in Path("demo/results.jsonl").read_text().splitlines()]


def test_the_demo_makes_forty_playable_files() -> None:
    """No token, three models, a line for each change, where all is; and again nothing is left."""
    done = command("demo", *FAST)
    assert done.code == 0, done.err
    assert done.out == "demo/results.jsonl\n"
    files = [Path("demo") / row["file"] for row in rows()]
    assert len(files) == 40
    assert all(file.read_bytes()[4:8] == b"ftyp" for file in files)
    assert len({row["model"] for row in rows()}) == 3
    assert "nothing is sent to the service, nothing is paid" in done.err
    assert "40 to submit: estimate $" in done.err
    told = [line for line in done.err.splitlines() if "red-fox-crosses" in line]
    words = ("submitting", "accepted: job", "succeeded", "downloaded: videos/red-fox-crosses.mp4")
    assert all(any(word in line for line in told) for word in words), told
    assert "40 rows: 40 downloaded" in done.err
    assert all(f"demo/{name}" in done.err for name in ("videos", "results.jsonl", "ledger.sqlite"))

    again = command("demo", "--json")
    assert (again.code, again.json["submitted"], again.json["counts"]["downloaded"]) == (0, 0, 40)
    assert "nothing to submit, nothing to download" in again.err


def downloaded() -> int:
    with closing(sqlite3.connect("file:demo/ledger.sqlite?mode=ro", uri=True)) as ledger:
        found = ledger.execute("SELECT count(*) FROM row WHERE state = 'downloaded'").fetchone()
    return int(found[0])


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_killed_it_goes_on() -> None:
    """Its simulator died with it: what was under way is planned again, what is on disk stays."""
    process = start("demo", "--speed", "90")
    until(lambda: len(list(Path("demo/videos").glob("*.mp4"))) > 5)
    process.send_signal(signal.SIGKILL)
    finish(process)
    kept = downloaded()  # not all files that are there: for some the word did not come any more
    done = command("demo", *FAST, "--json")
    assert (done.code, done.json["counts"]["downloaded"]) == (0, 40), done.err
    assert done.json["submitted"] == 40 - kept


def test_the_manifest_is_one_that_a_person_could_write() -> None:
    """Forty rows with keys, of all models, in various shapes; `batch` takes it as it is."""
    lines = [json.loads(line) for line in module._MANIFEST.read_text().splitlines()]
    assert len({row["key"] for row in lines}) == len(lines) == 40
    assert {row["model"] for row in lines} == {"lite", "v15-pro", "pro-fast"}
    assert len({(row.get("ratio"), row.get("resolution"), row["duration"]) for row in lines}) > 12
    assert run(["batch", str(module._MANIFEST), "--out", "x", "--dry-run", "--price", "0.1"]) == 0


def test_a_folder_that_cannot_be_made_is_73() -> None:
    """Before anything is simulated."""
    Path("demo").write_text("a file")
    assert run(["demo"]) == 73
