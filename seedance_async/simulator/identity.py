"""The names of what was asked for and accepted: they follow from the seed and the request."""

import hashlib
import uuid


def submission_name(model_id: str, body: bytes) -> str:
    """Name a submission by what it asks for, as it was spelt."""
    return hashlib.blake2b(model_id.encode() + b"\n" + body, digest_size=6).hexdigest()


def request_id(simulator: str, job_name: str) -> str:
    """Give a job its id."""
    digest = hashlib.blake2b(f"{simulator}\nid\n{job_name}".encode(), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))


def video_paths(request_id: str, wall_now: float) -> tuple[str, str]:
    """Name a job's files as the real ones are named, with an escape to be sent as it is."""
    stem = f"/videos/{request_id}/output/{request_id[:4]}_{wall_now:.0f}_{request_id[-8:]}"
    return f"{stem}%3D.mp4", f"{stem}_2%3D.mp4"
