"""`simulate`: the double in a process of its own."""

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from seedance_async.cli.app import run
from seedance_async.simulator import KNOWN_FAULTS, InjectedFault

from .processes import command, finish, simulation, start

FOX = ("generate", "pro-fast", "--prompt", "A red fox", "-o", "fox.mp4", "--yes")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_to_set_and_ends_with_its_books(number: int) -> None:
    """The lines can be pasted into a shell; the books answer whether anything was paid twice."""
    process = start("simulate", "--port", "0", "--speed", "60", "--seed", "7")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    exports = dict(
        line.removeprefix("export ").strip().split("=", 1)
        for line in lines
        if line.startswith("export ")
    )
    assert set(exports) == {"RUNCOMFY_MODEL_API_BASE", "RUNCOMFY_TOKEN"}
    assert command(*FOX, "--poll-interval", "0.1", **exports).code == 0
    process.send_signal(number)
    done = finish(process)
    assert done.code == 0
    assert "1 accepted" in done.out
    assert "$0.25 billed (simulated)" in done.out
    assert "paid twice: nothing" in done.out


def test_a_token_that_was_given_is_the_only_one_and_is_not_shown() -> None:
    """Somebody may give a real one."""
    with simulation("--token", "my-own") as running:
        assert command("status", "x", **running.environment).code == 77
        done = command("status", "x", **{**running.environment, "RUNCOMFY_TOKEN": "my-own"})
        assert done.code == 1
        running.process.terminate()
        assert "my-own" not in finish(running.process).err


def test_a_taken_port_is_64() -> None:
    """With the flag that chooses another."""
    with simulation() as running:
        port = running.base_url.rpartition(":")[2]
        done = command("simulate", "--port", port)
        assert done.code == 64
        assert "--port" in done.err


def test_faults_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each name with what it does."""
    assert run(["simulate", "--faults"]) == 0
    text = capsys.readouterr().out
    assert all(name in text and meaning in text for name, meaning in KNOWN_FAULTS.items())


def test_a_fault_log_is_written_as_it_happens_and_replayed(tmp_path: Path) -> None:
    """Whoever saw a failure has what repeats it, down to the request."""
    log = tmp_path / "faults.jsonl"
    with simulation("--fault", "poll-html-504=1,times=2", "--fault-log", str(log)) as running:
        assert command(*FOX, "--poll-interval", "0.1", **running.environment).code == 0
        first = log.read_text().splitlines()
    assert [json.loads(line)["name"] for line in first] == ["poll-html-504"] * 2
    again = tmp_path / "again.jsonl"
    with simulation("--replay", str(log), "--fault-log", str(again)) as running:
        again_words = (*FOX, "--overwrite", "--poll-interval", "0.1")
        assert command(*again_words, **running.environment).code == 0
        second = again.read_text().splitlines()
    assert run(["simulate", "--fault-log", str(again)]) == 64
    assert again.read_text().splitlines() == second, "a log that is there is evidence"
    own = {"at": None, "request_id": None}  # each life of a server has its own
    told = [{**json.loads(line), **own} for line in [*first, *second]]
    assert told[:2] == told[2:]


def test_everybody_may_read_its_books() -> None:
    """A test in any language asserts on them."""
    with simulation("--balance", "0.3", "--duration", "0.2", "--latency", "result=0.01") as running:
        assert command(*FOX, "--poll-interval", "0.1", **running.environment).code == 0
        other = (*FOX[:3], "A blue fox", *FOX[4:-2], "blue.mp4", "--yes")
        done = command(*other, **running.environment)
        assert done.code == 77
        with urllib.request.urlopen(f"{running.base_url}/simulator/books") as answer:
            books = json.load(answer)
    assert books["billed_usd"] == 0.25
    assert [entry["input"]["text"] for entry in books["accepted"]] == ["A red fox"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--latency", "soon"), "'soon' is no distribution of seconds"),
        (("--latency", "poll=1"), "latency for ['poll']; endpoints are submit"),
        (("--duration", "lognormal:1"), "'lognormal:1' is no distribution"),
        (("--bandwidth", "0"), "bandwidth is 0"),
        (("--replay", "nowhere.jsonl"), "nowhere.jsonl cannot be read: No such file"),
        (("--replay", "films.jsonl"), "films.jsonl:1: no line of a fault log"),
        (("--replay", "other.jsonl"), "logged with the seed 5, and this simulator has 0: give it"),
        (("--balance", "-1"), "balance_usd is -1.0; it must be 0 or more"),
        (("--fault", "429=1,endpoint=status"), "it strikes only at submit; name one of these"),
        (("--replay", "x", "--fault", "429=1"), "--replay brings its own faults"),
        (("--fault-log", "nowhere/log.jsonl"), "cannot be written: No such file"),
        (("--fault", "429,nth=0"), "nth of 429 is 0; it must be 1 or more. `simulate --faults`"),
    ],
)
def test_what_it_cannot_do_it_says(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it listens, with the value and the way out."""
    Path("films.jsonl").write_text('{"key": "fox"}\n')
    fault = InjectedFault(0.0, "429", "submit", None, "fox", 1, seed=5)
    Path("other.jsonl").write_text(f"{fault.to_json()}\n")
    assert run(["simulate", *arguments]) == 64
    assert words in " ".join(capsys.readouterr().err.split())
