"""All behaviours at once: one's trouble is its own."""

from __future__ import annotations

import contextlib
from typing import Any

from seedance_async import (
    ApiError,
    AuthenticationError,
    Failed,
    FileJournal,
    InDoubt,
    InsufficientBalanceError,
    Outcome,
    Request,
    SubmissionInDoubtError,
    SubmittingStoppedError,
    TimedOut,
    errors,
)

from .meeting import Meeting, Row, Stage, ask
from .poll_rows import POLL_ROWS
from .submit_rows import SUBMIT_ROWS

ROWS = {row.word: row for row in [*SUBMIT_ROWS, *POLL_ROWS]}


def _fits(row: Row, outcome: Outcome) -> bool:
    """Tell whether an outcome is what `map` makes of the row's end."""
    if isinstance(outcome, InDoubt):
        return SubmissionInDoubtError in row.ends
    if isinstance(outcome, row.ends):
        return True
    kinds = tuple(end for end in row.ends if issubclass(end, ApiError))
    if isinstance(outcome, Failed):  # refused
        return outcome.request_id is None and issubclass(getattr(errors, outcome.error.kind), kinds)
    return isinstance(outcome, TimedOut) and bool(kinds) and row.accepted == 1  # denied


async def _map_all(meeting: Meeting, requests: dict[str, Request]) -> dict[str, Outcome]:
    """Map them; where the account's trouble stops submitting, reopen and go on with the rest."""
    ends: dict[str, Outcome] = {}
    names = {id(request): word for word, request in requests.items()}
    while left := [request for word, request in requests.items() if word not in ends]:
        meeting.session.reopen()
        with contextlib.suppress(SubmittingStoppedError):
            async with meeting.session.map(left, key=lambda r: names[id(r)]) as results:
                async for done in results:
                    meeting.stage.saw(done)
                    assert done.key not in ends, "yielded twice"
                    ends[done.key] = done.outcome
    return ends


def _word(name: str) -> str:
    return name.partition(" ")[0].removeprefix("hostile/")


def _assert_books(meeting: Meeting, ends: dict[str, Outcome]) -> None:
    """The server's books, the journal and the outcomes agree."""
    posts = {_word(name): count for name, count in meeting.server.posts.items()}
    assert posts == {word: row.posts for word, row in ROWS.items()}
    accepted = {_word(name): ids for name, ids in meeting.server.accepted.items()}
    counts = {word: len(accepted.get(word, ())) for word in ROWS}
    assert counts == {word: row.accepted for word, row in ROWS.items()}
    assert isinstance(meeting.journal, FileJournal)
    entries = meeting.journal.entries()
    sure = [ids for word, ids in accepted.items() if not isinstance(ends[word], InDoubt)]
    assert {e.request_id for e in entries if e.request_id} == {one for ids in sure for one in ids}
    runs_on = {e.request_id for e in meeting.journal.unfinished() if e.state != "in_doubt"}
    detached = [end.request_id for end in ends.values() if isinstance(end, TimedOut)]
    assert runs_on == set(detached), "what may still run is to be attached again"
    doubts = [end for end in ends.values() if isinstance(end, InDoubt)]
    assert sum(entry.state == "in_doubt" for entry in entries) == len(doubts)


def test_one_jobs_trouble_is_its_own(stage: Stage) -> None:
    """Each job ends as it does alone; each id is kept; none is sent or accepted twice."""

    async def scene() -> None:
        plans = {word: row.plan for word, row in ROWS.items()}
        times = {"poll_timeout": 1.0, "submit_timeout": 1.5}
        options: dict[str, Any] = {"max_in_flight": 20, "job_timeout": 2.0, "durable": True}
        async with stage.meet(plans, times=times, **options) as meeting:
            meeting.release_the_brake()
            # those that stop submitting come first, as each time all that runs is waited for
            words = sorted(ROWS, key=lambda word: not _stops(ROWS[word]))
            requests = {word: ask(word, early=ROWS[word].plan.early) for word in words}
            ends = await _map_all(meeting, requests)
            wrong = {word: end for word, end in ends.items() if not _fits(ROWS[word], end)}
            assert not wrong
            _assert_books(meeting, ends)

    stage.run(scene, within=30)


def _stops(row: Row) -> bool:
    return bool({AuthenticationError, InsufficientBalanceError} & set(row.ends))
