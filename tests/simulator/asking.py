"""A caller that speaks to a simulator in plain values, as these tests need it."""

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from seedance_async.simulator import Reply, Simulator

TOKEN: Final = "simulator-token"
HEADERS: Final = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}

FAST: Final = "bytedance/seedance-1-0/pro/fast/text-to-video"
LITE: Final = "bytedance/seedance-1-0/lite/image-to-video"
PRO: Final = "bytedance/seedance-v1.5-pro/image-to-video"

FOX: Final = {"text": "A red fox crosses a frozen lake", "duration": 5}
LATER: Final = 100_000.0
"""Seconds after which every job of a test is over."""


@attrs.define
class Asking:
    """One simulator and the time of the next request, which tests set as they please."""

    simulator: Simulator
    now: float = 0.0

    def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        sent = HEADERS if headers is None else headers
        return self.simulator.receive(method, target, sent, body, self.now)

    def submit(self, document: object = FOX, model: str = FAST) -> Reply:
        return self.send("POST", f"/v1/models/{model}", json.dumps(document).encode())

    def accept(self, document: object = FOX, model: str = FAST) -> str:
        """Submit, and read the id from the books: the answer may have been spoilt."""
        before = len(self.simulator.books.accepted)
        reply = self.submit(document, model)
        entries = self.simulator.books.accepted
        assert len(entries) == before + 1, reply
        return entries[-1].request_id

    def status(self, request_id: str) -> Reply:
        return self.send("GET", f"/v1/requests/{request_id}/status")

    def result(self, request_id: str, query: str = "") -> Reply:
        return self.send("GET", f"/v1/requests/{request_id}/result{query}")

    def cancel(self, request_id: str) -> Reply:
        return self.send("POST", f"/v1/requests/{request_id}/cancel")

    def video_path(self, request_id: str) -> str:
        """Return the path of a finished job's video."""
        output = read(self.result(request_id))["output"]
        url = output["video"] if "video" in output else output["videos"][0]
        assert isinstance(url, str)
        return url.removeprefix(self.simulator.public_url)


def read(reply: Reply) -> dict[str, Any]:
    """Read a JSON answer that has arrived whole."""
    assert reply.cut is None
    assert not reply.drop
    assert reply.headers["Content-Length"] == str(len(reply.body))
    document = json.loads(reply.body)
    assert isinstance(document, dict)
    return document


def code(reply: Reply) -> tuple[int, int]:
    """Return the HTTP status and the error code of a refusal."""
    return reply.status, read(reply)["error_code"]
