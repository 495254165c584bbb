"""`status`: one look at a job."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from seedance_async.cli.connection import find_service
from seedance_async.cli.exits import Exit
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.runner import run_async
from seedance_async.cli.terminal import print_json
from seedance_async.cli.words import describe, state_json
from seedance_async.jobs import InQueue, Lost, Outcome, State

__all__ = ["status"]

_POSITION_SECONDS = 10.0
"""How long to wait for the place in the queue, which is a nicety."""


def status(
    request_id: Annotated[str, Parameter(help="The job's id.")],
    /,
    *,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Say what a job is doing, and at which place in the queue. Reads only."""
    reporting.start()
    state = run_async(_look(request_id))
    if reporting.json:
        print_json(state_json(request_id, state))
    else:
        print(describe(state))
    return Exit.FAILED if isinstance(state, Lost) else Exit.OK


async def _look(request_id: str) -> State:
    async with find_service().session() as session:
        state = await session.fetch(request_id)
        if not isinstance(state, InQueue):
            return state
        # A result never tells the place; a tracked job asks for it.
        job = session.attach(request_id)
        try:
            async with asyncio.timeout(_POSITION_SECONDS):
                async for update in job.updates(queue_position=True):
                    told = not isinstance(update, InQueue) or update.position is not None
                    return update if told and not isinstance(update, Outcome) else state
        except TimeoutError:
            pass
        return state
