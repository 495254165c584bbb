"""Which command settles which row, as a table."""

from __future__ import annotations

import shlex

import pytest

from seedance_async.batch.edges import RowState
from seedance_async.cli.commandline import CommandLine
from seedance_async.report.remedies import (
    can_be_named,
    remedies,
    remedies_of_invalid,
    settles,
)

COMMAND = CommandLine(("batch", "films.csv", "--out", "my night", "--only", "a,b", "--limit=9"))
BATCH = "seedance-async batch films.csv --out 'my night'"


@pytest.mark.parametrize(
    ("state", "commands"),
    [
        (RowState.FAILED, [f"{BATCH} --retry failed --only 'red fox'"]),
        (RowState.CANCELLED, [f"{BATCH} --retry cancelled --only 'red fox'"]),
        (RowState.LOST, [f"{BATCH} --retry lost --only 'red fox'"]),
        (
            RowState.IN_DOUBT,
            [
                "seedance-async resolve 'my night' 'red fox' --request-id ID",
                "seedance-async resolve 'my night' 'red fox' --not-billed",
            ],
        ),
        (RowState.TIMED_OUT, [f"{BATCH} --only a,b --limit=9"]),
        (RowState.SUCCEEDED, [f"{BATCH} --retry-downloads --only 'red fox'"]),
        (RowState.DOWNLOADED, [f"{BATCH} --retry-downloads --only 'red fox'"]),
        (RowState.PLANNED, []),
    ],
)
def test_the_command_is_about_this_row_alone(state: RowState, commands: list[str]) -> None:
    """What was chosen before does not come along, or a failed neighbour would be paid again."""
    found = remedies("red fox", state, "my night", COMMAND.again, simulated=False)
    assert [remedy.command for remedy in found] == commands


def test_doubts_of_a_dead_simulator_are_settled_together() -> None:
    (found,) = remedies("a", RowState.IN_DOUBT, "demo", COMMAND.again, simulated=True)
    assert found.command == "seedance-async resolve demo --all --not-billed"


@pytest.mark.parametrize("key", ["x,y", "@a", "-a", " a", "a\u202eb", "a\u2066b", "a\x1bb"])
def test_a_key_that_could_mislead_is_in_no_command(key: str) -> None:
    """`--only` would read it as something else, or it would show another command than is copied."""
    assert not can_be_named(key)
    for state in RowState:
        for remedy in remedies(key, state, "night", COMMAND.again, simulated=False):
            assert key not in shlex.split(remedy.command)


def test_keys_with_quotes_stay_one_word() -> None:
    key = 'it\'s $(rm -rf) `x` "y"'
    for state in (RowState.FAILED, RowState.IN_DOUBT):
        for remedy in remedies(key, state, "night", COMMAND.again, simulated=False):
            assert key in shlex.split(remedy.command)


def test_an_invalid_line_is_corrected_checked_and_gone_on_with() -> None:
    """The check skips nothing, so that it tells what is still wrong; what was skipped stays so."""
    command = CommandLine(("batch", "films.csv", "--skip-invalid", "--out", "night"))
    check, go_on = remedies_of_invalid(3, command.again)
    assert "line 3" in check.when
    assert check.command == "seedance-async batch films.csv --out night --dry-run"
    assert go_on.command == "seedance-async batch films.csv --skip-invalid --out night"


def test_which_rows_wait_for_a_person() -> None:
    """What is planned or under way does not; a video does when it is not to be had."""
    waits = {s.value for s in RowState if settles(s, failed_download=False, gone=False)}
    assert waits == {"failed", "cancelled", "lost", "in_doubt", "timed_out"}
    assert settles(RowState.SUCCEEDED, failed_download=True, gone=False)
    assert settles(RowState.DOWNLOADED, failed_download=False, gone=True)
