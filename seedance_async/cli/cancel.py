"""`cancel`: one attempt to cancel a job."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from seedance_async.cli.connection import find_service
from seedance_async.cli.exits import CommandError, Exit
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.terminal import print_json
from seedance_async.jobs import Cancelled, CancelResult, Failed, Lost, Succeeded

__all__ = ["cancel"]

_WORDS = {
    CancelResult.CANCELLED: "cancelled",
    CancelResult.NOT_CANCELLABLE: "not cancellable: in progress or over; it may be billed",
    CancelResult.UNKNOWN: "unknown: no clear answer in time. `status` tells, `cancel` tries again",
}
_CODES = {
    CancelResult.CANCELLED: Exit.OK,
    CancelResult.NOT_CANCELLABLE: Exit.FAILED,
    CancelResult.UNKNOWN: Exit.AGAIN,
}


def cancel(
    request_id: Annotated[str, Parameter(help="The job's id.")],
    /,
    *,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Try to cancel a job that still waits in the queue. May be repeated."""
    reporting.start()
    result = asyncio.run(_cancel(request_id))
    if reporting.json:
        print_json({"request_id": request_id, "result": result.value})
    else:
        print(f"job {request_id}: {_WORDS[result]}")
    return _CODES[result]


async def _cancel(request_id: str) -> CancelResult:
    async with find_service().session() as session:
        result = await session.attach(request_id).cancel()
        if result is not CancelResult.UNKNOWN:
            return result
        # One look says why: a refused token, an unknown id and a dead service raise here.
        match await session.fetch(request_id):
            case Lost(error=error):
                raise CommandError(
                    f"{request_id} is not known to the service: {error.message}", Exit.FAILED
                )
            case Cancelled():
                return CancelResult.CANCELLED
            case Succeeded() | Failed():
                return CancelResult.NOT_CANCELLABLE
        return result
