"""The bodies of the service's answers about a job (wire.md, sections 1 to 4)."""

from collections.abc import Callable
from datetime import UTC, datetime

from .books import MICRO
from .job import Job, JobState
from .reply import Reply, in_json, refusal

Stamp = Callable[[float], str]
"""Turns seconds on the loop's clock into the ISO time of the service's clock."""


def stamp(epoch: float, seconds: float) -> str:
    """Spell a moment in UTC to the millisecond: `2026-01-01T00:00:12.345Z`."""
    moment = datetime.fromtimestamp(epoch + seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def accepted(job: Job, public_url: str) -> Reply:
    """Answer a submit."""
    document = {"request_id": job.request_id}
    if not job.fate.bare_acceptance:
        root = _root(job, public_url)
        document |= {f"{end}_url": f"{root}/{end}" for end in ("status", "result", "cancel")}
    return in_json(job.fate.accepted_status, document)


def status(job: Job, position: int | None, public_url: str) -> Reply:
    """Answer a status; here `completed` means over, whether it went well or not."""
    document: dict[str, object] = {"request_id": job.request_id, "status": _progress(job)}
    if position is not None:
        document["queue_position"] = position
    if job.state is JobState.RUNNING:
        document["instance_id"] = f"simulated-{job.ticket}"
    root = _root(job, public_url)
    document |= {"status_url": f"{root}/status", "result_url": f"{root}/result"}
    return in_json(200, document)


def result(job: Job, public_url: str, to_iso: Stamp, *, include_cost: bool) -> Reply:
    """Answer a result: the verdict, or where the job stands."""
    if not job.state.over and job.fate.not_ready_is_400:
        return refusal(400, 400005, "The request is not completed yet.")
    document: dict[str, object] = {"request_id": job.request_id, "status": _verdict(job)}
    if job.state is JobState.SUCCEEDED:
        document["output"] = _output(job, public_url)
    elif job.state is JobState.FAILED:
        document["error"] = job.fate.error
    if job.fate.tells_times:
        document["created_at"] = to_iso(job.accepted_at)
    if job.finished_at is not None:
        if job.fate.tells_times:
            document["finished_at"] = to_iso(job.finished_at)
        if include_cost and job.fate.tells_cost:
            document["cost"] = job.price / MICRO if job.state is JobState.SUCCEEDED else 0.0
    return in_json(200, document)


def cancelled(job: Job, *, in_time: bool) -> Reply:
    """Answer a cancel; the odd `completed` is the documentation's."""
    outcome = "cancelled" if in_time else "not_cancellable"
    document = {"request_id": job.request_id, "status": "completed", "outcome": outcome}
    return in_json(202, document)


def _root(job: Job, public_url: str) -> str:
    return f"{public_url}/v1/requests/{job.request_id}"


def _progress(job: Job) -> str:
    if job.state is JobState.RUNNING:
        return job.fate.in_flight_name
    return JobState.SUCCEEDED.value if job.state is JobState.FAILED else job.state.value


def _verdict(job: Job) -> str:
    if job.state is JobState.SUCCEEDED:
        return job.fate.success_name
    if job.state is JobState.CANCELLED:
        return job.fate.cancelled_name
    return job.state.value if job.state.over else _progress(job)


def _output(job: Job, public_url: str) -> dict[str, object]:
    if job.fate.without_video:
        return {}
    urls = [f"{public_url}{path}" for path in job.video_paths]
    return {"videos": urls} if job.fate.as_array else {"video": urls[0]}
