"""Which request is which: methods and paths of the Model API (wire.md)."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import attrs

from .books import RequestKind

_MODELS: Final = "/v1/models"
_REQUESTS: Final = "/v1/requests/"
_VIDEOS: Final = "/videos/"
_BOOKS: Final = "/simulator/books"
"""No part of the Model API: what the double wrote down, for tests in any language."""

_REQUEST_ENDS: Final[Mapping[str, tuple[RequestKind, str]]] = {
    "status": ("status", "GET"),
    "result": ("result", "GET"),
    "cancel": ("cancel", "POST"),
}


@attrs.frozen
class Route:
    """What a request asks for.

    Attributes:
        kind: the endpoint.
        subject: a model id, a request id, or a video's path exactly as it was sent.
        query: the query's fields.
        allowed: whether the endpoint knows the method.
    """

    kind: RequestKind
    subject: str
    query: Mapping[str, str]
    allowed: bool = True


def route(method: str, target: str) -> Route:
    """Read a request line; nothing is unquoted, so a client must send what it was given."""
    path, _, rest = target.partition("?")
    query = dict(parse_qsl(rest, keep_blank_values=True)) if rest else {}
    if path.startswith(_REQUESTS):
        request_id, _, end = path[len(_REQUESTS) :].partition("/")
        if end in _REQUEST_ENDS:
            kind, verb = _REQUEST_ENDS[end]
            return Route(kind, request_id, query, method == verb)
    elif path.startswith(_VIDEOS):
        return Route("video", path, query, method in ("GET", "HEAD"))
    elif path == _MODELS:
        return Route("catalog", "", query, method == "GET")
    elif path.startswith(_MODELS + "/"):
        model_id = path[len(_MODELS) + 1 :]
        if method == "POST":
            return Route("submit", model_id, query)
        return Route("catalog", model_id, query, method == "GET")
    elif path == _BOOKS and method == "GET":
        return Route("books", "", query)
    return Route("unknown", path, query)
