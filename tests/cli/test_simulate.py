"""`simulate`: the double in a process of its own."""

import signal

import pytest

from seedance_async.cli.app import run
from seedance_async.simulator import KNOWN_FAULTS

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
