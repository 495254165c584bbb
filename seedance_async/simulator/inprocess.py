"""The driver without a network: requests go straight to the simulator."""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from .core import Simulator
from .reply import Reply


class ConnectionDropped(Exception):
    """The connection closed before a whole answer had come.

    Attributes:
        sent: whether the request had left; False only where nothing listened.
    """

    def __init__(self, *, sent: bool) -> None:
        super().__init__(
            "the simulator closed the connection" if sent else "nothing listens for a while"
        )
        self.sent: Final = sent


class InProcess:
    """Carries requests to a simulator on the running loop's clock, virtual or real."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator: Final = simulator

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Send one request and return the answer when its time has come.

        A cancellation while the answer is delayed changes nothing at the simulator: it had the
        request. Images on loopback are not fetched, only their URLs are checked.

        Args:
            method: such as GET.
            url: a full URL, of which the origin is ignored, or path and query.
            headers: names in any case.
            body: the whole body.

        Returns:
            The whole answer; that of a video may have `cut`: the connection closes after so
            many bytes of the body.

        Raises:
            ConnectionDropped: no whole answer came.
        """
        loop = asyncio.get_running_loop()
        self.simulator.advance(loop.time())
        if self.simulator.silent(loop.time()):
            raise ConnectionDropped(sent=False)
        reply = self.simulator.receive(method, _target(url), headers or {}, body, loop.time())
        seconds = reply.delay
        if reply.bandwidth is not None:
            seconds += len(reply.body) / reply.bandwidth
        await asyncio.sleep(seconds)
        cut_answer = reply.cut is not None and reply.headers["Content-Type"] != "video/mp4"
        if reply.drop or cut_answer:
            raise ConnectionDropped(sent=True)
        return reply


def _target(url: str) -> str:
    """Return path and query without unquoting or normalising anything."""
    if url.startswith("/"):
        return url
    parts = urlsplit(url)
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path
