"""Exit codes of a batch and which command goes on, as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Money
from seedance_async.batch.report import BatchReport
from seedance_async.batch.stops import Stop, StopReason
from seedance_async.cli.batchexit import batch_exit
from seedance_async.cli.batchsummary import next_steps, summary_json, summary_lines, troubles
from seedance_async.cli.commandline import CommandLine
from seedance_async.jobs import ErrorInfo

STATES = {state.value for state in RowState}
DENIED = ErrorInfo("AuthenticationError", "the token is wrong")
DIR = Path("my night")
COMMAND = CommandLine(("batch", "films.jsonl", "--out", "my night", "--retry", "failed", "-y"))


def report(stop: StopReason | None = None, **facts: Any) -> BatchReport:
    """Return a report; names of states are counts."""
    counts = {RowState(name): facts.pop(name) for name in STATES & facts.keys()}
    fields: dict[str, Any] = {
        "counts": {state: counts.get(state, 0) for state in RowState},
        "invalid": 0,
        "submitted": 0,
        "downloaded": 0,
        "to_download": 0,
        "not_downloadable": 0,
        "money": Money(0, 0, 0, 0),
        "stop": None if stop is None else Stop(stop, "so it is"),
        "denied": None,
        "storage_trouble": None,
        "results": DIR / "results.jsonl",
    }
    return BatchReport(**(fields | facts))


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (report(downloaded=3), 0),
        (report(succeeded=3), 0),  # --no-download
        (report(), 0),
        (report(failed=1, downloaded=3), 1),
        (report(cancelled=1), 1),
        (report(lost=1), 1),
        (report(downloaded=3, invalid=1), 1),
        (report(succeeded=1, not_downloadable=1), 1),
        (report(in_doubt=1, failed=1), 76),
        (report(StopReason.BRAKE, planned=5, failed=10), 76),
        (report(StopReason.BUDGET, planned=5), 76),
        (report(StopReason.MAX_VIDEOS, planned=5), 76),
        (report(StopReason.BUDGET, planned=5, timed_out=1), 75),
        (report(StopReason.BUDGET, planned=5, succeeded=1, to_download=1), 75),
        (report(planned=1, in_doubt=1), 75),
        (report(submitted=1), 75),
        (report(submitting=1), 75),
        (report(timed_out=1, failed=1), 75),
        (report(succeeded=1, to_download=1), 75),
        (report(StopReason.LIMITED, planned=5), 75),
        (report(StopReason.UNREACHABLE, planned=5, in_doubt=1), 69),
        (report(StopReason.LEDGER, planned=5), 73),
        (report(storage_trouble="the disk is full", succeeded=1, to_download=1), 73),
        (report(StopReason.UNREACHABLE, planned=5, storage_trouble="full"), 73),
        (report(StopReason.ACCOUNT, planned=5, storage_trouble="full"), 77),
        (report(submitted=2, denied=DENIED), 77),
        (report(StopReason.BUG, planned=5, denied=DENIED), 70),
    ],
)
def test_the_first_code_that_fits(ended: BatchReport, code: int) -> None:
    """75 promises that the same command makes progress, 76 that only a person does."""
    assert batch_exit(ended) == code


@pytest.mark.parametrize("code", [129, 130, 143])
def test_an_interrupt_outranks_all(code: int) -> None:
    """Even our own bug: whoever interrupted knows why it ended."""
    assert batch_exit(report(StopReason.BUG), interrupted=code) == code
    assert batch_exit(report(downloaded=1), interrupted=code) == code


AGAIN = "`seedance-async batch films.jsonl --out 'my night' -y` goes on"


@pytest.mark.parametrize(
    ("ended", "last"),
    [
        (report(downloaded=3), None),
        (report(StopReason.INTERRUPTED, planned=3), f"3 to submit: {AGAIN}"),
        (report(timed_out=2), f"2 submitted and not over: {AGAIN}"),
        (report(succeeded=2, to_download=2), f"2 to download: {AGAIN}"),
        (report(StopReason.BUDGET, planned=3), f"3 to submit: once --budget is raised, {AGAIN}"),
        (report(StopReason.ACCOUNT, planned=3), f"or the balance is mended, {AGAIN}"),
        (report(in_doubt=1, failed=1), "`seedance-async resolve 'my night'` settles them"),
        (report(failed=1, cancelled=2), "-y --retry failed,cancelled` pays for another attempt"),
        (report(lost=1), "-y --retry lost` pays for another attempt"),
        (report(succeeded=1, not_downloadable=1), "--allow-host permits a host"),
        (report(invalid=1), "correct them and run the same command"),
    ],
)
def test_the_last_line_says_which_command_goes_on(ended: BatchReport, last: str | None) -> None:
    """Exactly, quoted for a shell, and without a flag that would pay for more attempts."""
    steps = next_steps(ended, DIR, COMMAND, simulated=False)
    assert steps[-1].endswith(last) if last is not None else not steps


def test_the_summary_says_where_all_is() -> None:
    """And what of the money is not certain."""
    ended = report(downloaded=2, failed=1, invalid=1, money=Money(250_000, 500_000, 1, 2))
    text = "\n".join(summary_lines(ended, DIR, took="3.0 s"))
    assert "4 rows: 2 downloaded, 1 failed, 1 invalid" in text
    assert "$0.25 settled, $0.50 reserved (1 without a cost from the service, 2 without" in text
    assert all(str(DIR / name) in text for name in ("videos", "results.jsonl", "ledger.sqlite"))


def test_a_sum_of_which_nothing_is_known_is_unknown_at_the_end_too() -> None:
    """And null for a program; nothing that may cost money reads as $0.00."""
    unknown = report(downloaded=1, timed_out=2, money=Money(0, 0, 1, 2))
    text = "\n".join(summary_lines(unknown, DIR, took="3.0 s"))
    assert "all runs: unknown settled, unknown reserved (1 without a cost" in text
    told = summary_json(unknown, DIR, [], code=75, took=3.0, where="simulator")["money"]
    assert (told["settled_usd"], told["reserved_usd"]) == (None, None)


def test_troubles_are_told() -> None:
    """An interrupt is none."""
    assert troubles(report(StopReason.INTERRUPTED)) == []
    told = troubles(report(StopReason.BRAKE, denied=DENIED, storage_trouble="full"))
    assert told[0] == "no more was submitted: so it is"
    assert "the token is wrong." in told[1]
    assert told[2] == "full"
