"""`result`: how a job ended."""

from typing import Annotated, assert_never

from cyclopts import Parameter

from seedance_async.cli.connection import find_service
from seedance_async.cli.exits import Exit
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.runner import run_async
from seedance_async.cli.terminal import print_json, tell
from seedance_async.cli.words import describe, state_json
from seedance_async.jobs import (
    Cancelled,
    Failed,
    InDoubt,
    InProgress,
    InQueue,
    Lost,
    State,
    Succeeded,
    TimedOut,
)

__all__ = ["result"]


def result(
    request_id: Annotated[str, Parameter(help="The job's id.")],
    /,
    *,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Print a job's video URL if it is over; `wait` waits for it and downloads it. Reads only."""
    reporting.start()
    state = run_async(_fetch(request_id))
    if reporting.json:
        print_json(state_json(request_id, state))
    elif isinstance(state, Succeeded):
        print(state.video_url)
    if not isinstance(state, Succeeded):
        tell(f"job {request_id}: {describe(state)}")
    return _code(state)


async def _fetch(request_id: str) -> State:
    async with find_service().session() as session:
        return await session.fetch(request_id)


def _code(state: State) -> Exit:
    match state:
        case Succeeded():
            return Exit.OK
        case Failed() | Cancelled() | Lost():
            return Exit.FAILED
        case InQueue() | InProgress() | TimedOut():
            return Exit.AGAIN
        case InDoubt():
            return Exit.PERSON
        case _:
            assert_never(state)
