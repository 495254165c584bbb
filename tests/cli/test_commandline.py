"""The command that is offered is one that a person can copy."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from seedance_async.batch.edges import RowState
from seedance_async.cli.app import run
from seedance_async.cli.commandline import CommandLine
from seedance_async.handle import error_of
from seedance_async.jobs import TimedOut
from seedance_async.report.remedies import remedies
from seedance_async.shell import wait_command


@pytest.mark.parametrize(
    ("given", "again"),
    [
        (("batch", "a.csv", "--retry=failed", "-o", "d"), "batch a.csv -o d"),
        (("batch", "a.csv", "--retry-downloads", "-o", "d"), "batch a.csv -o d"),
        (("batch", "a.csv", "--retry_downloads", "-o", "d_e"), "batch a.csv -o d_e"),
        (("batch", "a.csv", "-o", "d", "--retry"), "batch a.csv -o d"),
        (("batch", "-", "-o", "d"), "batch - -o d < ROWS.jsonl"),
        (("batch", "it's.csv"), "batch 'it'\"'\"'s.csv'"),
    ],
)
def test_the_same_command(given: tuple[str, ...], again: str) -> None:
    """Rows on standard input must be given once more."""
    assert CommandLine(given).again() == f"seedance-async {again}"


def test_another_commands_flags_are_spelled_out() -> None:
    """`demo` has no --retry, so the batch that it stands for is named."""
    command = CommandLine(("demo",), ("batch", "demo.jsonl", "--simulate"))
    assert command.again() == "seedance-async demo"
    again = command.again("--retry", "cancelled")
    assert again == "seedance-async batch demo.jsonl --simulate --retry cancelled"


def test_a_command_that_did_nothing_is_offered_as_it_was_given() -> None:
    """Without `--dry-run` it would pay, and without `--retry` it would do nothing."""
    given = CommandLine(("batch", "-", "--dry-run", "--retry", "failed", "--retry-downloads"))
    assert given.same() == (
        "seedance-async batch - --dry-run --retry failed --retry-downloads < ROWS.jsonl"
    )
    assert given.again() == "seedance-async batch - < ROWS.jsonl"
    kept = given.again(keep="--retry-downloads")
    assert kept == "seedance-async batch - --retry-downloads < ROWS.jsonl"


def test_what_follows_two_dashes_is_no_flag() -> None:
    """More flags stand before them, and a file named like a flag stays."""
    command = CommandLine(("batch", "--out", "d", "--retry", "lost", "--", "--retry"))
    assert command.again("--only", "a") == "seedance-async batch --out d --only a -- --retry"
    simulated = "seedance-async batch --out d --retry lost --simulate -- --retry"
    assert command.simulated().same() == simulated


@pytest.mark.parametrize("given", ["--simulate", "--simulate=true"])
def test_a_flag_that_was_given_is_not_given_twice(given: str) -> None:
    """The command line takes none twice; what follows two dashes is no flag."""
    command = CommandLine(("batch", "a.csv", given))
    assert command.simulated() == command
    named = CommandLine(("batch", "--", "--simulate")).simulated()
    assert named.same() == "seedance-async batch --simulate -- --simulate"


def test_a_folder_named_like_a_flag_is_none() -> None:
    (found,) = remedies("a", RowState.IN_DOUBT, "-x y", command().again, simulated=True)
    assert found.command == "seedance-async resolve './-x y' --all --not-billed"


def test_the_pages_command_asks_before_it_spends() -> None:
    """Whoever copies it another day has not agreed to anything yet."""
    agreed = CommandLine(
        ("batch", "-y", "a.csv", "--yes", "--budget", "5", "--yes=true", "--", "-y")
    )
    assert agreed.asking().again() == "seedance-async batch a.csv --budget 5 -- -y"
    joined = CommandLine(("batch", "-yv", "a.csv", "-vy", "-yy", "-o", "yvy")).asking()
    assert joined.again() == "seedance-async batch -v a.csv -v -o yvy"
    assert CommandLine(("batch", "-yo", "d")).asking().again() == "seedance-async batch -o d"
    assert CommandLine(("batch", "-vyoyard")).asking().again() == "seedance-async batch -voyard"
    assert CommandLine(("batch", "-ovy")).asking().again() == "seedance-async batch -ovy"


def test_an_id_that_looks_like_a_flag_is_none() -> None:
    assert wait_command("a1", "-o", "F") == "seedance-async wait -o F a1"
    assert wait_command("-a b", "-o", "F") == "seedance-async wait -o F -- '-a b'"
    assert "`seedance-async wait -- -a`" in str(error_of(TimedOut(request_id="-a", reason="why")))


def command() -> CommandLine:
    return CommandLine(("batch", "rows.jsonl"))


def test_the_command_is_the_one_that_was_called_not_the_processs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program may run a command of ours; each of its arguments would be a wrong one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["another-program"])
    Path("rows.jsonl").write_text('{"model": "pro-fast", "prompt": "b"}\n' * 2)
    given = ["batch", "rows.jsonl", "--simulate", "--out=-d", "--max-videos", "1"]
    run(given)
    assert run(["report", "--", "-d"]) == 0
    assert f"`{shlex.join(['seedance-async', *given])}` goes on" in capsys.readouterr().err
    page = Path("-d/report.html").read_text()
    assert "seedance-async batch MANIFEST --out ./-d --simulate" in page
