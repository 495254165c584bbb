"""`report`, and the page that `batch` leaves at its end."""

import json
from pathlib import Path
from typing import Any

import pytest

from seedance_async.batch.lock import FolderLock
from seedance_async.cli.app import run

from .folders import leave

MANIFEST = Path("rows.jsonl")


def write(number: int = 2) -> None:
    rows = [{"key": f"fox-{n}", "model": "pro-fast", "prompt": f"fox {n}"} for n in range(number)]
    MANIFEST.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def batch(*more: str) -> int:
    words = ["batch", str(MANIFEST), "--simulate", "--speed", "200", "--out", "run", *more]
    return run(words)


def test_it_writes_the_page_and_prints_its_path(capsys: pytest.CaptureFixture[str]) -> None:
    """It takes no lock, so it works while a batch runs, and asks nobody for a token."""
    leave(Path("run"), doubts="a", jobs={"b": "job-b"})
    lock = FolderLock(Path("run/ledger.lock"), now=0.0)
    try:
        assert run(["report", "run"]) == 0
    finally:
        lock.release()
    assert capsys.readouterr().out == "run/report.html\n"
    text = Path("run/report.html").read_text("utf-8")
    assert "seedance-async resolve run a --not-billed" in text
    assert "seedance-async batch MANIFEST --out run" in text


def test_the_page_may_go_elsewhere_and_be_opened(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As JSON it is one object; a missing browser is told and no failure."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    leave(Path("run"))
    assert run(["report", "run", "-o", "one.html", "--open", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"report": "one.html"}
    assert opened == [Path("one.html").absolute().as_uri()]
    assert "open the page by hand" in said.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nowhere"], 64, "there is no ledger in nowhere"),
        (["run", "-o", "no/such/page.html"], 73, "there is no folder"),
        (["run", "-o", "run"], 73, "cannot write run"),
    ],
)
def test_what_cannot_be(
    words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(Path("run"))
    assert run(["report", *words]) == code
    assert told in capsys.readouterr().err


def test_a_batch_leaves_a_page_and_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Among its last lines; its command is the one that was called."""
    write()
    assert batch() == 0
    assert "    page: run/report.html" in capsys.readouterr().err.splitlines()
    assert Path("run/report.html").stat().st_size > 10_000


@pytest.mark.parametrize(("simulated", "more"), [(True, " --simulate"), (False, "")])
def test_the_commands_of_a_simulated_batch_simulate(
    simulated: bool, more: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other would be refused: its ledger belongs to the simulator."""
    told = []

    async def write_page(_reader: object, folder: Path, *, again: Any, to: object) -> Path:
        told.append(again("--retry", "failed"))
        return folder

    if simulated:
        write()
        assert batch("--no-report") == 0
    else:
        leave(Path("run"), doubts="a")
    monkeypatch.setattr("seedance_async.report.write_page", write_page)
    assert run(["report", "run"]) == 0
    assert told == [f"seedance-async batch MANIFEST --out run{more} --retry failed"]


def test_the_commands_of_a_batchs_page_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    async def write_page(_reader: object, folder: Path, *, again: Any, to: object) -> Path:
        told.append(again("--retry", "failed"))
        return folder

    monkeypatch.setattr("seedance_async.report.write_page", write_page)
    write()
    assert batch("--yes") == 0
    (command,) = told
    assert "--retry failed" in command
    assert "--yes" not in command


def test_without_a_page_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    """`--no-report`; the JSON says that there is none."""
    write()
    assert batch("--no-report", "--json") == 0
    assert json.loads(capsys.readouterr().out)["report"] is None
    assert not Path("run/report.html").exists()


@pytest.mark.parametrize("trouble", ["disk", "bug"])
def test_a_page_that_fails_changes_no_exit_code(
    trouble: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """But it is told: the night's videos are there all the same."""
    write()
    if trouble == "disk":
        Path("run/report.html").mkdir(parents=True)
    else:
        monkeypatch.setattr("seedance_async.report.write_page", lambda *_, **__: 1 / 0)
    assert batch() == 0
    said = capsys.readouterr()
    assert "the page of the batch was not written" in said.err
    assert ("ZeroDivisionError" if trouble == "bug" else "cannot write run/report.html") in said.err
    assert "LedgerError" not in said.err
    assert "    page:" not in said.err
    assert said.out == "run/results.jsonl\n"


def test_only_takes_keys_from_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """One a line as it stands, commas and blanks included; with or without a BOM and CRLF."""
    keys = ["a,b", " c ", "@d", "e"]
    MANIFEST.write_text(
        "".join(json.dumps({"key": k, "model": "pro-fast", "prompt": k}) + "\n" for k in keys)
    )
    Path("keys.txt").write_bytes("\ufeffa,b\r\n c \r\n\r\n@d\r\n".encode())
    assert batch("--only", "@keys.txt", "--json") == 0
    assert json.loads(capsys.readouterr().out)["submitted"] == 3
    assert batch("--only", "@keys.txt", "--only", "e", "--json") == 0
    assert json.loads(capsys.readouterr().out)["submitted"] == 1


def test_a_file_of_keys_that_is_not_there_is_64(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what to do about a key that begins with @."""
    write()
    assert batch("--only", "@fox") == 64
    assert "--only @fox: the file of keys cannot be read" in capsys.readouterr().err
    Path("empty.txt").write_text("\n")
    assert batch("--only", "@empty.txt") == 64
