"""Edges: every pair of states, and what is said where there is no way."""

from __future__ import annotations

from itertools import product

import pytest

from seedance_async import LedgerError
from seedance_async.batch.edges import EDGES, Cause, RowState, check_retry, passes

# As the design has them, section 6.
EXPECTED: dict[Cause, set[str]] = {
    Cause.RUN: {
        "planned submitting",
        *("submitting planned", "submitting failed", "submitting submitted", "submitting in_doubt"),
        *("submitted succeeded", "submitted failed", "submitted cancelled", "submitted timed_out"),
        "submitted lost",
        *("timed_out succeeded", "timed_out failed", "timed_out cancelled", "timed_out timed_out"),
        "timed_out lost",
        "succeeded downloaded",
    },
    Cause.RESOLVE: {"in_doubt planned", "in_doubt submitted"},
    Cause.RETRY: {"failed planned", "cancelled planned", "lost planned"},
    Cause.FILE_GONE: {"downloaded succeeded"},
    Cause.DEAD_RUNNER: {"submitting in_doubt"},
    Cause.DEAD_SIMULATOR: {
        *("submitting planned", "submitted planned", "timed_out planned", "succeeded planned"),
    },
}


def test_the_edges_are_those_of_the_design() -> None:
    """Every other one raises, names the row and both states; standing still is no edge."""
    for cause, before, after in product(Cause, RowState, RowState):
        if f"{before} {after}" in EXPECTED[cause]:
            assert passes("k", before, after, cause)
        elif before is after:
            assert not passes("k", before, after, cause)
        else:
            with pytest.raises(LedgerError) as no:
                passes("k", before, after, cause)
            assert str(no.value).startswith(f"row 'k' is {before} and cannot become {after}: ")


def test_no_state_leads_back_to_submitting_but_planned() -> None:
    """What was sent is not sent again: the only way is through a person's word."""
    back = {
        (cause, before)
        for cause, edges in EDGES.items()
        for before, afters in edges.items()
        if RowState.SUBMITTING in afters
    }
    assert back == {(Cause.RUN, RowState.PLANNED)}


@pytest.mark.parametrize(
    ("before", "after", "advice"),
    [
        ("in_doubt", "submitting", "it may be paid for: settle the doubt with `resolve`"),
        ("submitted", "submitting", "its job may be running: attach its request id"),
        ("failed", "submitting", "ask for another attempt with `--retry failed`"),
        ("downloaded", "failed", "its video is on disk"),
    ],
)
def test_the_error_says_what_to_do(before: str, after: str, advice: str) -> None:
    """By the state in which the row is."""
    with pytest.raises(LedgerError, match=advice):
        passes("k", RowState(before), RowState(after))


def test_retry_refuses_what_may_run_and_what_may_be_paid() -> None:
    """timed_out and in_doubt are refused with the reason; the three ends are not."""
    check_retry(frozenset({RowState.FAILED, RowState.CANCELLED, RowState.LOST}))
    with pytest.raises(LedgerError) as no:
        check_retry(frozenset({RowState.TIMED_OUT, RowState.IN_DOUBT, RowState.FAILED}))
    assert str(no.value) == (
        "no retry of in_doubt, timed_out (in_doubt: it may be paid for: settle the doubt with "
        "`resolve`; timed_out: its job may be running: the same batch command attaches it again). "
        "Only failed, cancelled, lost can be retried"
    )
