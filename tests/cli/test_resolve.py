"""`resolve`: a batch's rows in doubt, listed and settled by a person."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from seedance_async.batch.ledger import SIMULATOR
from seedance_async.batch.lock import FolderLock
from seedance_async.cli.app import run

from .folders import ids, leave, states, submitted
from .processes import DEADLINE, Simulation, guard

RUN = Path("run")
TOKEN = "simulator-token"


def locked() -> FolderLock:
    return FolderLock(RUN / "ledger.lock", now=0.0)


# --- the list ------------------------------------------------------------------------------


def test_it_lists_the_doubts_and_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """What a person needs to find the job on the site, and the commands that settle it."""
    leave(RUN, doubts="ab")
    assert run(["resolve", "run"]) == 76
    said = capsys.readouterr()
    first = said.out.splitlines()[:3]
    assert first[0].split()[0] == "a"
    assert "2026-01-01" in first[0] or "2025-12-31" in first[0]  # local time, with its offset
    assert first[0].endswith("pro-fast  $0.25")
    assert first[1] == "    prompt: take 97"
    assert first[2] == "    seen:   the connection broke after the request was sent"
    assert "2 rows in doubt: $0.50 stays reserved" in said.err
    assert "RunComfy's site" in said.err
    assert "seedance-async resolve run KEY --request-id ID" in said.err
    assert "`seedance-async batch ... --out run`" in said.err.splitlines()[-1]


def test_the_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One object, for a program that looks them up."""
    leave(RUN, doubts="b")
    assert run(["resolve", "run", "--json"]) == 76
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "folder": "run",
        "doubts": [
            {
                "key": "b",
                "line": 2,
                "model": "bytedance/seedance-1-0/pro/fast/text-to-video",
                "submitted_at": "2026-01-01T00:00:00.000+00:00",
                "prompt": "take 98",
                "seen": "the connection broke after the request was sent",
                "estimate_usd": 0.25,
            }
        ],
        "reserved_usd": 0.25,
        "submitting": 0,
    }


def test_without_a_doubt_it_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    """So that a script can ask."""
    leave(RUN)
    assert run(["resolve", "run"]) == 0
    assert "nothing is in doubt" in capsys.readouterr().err


def test_never_lies_rows_that_a_killed_batch_left_under_way_are_doubts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The lock is free, so nobody waits for their answers any more."""
    leave(RUN, under_way="a")
    assert run(["resolve", "run"]) == 76
    said = capsys.readouterr()
    assert "the process ended while its POST was under way" in said.out
    assert "a batch that was killed" in said.err
    assert "resolve run a --not-billed" in said.err  # one doubt is named


def test_while_a_batch_runs_it_only_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """What that batch has under way is not in doubt."""
    leave(RUN, doubts="a", under_way="b")
    lock = locked()
    try:
        assert run(["resolve", "run"]) == 76
        said = capsys.readouterr()
        assert [line[0] for line in said.out.splitlines() if line[0] != " "] == ["a"]
        assert f"in use by process {os.getpid()}" in said.err
        assert "1 row under way is not yet in doubt" in said.err
        assert run(["resolve", "run", "a", "--not-billed"]) == 73
        assert run(["resolve", "run", "--all", "--not-billed", "--yes"]) == 73
    finally:
        lock.release()
    assert states(RUN)["a"] == "in_doubt"


# --- ids -----------------------------------------------------------------------------------


def test_a_job_that_was_found_is_adopted(
    simulated: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    """In any state; the next run attaches it. Told again, it is no error."""
    (job,) = submitted(simulated, 1)
    leave(RUN, doubts="ab", origin=simulated.base_url)
    assert run(["resolve", "run", "a", "--request-id", job]) == 0
    said = capsys.readouterr()
    assert (states(RUN)["a"], ids(RUN)["a"]) == ("submitted", job)
    assert f"a: job {job} is its job" in said.out
    assert "1 row stay" in said.err
    assert "`seedance-async batch ... --out run`" in said.err.splitlines()[-1]
    assert run(["resolve", "run", "a", "--request-id", job, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "folder": "run",
        "settled": [{"key": "a", "request_id": job, "state": "submitted"}],
        "in_doubt": 1,
    }
    books = simulated.books()
    assert (books["submissions"], books["paid_twice"]) == (1, [])
    written = b"".join(path.read_bytes() for path in RUN.iterdir())
    assert TOKEN.encode() not in written
    assert TOKEN not in said.out + said.err


def test_a_wrong_id_does_not_settle_a_doubt(
    simulated: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing slip must not turn a doubt into a loss."""
    leave(RUN, doubts="a", jobs={"b": "others-job"}, origin=simulated.base_url)
    assert run(["resolve", "run", "a", "--request-id", "nobodys-job"]) == 1
    assert "row 'a' stays in doubt: the service knows no job nobodys-job" in capsys.readouterr().err
    assert run(["resolve", "run", "a", "--request-id", "others-job"]) == 64
    assert "job others-job belongs to row 'b'" in capsys.readouterr().err
    assert run(["resolve", "run", "a", "--request-id", "no id"]) == 64
    assert "'no id' is no request id" in capsys.readouterr().err
    assert states(RUN)["a"] == "in_doubt"


def test_another_services_jobs_are_not_asked_for(
    simulated: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    """The token goes to the base URL of the environment, never to one that a ledger names."""
    leave(RUN, doubts="a")
    assert run(["resolve", "run", "a", "--request-id", "some-job"]) == 64
    assert "RUNCOMFY_MODEL_API_BASE" in capsys.readouterr().err
    assert simulated.books()["polls"] == 0


def test_a_dead_service_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be asked is not adopted."""
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", "http://127.0.0.1:9")
    monkeypatch.setenv("RUNCOMFY_TOKEN", TOKEN)
    leave(RUN, doubts="a", origin="http://127.0.0.1:9")
    assert run(["resolve", "run", "a", "--request-id", "some-job"]) == 69
    assert states(RUN)["a"] == "in_doubt"


def test_on_an_embedded_simulator_there_is_no_job_to_adopt(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a token; that it was not billed is certain there, so nobody is asked."""
    leave(RUN, doubts="ab", origin=SIMULATOR)
    assert run(["resolve", "run", "a", "--request-id", "some-job"]) == 64
    assert "ran on a simulator" in capsys.readouterr().err
    assert run(["resolve", "run"]) == 76
    assert "`seedance-async resolve run --all --not-billed`" in capsys.readouterr().err
    assert run(["resolve", "run", "--all", "--not-billed"]) == 0
    assert set(states(RUN).values()) == {"planned"}


# --- not billed ----------------------------------------------------------------------------


def test_named_rows_need_no_question(capsys: pytest.CaptureFixture[str]) -> None:
    """Who names a row has looked; no token and no network is needed."""
    leave(RUN, doubts="abc")
    assert run(["resolve", "run", "a", "c", "--not-billed"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "a: not billed, so it is planned again",
        "c: not billed, so it is planned again",
    ]
    assert "It submits planned rows again, which is paid for" in said.err.splitlines()[-1]
    assert states(RUN) == {"a": "planned", "b": "in_doubt", "c": "planned", "d": "planned"}


def test_all_or_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """One wrong key leaves all rows as they were, and all wrong ones are told."""
    leave(RUN, doubts="a")
    assert run(["resolve", "run", "a", "d", "nonesuch", "a", "--not-billed"]) == 64
    err = capsys.readouterr().err
    assert "nothing was changed, for 3 reasons" in err
    assert "row 'd' is planned, not in doubt" in err
    assert "there is no row 'nonesuch'" in err
    assert "row 'a' is named twice" in err
    assert states(RUN)["a"] == "in_doubt"


def test_never_pays_twice_all_at_once_asks(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody can answer it is refused; --yes is the answer of a script."""
    leave(RUN, doubts="ab")
    assert run(["resolve", "run", "--all", "--not-billed"]) == 64
    err = capsys.readouterr().err
    assert "submits 2 again (estimate $0.50), and pays a second time" in err
    assert "--yes" in err
    assert states(RUN)["a"] == "in_doubt"
    assert run(["resolve", "run", "--all", "--not-billed", "--yes"]) == 0
    assert set(states(RUN).values()) == {"planned"}
    assert run(["resolve", "run", "--all", "--not-billed"]) == 0
    assert "nothing is in doubt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "code", "state"), [("n\n", 64, "in_doubt"), ("y\n", 0, "planned")]
)
def test_on_a_terminal_it_takes_only_a_yes_for_a_yes(answer: str, code: int, state: str) -> None:
    """In a process of its own, for it needs a terminal."""
    leave(RUN, doubts="ab")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "seedance_async", "resolve", "run", "--all", "--not-billed"],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
    )
    guard(process)
    os.close(theirs)
    shown = ""
    while "[y/N]" not in shown:
        shown += os.read(ours, 4096).decode()
    os.write(ours, answer.encode())
    process.communicate(timeout=DEADLINE)
    os.close(ours)
    assert process.returncode == code
    assert states(RUN)["a"] == state


# --- files ---------------------------------------------------------------------------------


def test_a_file_settles_many(simulated: Simulation, capsys: pytest.CaptureFixture[str]) -> None:
    """As a spreadsheet program saves it."""
    one, two = submitted(simulated, 2)
    leave(RUN, doubts="abcd", origin=simulated.base_url)
    text = f"\ufeffkey,request_id,not_billed,note\r\na,{one},,\r\nb,,yes,gone\r\nd,{two},no,\r\n"
    Path("found.csv").write_bytes(text.encode())
    assert run(["resolve", "run", "--from", "found.csv"]) == 0
    assert states(RUN) == {"a": "submitted", "b": "planned", "c": "in_doubt", "d": "submitted"}
    assert (ids(RUN)["a"], ids(RUN)["d"]) == (one, two)


def test_all_errors_of_a_file_are_told_before_anything_is_changed(
    simulated: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    """First what the file itself shows, then what the ledger knows, then what the service says."""
    (job,) = submitted(simulated, 1)
    leave(RUN, doubts="abcd", origin=simulated.base_url)
    file = Path("found.csv")
    file.write_text("key,request_id,not_billed\na,,yes\nb,,\nc,x,yes\nd,,perhaps\n")
    assert run(["resolve", "run", "--from", "found.csv"]) == 65
    err = capsys.readouterr().err
    assert "line 3: give either" in err
    assert "line 4: give either" in err
    assert "line 5: not_billed must be yes or empty" in err
    file.write_text(f"key,request_id\na,{job}\nb,{job}\nz,some-job\nc,no id\n")
    assert run(["resolve", "run", "--from", "found.csv"]) == 65
    err = capsys.readouterr().err
    assert "line 3: the id" in err
    assert "line 4: there is no row 'z'" in err
    assert "line 5: 'no id' is no request id" in err
    file.write_text(f"key,request_id\na,{job}\nb,nobodys-job\nc,no-job\n")
    assert run(["resolve", "run", "--from", "found.csv"]) == 1
    err = capsys.readouterr().err
    assert "line 3: row 'b' stays in doubt" in err
    assert "line 4: row 'c' stays in doubt" in err
    assert set(states(RUN).values()) == {"in_doubt"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no row"),
        (b"key,note\na,b\n", "the header must name key"),
        (b"key;request_id\na;b\n", "separated by commas"),
        ("key,request_id\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_an_unreadable_file_is_65(
    content: bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the way out, as for a manifest."""
    leave(RUN, doubts="a")
    Path("found.csv").write_bytes(content)
    assert run(["resolve", "run", "--from", "found.csv"]) == 65
    assert says in capsys.readouterr().err
    assert run(["resolve", "run", "--from", "missing.csv"]) == 65


# --- mistakes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["a"],
        ["--not-billed"],
        ["--request-id", "x"],
        ["a", "b", "--request-id", "x"],
        ["a", "--request-id", "x", "--not-billed"],
        ["--all"],
        ["a", "--all", "--not-billed"],
        ["--all", "--request-id", "x"],
        ["a", "--from", "x.csv"],
        ["--from", "x.csv", "--not-billed"],
    ],
)
def test_nonsense_is_64_and_shows_the_forms(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is guessed where money hangs on it."""
    leave(RUN, doubts="ab")
    assert run(["resolve", "run", *arguments]) == 64
    assert "seedance-async resolve DIR KEY... --not-billed" in capsys.readouterr().err
    assert states(RUN)["a"] == "in_doubt"


def test_a_folder_without_a_ledger_is_64(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is made there."""
    RUN.mkdir()
    assert run(["resolve", "run"]) == 64
    assert "there is no ledger in run" in capsys.readouterr().err
    assert list(RUN.iterdir()) == []
