"""The service's paths, built from ids; the URLs in its answers are not needed."""

from __future__ import annotations

import re

from seedance_async.errors import InvalidRequestError, Violation

__all__ = [
    "cancel_path",
    "check_request_id",
    "is_request_id",
    "model_path",
    "result_path",
    "status_path",
    "submit_path",
]

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def is_request_id(text: object) -> bool:
    """Tell whether `text` can stand as a request id in a URL (section 1)."""
    return isinstance(text, str) and _REQUEST_ID.fullmatch(text) is not None


def submit_path(model_id: str) -> str:
    """Return the path of a submission; the id's slashes stay raw segments (section 1)."""
    return f"/v1/models/{model_id}"


def model_path(model_id: str) -> str:
    """Return the path of a model in the catalog (section 8)."""
    return f"/v1/models/{model_id}"


def status_path(request_id: str) -> str:
    """Return the path of a job's status (section 2)."""
    return f"/v1/requests/{request_id}/status"


def result_path(request_id: str) -> str:
    """Return the path of a job's result, its cost included (section 3)."""
    return f"/v1/requests/{request_id}/result?include_cost=true"


def cancel_path(request_id: str) -> str:
    """Return the path that cancels a job (section 4)."""
    return f"/v1/requests/{request_id}/cancel"


def check_request_id(request_id: str) -> None:
    """Refuse what cannot be a request id.

    Raises:
        InvalidRequestError: It cannot.
    """
    if not is_request_id(request_id):
        rule = "must be a request id: 1 to 128 letters, digits, '-' or '_'"
        raise InvalidRequestError(
            [Violation("request_id", request_id, rule)], model_id="the service"
        )
