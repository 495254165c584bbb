"""What the simulator answers, and how the answer is to travel."""

import json
from collections.abc import Mapping
from typing import Final

import attrs

JSON_TYPE: Final = "application/json"
HTML_TYPE: Final = "text/html; charset=utf-8"


@attrs.frozen
class Reply:
    """One answer; a driver carries out `delay`, `drop`, `cut` and `bandwidth`.

    Attributes:
        status: the HTTP status.
        headers: with Content-Type and Content-Length; HEAD announces a length and has no body.
        body: the whole body, in bytes, even where only a part of it is to be sent.
        delay: seconds to wait before answering.
        drop: close the connection without any answer.
        cut: send so many bytes of the body, though Content-Length promises all, then close.
        bandwidth: bytes a second for the body; None: as fast as it goes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    delay: float = 0.0
    drop: bool = False
    cut: int | None = None
    bandwidth: float | None = None


DROPPED: Final = Reply(0, {}, b"", drop=True)


def in_json(status: int, document: Mapping[str, object], **headers: str) -> Reply:
    """Answer with a JSON document; `Retry_After="3"` becomes the header Retry-After."""
    body = json.dumps(document, ensure_ascii=False).encode()
    return _with_length(status, JSON_TYPE, body, headers)


def in_html(status: int, title: str) -> Reply:
    """Answer as a gateway in front of the service does: a page that is not the service's word."""
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return _with_length(status, HTML_TYPE, page.encode(), {})


def refusal(status: int, code: int, message: str, detail: object = None, **headers: str) -> Reply:
    """Answer in the service's error shape (wire.md, section 5)."""
    document: dict[str, object] = {"error_code": code, "error_message": message}
    if detail is not None:
        document["detail"] = detail
    return in_json(status, document, **headers)


def _with_length(status: int, kind: str, body: bytes, extra: Mapping[str, str]) -> Reply:
    headers = {name.replace("_", "-"): value for name, value in extra.items()}
    headers["Content-Type"] = kind
    headers["Content-Length"] = str(len(body))
    return Reply(status, headers, body)
