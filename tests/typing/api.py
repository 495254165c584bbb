"""What types a user sees at the door: read by mypy in the gate, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import assert_never, assert_type

from seedance_async import (
    Cancelled,
    CancelResult,
    Done,
    Event,
    Failed,
    FileJournal,
    FixedPolling,
    InDoubt,
    InProgress,
    InQueue,
    Job,
    JobFinished,
    Journal,
    Lost,
    Outcome,
    Polling,
    ProFastTextToVideo,
    RawRequest,
    Request,
    Session,
    State,
    Statistics,
    Succeeded,
    TimedOut,
    build_request,
)
from seedance_async.journal import SilentJournal
from seedance_async.simulator import Simulator
from seedance_async.testing import SimulatedTransport
from seedance_async.transport import Transport


async def one_job(session: Session, request: ProFastTextToVideo) -> None:
    """Submit, follow, await, download."""
    job = await session.submit(request, tag="fox")
    assert_type(job, Job)
    assert_type(job.request_id, str)
    assert_type(job.status, State | None)
    assert_type(job.outcome, Outcome | None)
    assert_type(job.updates(), AsyncIterator[State])
    async for update in job.updates(queue_position=True):
        assert_type(update, State)
    assert_type(await job, Succeeded)
    assert_type(await job.wait(), Outcome)
    assert_type(await job.cancel(), CancelResult)
    assert_type(await session.generate(request, on_update=print), Succeeded)
    assert_type(await session.fetch(job.request_id), State)
    assert_type(session.attach(job.request_id), Job)
    assert_type(await session.download(await job, "fox.mp4"), Path)
    assert_type(session.statistics(), Statistics)


async def lifetime() -> None:
    """`async with` and `open()` give the session itself."""
    async with Session() as session:
        assert_type(session, Session)
    assert_type(await Session("token").open(), Session)


def outcome_in_words(outcome: Outcome) -> str:
    """The union is closed: whoever handles all six needs no default."""
    match outcome:
        case Succeeded(video_url=url, cost_usd=cost):
            assert_type(url, str)
            assert_type(cost, float | None)
            return url
        case Failed(error=error, request_id=request_id):
            assert_type(request_id, str | None)
            return error.message
        case Cancelled(request_id=request_id):
            assert_type(request_id, str)
            return "cancelled"
        case TimedOut(reason=reason, last_seen=last_seen):
            assert_type(last_seen, InQueue | InProgress | None)
            return reason
        case Lost(error=error):
            return error.message
        case InDoubt(candidate_id=candidate_id):
            assert_type(candidate_id, str | None)
            return "in doubt"
        case _:
            assert_never(outcome)


def state_in_words(state: State) -> str:
    """A state is a status or an outcome, and `isinstance` tells them apart."""
    if isinstance(state, Outcome):
        return outcome_in_words(state)
    match state:
        case InQueue(position=position):
            assert_type(position, int | None)
            return "queued"
        case InProgress(reported=reported):
            assert_type(reported, str | None)
            return "running"
        case _:
            assert_never(state)


def cancel_in_words(result: CancelResult) -> str:
    """Three answers, no fourth."""
    match result:
        case CancelResult.CANCELLED:
            return "cancelled"
        case CancelResult.NOT_CANCELLABLE:
            return "runs on"
        case CancelResult.UNKNOWN:
            return "who knows"
        case _:
            assert_never(result)


def key_of(request: ProFastTextToVideo) -> str:
    """A key may read the fields of the request that it is given."""
    return request.text


async def fan_out(session: Session, requests: list[ProFastTextToVideo]) -> None:
    """The key's type and the request's come back with each result; without a key it is the index.

    The input may be lazy, asynchronous, and of any class that is a `Request`.
    """
    async with session.map(requests) as plain:
        async for done in plain:
            assert_type(done, Done[ProFastTextToVideo, int])
            assert_type(done.index, int)
            assert_type(done.outcome, Outcome)
            assert_type(done.request.text, str)
    async with session.map(requests, key=key_of, ordered=True) as named:
        async for by_text in named:
            assert_type(by_text.key, str)
            assert_type(by_text.request, ProFastTextToVideo)
    async with session.map(mixed(), key=lambda request: request.model_id) as lazy:
        async for any_kind in lazy:
            assert_type(any_kind, Done[Request, str])


async def mixed() -> AsyncIterator[Request]:
    yield ProFastTextToVideo(text="A red fox")
    yield RawRequest("bytedance/seedance-2.0/pro", {"prompt": "A red fox"})
    yield build_request("lite", {"prompt": "A red fox", "first_frame_image_url": "https://x.y/z"})


def on_event(event: Event) -> None:
    """Events are a closed union too."""
    if isinstance(event, JobFinished):
        assert_type(event.outcome, Outcome)


class EveryMinute:
    """A policy of one's own needs no base class."""

    def schedule(self) -> FixedPolling:
        return FixedPolling(60)


async def protocols() -> None:
    """What ships satisfies the protocols it stands for."""
    journals: list[Journal] = [FileJournal("jobs.jsonl"), SilentJournal()]
    policies: list[Polling] = [EveryMinute(), FixedPolling(2)]
    transport: Transport = SimulatedTransport(Simulator())
    Session(
        journal=journals[0],
        polling=policies[0],
        on_event=on_event,
        on_abort="detach",
        transport=transport,
    )


async def what_mypy_must_refuse(session: Session, outcome: Outcome) -> None:
    """An ignore that is not needed is an error, so each of these lines is one."""
    Session(on_abort="explode")  # type: ignore[arg-type]
    Session(max_in_flight="4")  # type: ignore[arg-type]
    await session.submit("A red fox")  # type: ignore[arg-type]
    session.map(["A red fox"])  # type: ignore[type-var]
    print(outcome.video_url)  # type: ignore[union-attr]
    match outcome:
        case Succeeded():
            pass
        case _:
            assert_never(outcome)  # type: ignore[arg-type]
