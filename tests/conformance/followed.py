"""Checks of a job that was followed from the submission to its end."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from .lives import Life
from .notes import Checks, Notes
from .service import Answer
from .shapes import ID, INTEGER, NUMBER, TEXT, compare_fields, compare_json, exactly, one_of

STATES = ("in_queue", "in_progress", "completed")
"""How a job's status goes on; it never goes back."""

FOLLOWED: Checks[Life] = Checks()


@FOLLOWED.rule("submitting", "accepted is HTTP 200 or 202 with the id and three URLs of the job")
def a_submission_is_answered_with_the_id_and_three_urls(life: Life, notes: Notes) -> None:
    """A bare id is usable, but the double gives the URLs as well."""
    answer = life.submitted
    if answer.status == 202:
        notes.observe("HTTP status of an acceptance", 200, 202)
        compare_json(notes, "submit", answer, 202)
    elif compare_json(notes, "submit", answer, 200):
        notes.observe("HTTP status of an acceptance", 200, 200)
    root = f"{life.base_url}/v1/requests/{life.request_id}"
    urls = {f"{end}_url": exactly(f"{root}/{end}") for end in ("status", "result", "cancel")}
    compare_fields(notes, "submit", answer.document, {"request_id": ID, **urls})


@FOLLOWED.rule(
    "status",
    "HTTP 200 with in_queue, in_progress or completed, queue_position only while queued, two URLs",
)
def every_status_has_the_documented_fields(life: Life, notes: Notes) -> None:
    """`instance_id` may come while the job runs."""
    root = f"{life.base_url}/v1/requests/{life.request_id}"
    forms = {
        "request_id": exactly(life.request_id),
        "status": one_of(*STATES),
        "status_url": exactly(f"{root}/status"),
        "result_url": exactly(f"{root}/result"),
    }
    for answer in (*(turn.status for turn in life.rounds), life.last_status):
        if compare_json(notes, "status", answer, 200):
            state = _state(answer)
            queued = {"queue_position": INTEGER} if state == "in_queue" else {}
            running = {"instance_id": TEXT} if state == "in_progress" else {}
            where = f"status of a job {state}"
            compare_fields(notes, where, answer.document, {**forms, **queued}, running)


@FOLLOWED.rule("status", "queue_position counts the jobs in front and moves while a job waits")
def the_queue_position_only_falls(life: Life, notes: Notes) -> None:
    """Whether the next job to start is number 0 or 1, nobody wrote down."""
    seen = [turn.status.document.get("queue_position") for turn in life.rounds]
    places = [place for place in seen if isinstance(place, int)]
    for earlier, later in pairwise(places):
        notes.must(later <= earlier, "queue_position", f"at most {earlier} later on", later)
    last = f"{places[-1]}, first seen {places[0]}" if places else "not seen"
    notes.observe("last queue_position before a job starts", "0, first seen 1", last)


@FOLLOWED.rule("status", "a job goes from in_queue to in_progress to completed, and never back")
def the_states_only_go_on(life: Life, notes: Notes) -> None:
    """The result tells the same states until it has a verdict."""
    for name, answers in (
        ("status", [turn.status for turn in life.rounds]),
        ("result", [turn.result for turn in life.before_the_end]),
    ):
        known = [_state(answer) for answer in answers if _state(answer) in STATES]
        for earlier, later in pairwise(known):
            on = STATES.index(later) >= STATES.index(earlier)
            notes.must(on, f"{name} after {earlier}", f"{earlier} or later", later)


@FOLLOWED.rule("results", "asked too early: HTTP 200 with the state; HTTP 400 with 400005 is known")
def a_result_asked_too_early_tells_the_state(life: Life, notes: Notes) -> None:
    """Both mean: ask again."""
    forms = {"request_id": exactly(life.request_id), "status": one_of(*STATES[:2])}
    said = set()
    for turn in life.before_the_end:
        answer = turn.result
        if (answer.status, answer.document.get("error_code")) == (400, 400005):
            said.add("HTTP 400 with error_code 400005")
        elif compare_json(notes, "result before the end", answer, 200):
            said.add("HTTP 200 with the state")
            known = {"created_at": TEXT}
            compare_fields(notes, "result before the end", answer.document, forms, known)
    seen = " and ".join(sorted(said)) or "not seen: the job was over at once"
    notes.observe("a result asked too early", "HTTP 200 with the state", seen)


@FOLLOWED.rule("results", "success is `completed` with the URL of the video in output.video")
def the_end_is_completed_with_a_video(life: Life, notes: Notes) -> None:
    """Other spellings are on record, but the double has this one."""
    document = life.last_result.document
    compare_json(notes, "result at the end", life.last_result, 200)
    notes.same("result at the end, request_id", life.request_id, document.get("request_id"))
    if not life.verdict:
        words = f"over after {len(life.rounds)} polls"
        notes.differ("result at the end", words, life.end.result)
    elif document.get("status") != "completed":
        shown = f"{document.get('status')!r}, error {document.get('error')!r}"
        notes.differ("result at the end, status", "'completed'", shown)
    if life.verdict in ("completed", "succeeded"):
        output = document.get("output")
        video = output.get("video") if isinstance(output, dict) else None
        notes.must(isinstance(video, str), "result at the end, output.video", "a URL", output)


@FOLLOWED.rule("status", "completed means over, not well: a job that failed reads completed there")
def the_status_of_what_is_over_is_completed(life: Life, notes: Notes) -> None:
    """Only the result tells success from failure, which has an `error` of any JSON."""
    if life.verdict not in ("completed", "succeeded", "failed"):
        return
    where = f"status of a job whose result is {life.verdict}"
    notes.same(where, "completed", life.last_status.document.get("status"))
    if life.verdict == "failed":
        has_error = "error" in life.last_result.document
        notes.must(has_error, "result of a failed job", "an error", life.last_result)


@FOLLOWED.rule("results", "created_at and finished_at tell when a job was accepted and was over")
def the_result_has_both_times(life: Life, notes: Notes) -> None:
    """Their format is nobody's word yet."""
    document = life.last_result.document
    if not life.verdict:
        return
    times = [document.get(name) for name in ("created_at", "finished_at")]
    for name, time in zip(("created_at", "finished_at"), times, strict=True):
        notes.must(time is not None, f"result at the end, {name}", "a time", "no such field")
    formats = " and ".join(sorted(set(map(_format, times))))
    notes.observe("time format", "9999-99-99T99:99:99.999Z (str)", formats)
    moments = [_moment(time) for time in times]
    if moments[0] is not None and moments[1] is not None:
        in_order = moments[0] <= moments[1]
        notes.must(in_order, "result at the end, finished_at", f"after {times[0]}", times[1])


@FOLLOWED.rule("results", "with ?include_cost=true a finished job's result has its cost in USD")
def the_cost_comes_when_it_is_asked_for(life: Life, notes: Notes) -> None:
    """Not without, and not before the end."""
    if not life.verdict:
        return
    cost = life.last_result.document.get("cost", "no such field")
    notes.must(NUMBER[1](cost), "result at the end, cost", NUMBER[0], cost)
    for where, answer in (
        ("result without asking for the cost", life.plain_result),
        *(("result before the end", turn.result) for turn in life.before_the_end),
    ):
        notes.must("cost" not in answer.document, where, "no cost", answer)
    as_estimated = NUMBER[1](cost) and abs(cost - float(life.estimate)) < 1e-9
    words = f"{cost} USD, estimated {life.estimate:f}"
    notes.observe(
        "what the generation cost", "as estimated", "as estimated" if as_estimated else words
    )


@FOLLOWED.rule("cancelling", "a job that is over: HTTP 202, completed beside not_cancellable")
def cancelling_after_the_end_changes_nothing(life: Life, notes: Notes) -> None:
    """Once and again, and the result stays."""
    if not life.verdict:
        return
    for answer in life.cancels:
        compare_cancel(notes, "cancel of a finished job", answer, life, "not_cancellable")
    before, after = life.end.result.document, life.last_result.document
    notes.same("result after a late cancel", before.get("status"), after.get("status"))


def compare_cancel(notes: Notes, where: str, answer: Answer, life: Life, *outcomes: str) -> None:
    """Note what is otherwise about the answer to a cancel."""
    if compare_json(notes, where, answer, 202):
        forms = {
            "request_id": exactly(life.request_id),
            "status": exactly("completed"),
            "outcome": one_of(*outcomes),
        }
        compare_fields(notes, where, answer.document, forms)


def _state(answer: Answer) -> str:
    return str(answer.document.get("status", "unreadable"))


def _format(time: object) -> str:
    """Spell a time's digits as 9s and tell its type, so that the format shows."""
    digits = "".join("9" if letter.isdigit() else letter for letter in str(time))
    return f"{digits} ({type(time).__name__})"


def _moment(time: object) -> float | None:
    if isinstance(time, int | float):
        return float(time)
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return None
