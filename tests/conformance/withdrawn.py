"""Checks of a job that was cancelled as soon as it was submitted."""

from __future__ import annotations

from itertools import pairwise

from .followed import compare_cancel
from .lives import Life
from .notes import Checks, Notes

WITHDRAWN: Checks[Life] = Checks()


@WITHDRAWN.rule("cancelling", "HTTP 202, completed beside cancelled, or not_cancellable once begun")
def a_cancel_is_answered_with_its_outcome(life: Life, notes: Notes) -> None:
    """Whether it comes in time is the queue's matter, and no difference."""
    for answer in life.cancels[:1]:
        compare_cancel(notes, "cancel at once", answer, life, "cancelled", "not_cancellable")
        seen = answer.document.get("outcome", "no outcome")
        notes.observe("a job cancelled at once", "cancelled", seen)


@WITHDRAWN.rule("cancelling", "it may be asked again: a second cancel is answered as the first")
def a_second_cancel_is_answered_as_the_first(life: Life, notes: Notes) -> None:
    """One that came too late stays too late, whatever the job does meanwhile."""
    for first, second in pairwise(life.cancels):
        notes.same("second cancel, HTTP status", first.status, second.status)
        notes.same("second cancel, body", first.document, second.document)


@WITHDRAWN.rule(
    "cancelling", "after it the truth is what the result says: cancelled, or how it ran"
)
def the_result_says_whether_it_was_cancelled(life: Life, notes: Notes) -> None:
    """The status says `cancelled` too, and whether such a job is billed nobody wrote down."""
    if not life.cancels:
        return
    if "not_cancellable" in {answer.document.get("outcome") for answer in life.cancels}:
        over = life.verdict in ("completed", "succeeded", "failed")
        notes.must(over, "result of a job not cancelled in time", "an end", life.last_result)
        return
    result, status = life.last_result.document, life.last_status.document
    notes.same("result of a cancelled job, status", "cancelled", result.get("status"))
    notes.same("status of a cancelled job", "cancelled", status.get("status"))
    notes.must("output" not in result, "result of a cancelled job", "no output", life.last_result)
    cost = result.get("cost", "unknown: the result has no cost")
    notes.observe("what a cancelled job cost", "0.0", cost)
