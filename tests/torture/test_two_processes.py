"""Two processes, one ledger, one job file, one journal.

Time is real, for processes, locks and files are the point; nothing depends on its speed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seedance_async import FileJournal
from seedance_async.credentials import BASE_URL_VARIABLE, TOKEN_VARIABLES
from seedance_async.simulator import Simulator
from tests.cli.processes import command, finish, kill_leftovers, start, until

from .judge import Figures, judge
from .loopback import Loopback
from .twins import Twins, twins

IS_LONG = "SEEDANCE_LONG" in os.environ
ROUNDS = 200 if IS_LONG else 20
RUN = Path("run")
BATCH = ("batch", "films.jsonl", "--out", "run", "--yes", "--poll-interval", "0.05")
RACING = (*BATCH[:-1], "0.02")
MAY_SUBMIT = 8
"""POSTs that a session has under way at once, at most: what a kill can put in doubt."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder, a home and no token of the developer's."""
    for name in TOKEN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    kill_leftovers()


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    found = Loopback()
    yield found
    found.close()


@contextmanager
def service(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> Iterator[Simulator]:
    """Serve a simulator that the environment points to."""
    simulator = Simulator(**{"speed": 60.0, "capacity": 8, **options})
    with loopback.serve(simulator):
        for name, value in environment(simulator).items():
            monkeypatch.setenv(name, value)
        yield simulator


def environment(simulator: Simulator) -> dict[str, str]:
    return {BASE_URL_VARIABLE: simulator.public_url, TOKEN_VARIABLES[0]: "simulator-token"}


def write(rows: int, folder: Path = Path(), words: str = "take") -> None:
    lines = ({"key": f"r{n}", "model": "pro-fast", "text": f"{words} {n}"} for n in range(rows))
    (folder / "films.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def under_way(simulator: Simulator, number: int) -> Callable[[], bool]:
    return lambda: len(simulator.books.accepted) >= number


def states(folder: Path = RUN) -> dict[str, str]:
    """Return what results.jsonl says; it fails if one line is not whole."""
    lines = (folder / "results.jsonl").read_text("utf-8").splitlines()
    return {row["key"]: row["state"] for row in map(json.loads, lines)}


# --- one folder, a second command ----------------------------------------------------------


def test_never_pays_twice_if_a_second_command_comes_to_a_batch_that_runs(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch, tell: Callable[..., None]
) -> None:
    """While a batch runs, a second one, resolve and cancel are refused and told who holds it."""
    write(6)
    with service(loopback, monkeypatch, speed=1.0) as simulator:  # its jobs outlast this test
        begun = datetime.now(UTC) - timedelta(seconds=1)
        first = start(*BATCH)
        until(under_way(simulator, 4))
        refused = [
            command(*BATCH),
            command("cancel", "run"),
            command("resolve", "run", "r0", "--not-billed"),
        ]
        listed = command("resolve", "run", "--json")
        assert first.poll() is None
        assert leave(first) == 130
        cancelled = command("cancel", "run", "--json")
        books = loopback.books(simulator)
    for told in refused:
        assert told.code == 73, told
        found = re.search(r"in use by process (\d+) on (\S+) since (\S+)\. ", told.err)
        assert found is not None, told.err
        assert found.group(1, 2) == (str(first.pid), socket.gethostname())
        assert begun <= datetime.fromisoformat(found[3]) <= datetime.now(UTC)
    assert "Ctrl-C twice in it cancels" in refused[1].err
    assert (listed.code, listed.json["doubts"]) == (0, [])
    assert cancelled.code == 75, cancelled.err
    assert len(cancelled.json["jobs"]) == len(books.accepted) == 4
    tell(judge(RUN, books, posts_under_way=0), refused=len(refused))


def leave(process: subprocess.Popen[str]) -> int:
    """Interrupt a batch twice, the second time as soon as it has answered; return its code."""
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "interrupted:" in line:
            process.send_signal(signal.SIGINT)
            break
    return finish(process).code


@pytest.mark.parametrize("told", ["a living process", *(["nonsense"] if IS_LONG else [])])
def test_never_pays_twice_and_a_dead_batch_leaves_no_lock(
    told: str, loopback: Loopback, monkeypatch: pytest.MonkeyPatch, tell: Callable[..., None]
) -> None:
    """After kill -9 the next batch starts at once, even if the dead one's number lives again."""
    write(20)
    with service(loopback, monkeypatch, speed=20.0) as simulator:
        first = start(*BATCH, "--max-in-flight", "6")
        until(under_way(simulator, 3))
        first.send_signal(signal.SIGKILL)
        first.communicate()
        lock = RUN / "ledger.lock"
        assert json.loads(lock.read_text())["pid"] == first.pid
        words = {"pid": os.getpid(), "host": socket.gethostname(), "since": "2026-01-01T00:00:00"}
        lock.write_text(json.dumps(words) if told == "a living process" else "{\0")
        before = judge(RUN, loopback.books(simulator), posts_under_way=MAY_SUBMIT)
        second = command(*BATCH, "--max-in-flight", "6")
        books = loopback.books(simulator)
    assert second.code == (76 if before.doubts else 0), second.err
    assert ("under way when an earlier run was cut off" in second.err) is bool(before.doubts)
    assert lock.read_text() == ""
    counts = Counter(states().values())
    assert counts == Counter({"downloaded": 20 - before.doubts, "in_doubt": before.doubts})
    tell(judge(RUN, books, posts_under_way=before.doubts), kills=1)


# --- at the same instant -------------------------------------------------------------------


def test_never_pays_twice_if_two_batches_start_at_the_same_instant(
    place: Path, loopback: Loopback, tell: Callable[..., None]
) -> None:
    """Two processes leave one gate for one folder, again and again: exactly one of them runs."""
    figures, met = Figures(), 0
    with twins() as pair:
        for number in range(ROUNDS):
            found, refused = race(place / str(number), loopback, pair)
            figures += found
            met += refused
    assert met > 0, "no two of them ever met"
    tell(figures, rounds=ROUNDS, met=met)


def race(folder: Path, loopback: Loopback, pair: Twins) -> tuple[Figures, bool]:
    """Let two batches begin in one folder; return the figures, and whether one was refused.

    A loser that comes after the winner's end finds all done and spends nothing: that is allowed.
    """
    folder.mkdir()
    write(3, folder)
    simulator = Simulator(speed=200.0, capacity=8)
    with loopback.serve(simulator):
        told = pair.run(folder, RACING, RACING, **environment(simulator))
        books = loopback.books(simulator)
    codes = sorted(ended.code for _, ended in told)
    assert codes in ([0, 73], [0, 0]), told
    for number, (_, ended) in enumerate(told):
        if ended.code == 73:
            other, _ = told[1 - number]
            # Between taking the lock and writing its name, the winner is nameless.
            assert re.search(rf"in use by (process {other} on|another process)", ended.err)
    assert len(books.accepted) == 3
    assert set(states(folder / "run").values()) == {"downloaded"}
    return judge(folder / "run", books, posts_under_way=0), codes == [0, 73]


def test_never_pays_twice_if_two_generate_into_one_file_at_the_same_instant(
    place: Path, loopback: Loopback, tell: Callable[..., None]
) -> None:
    """Of two `generate -o` with one job file, one pays; the other says so and sends nothing."""
    rounds = ROUNDS // 4
    generate = ("generate", "pro-fast", "--prompt", "a fox", "-o", "fox.mp4", "--yes")
    simulator = Simulator(speed=200.0, capacity=8)
    with twins() as pair, loopback.serve(simulator):
        for number in range(rounds):
            folder = place / str(number)
            folder.mkdir()
            told = pair.run(
                folder, *2 * [(*generate, "--poll-interval", "0.05")], **environment(simulator)
            )
            assert sorted(ended.code for _, ended in told) == [0, 73], told
            (refused,) = (ended for _, ended in told if ended.code == 73)
            assert re.search("othing was sent|exists already", refused.err)
            record = json.loads((folder / "fox.mp4.job.json").read_text())
            accepted = loopback.books(simulator).accepted
            assert len(accepted) == number + 1
            assert (record["state"], record["request_id"]) == (
                "downloaded",
                accepted[-1].request_id,
            )
    tell(Figures(accepted=rounds), rounds=rounds)


def test_never_loses_what_was_paid_if_two_processes_journal_to_one_file(
    place: Path, loopback: Loopback, tell: Callable[..., None]
) -> None:
    """Each id of both is in the file, and each record is whole."""
    number = 200 if IS_LONG else 40
    simulator = Simulator(speed=2000.0, capacity=16)
    with twins() as pair, loopback.serve(simulator):
        commands = [("journal", "journal.jsonl", name, str(number)) for name in ("fox", "owl")]
        told = pair.run(place, *commands, **environment(simulator))
        accepted = loopback.books(simulator).accepted
    assert [ended.code for _, ended in told] == [0, 0], told
    every_line = (place / "journal.jsonl").read_text().split("\n")[:-1]
    # Who sees the other's line half written takes it for torn, and leaves an empty line.
    lines = [line for line in every_line if line]
    assert {json.loads(line)["state"] for line in lines} == {"submitting", "accepted", "finished"}
    assert len(lines) == 3 * 2 * number
    journal = FileJournal(place / "journal.jsonl")
    assert journal.unfinished() == []
    known = {entry.request_id for entry in journal.entries()}
    assert known == {entry.request_id for entry in accepted}
    assert len(known) == 2 * number
    tell(
        Figures(accepted=len(accepted)), lines=len(lines), empty_lines=len(every_line) - len(lines)
    )


# --- readers beside a writer ---------------------------------------------------------------

_RANK = {"planned": 0, "submitting": 1, "submitted": 2, "succeeded": 3, "downloaded": 4}


def test_never_lies_if_results_are_asked_for_while_a_batch_writes(
    place: Path, loopback: Loopback, monkeypatch: pytest.MonkeyPatch, tell: Callable[..., None]
) -> None:
    """`results` sees each row move forward only, in whole files, and never holds the batch up."""
    rows = 150 if IS_LONG else 60  # what it says of more would not fit into a pipe unread
    write(rows)
    asked, seen = 0, Counter[str]()
    reached = dict.fromkeys((f"r{n}" for n in range(rows)), 0)
    with service(loopback, monkeypatch, speed=100.0, capacity=16) as simulator, twins() as pair:
        batch = start(*BATCH, "--max-in-flight", "8")
        until(under_way(simulator, 1))
        while batch.poll() is None:
            results = ("results", "run", "--json")
            for _, told in pair.run(place, results, results):
                assert told.code == 0, told.err
                assert sum(told.json["counts"].values()) == rows
                asked += 1
            found = states()  # of one of the two, or of the batch
            assert list(found) == list(reached)
            now = {key: _RANK[state] for key, state in found.items()}
            assert all(now[key] >= rank for key, rank in reached.items()), (reached, now)
            reached = now
            seen.update(found.values())
        done = finish(batch)
        books = loopback.books(simulator)
    assert done.code == 0, done.err
    assert set(states().values()) == {"downloaded"}
    assert {"planned", "downloaded"} <= set(seen), "it never looked while the batch was at work"
    tell(judge(RUN, books, posts_under_way=0), asked=asked)


def test_never_hangs_if_a_reader_holds_on_while_the_batch_folds_its_log(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch, tell: Callable[..., None]
) -> None:
    """A read transaction from the first row to after the last neither changes nor holds it up."""
    write(40)
    query = "SELECT state, count(*) FROM row GROUP BY state ORDER BY state"
    with service(loopback, monkeypatch, speed=200.0, capacity=16) as simulator:
        batch = start(*BATCH, "--max-in-flight", "8")
        until(under_way(simulator, 1))
        uri = f"file:{(RUN / 'ledger.sqlite').absolute()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            before = reader.execute(query).fetchall()
            done = finish(batch)
            assert reader.execute(query).fetchall() == before != [("downloaded", 40)]
            assert (RUN / "ledger.sqlite-wal").stat().st_size > 0
            assert done.code == 0, done.err
            again = command(*BATCH)
            assert (again.code, len(simulator.books.accepted)) == (0, 40)
        books = loopback.books(simulator)
    assert command("results", "run").code == 0
    assert Counter(states().values()) == {"downloaded": 40}
    tell(judge(RUN, books, posts_under_way=0))


def test_never_hangs_if_a_stopped_process_holds_the_lock(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that is stopped (SIGSTOP) still holds the folder; the second is refused at once."""
    write(2)
    with service(loopback, monkeypatch, speed=20.0) as simulator:
        first: subprocess.Popen[str] = start(*BATCH)
        until(under_way(simulator, 1))
        first.send_signal(signal.SIGSTOP)
        try:
            told = command(*BATCH)
            looked = command("results", "run", "--json")
        finally:
            first.send_signal(signal.SIGCONT)
        done = finish(first)
    assert told.code == 73
    assert f"in use by process {first.pid} on " in told.err
    assert (looked.code, sum(looked.json["counts"].values())) == (0, 2)
    assert done.code == 0, done.err
    assert len(simulator.books.accepted) == 2
