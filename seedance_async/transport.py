"""The seam to the network: what a session needs of it, so that a double can stand in.

`seedance_async.http` is the real one; `seedance_async.testing` has one without sockets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from seedance_async.bodies import Answer

__all__ = ["Stream", "Transport"]


class Stream(Protocol):
    """An open answer to a GET of a video."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, names in lower case."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes.

        Raises:
            TransportError: The connection broke or stalled, or the body is shorter than promised.
        """
        ...


class Transport(Protocol):
    """Sends requests to the base URL with the token, and fetches videos without it."""

    @property
    def base_url(self) -> str:
        """The service's address, without a slash at the end."""
        ...

    async def send(
        self, method: str, path: str, body: bytes | None = None, *, timeout: float
    ) -> Answer:
        """Send one request once and read the whole answer.

        Args:
            method: `GET` or `POST`.
            path: Begins with a slash; sent as it is.
            body: JSON, already encoded.
            timeout: Seconds for the whole exchange.

        Raises:
            TransportError: There was no answer; its `sent` is False only if surely nothing of
                the body left this machine. Cancelled, the exchange is given up where it stands.
        """
        ...

    def stream(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Stream]:
        """Open a GET of a video URL, without the token and without following redirects.

        Raises:
            TransportError: There was no answer.
        """
        ...

    async def aclose(self) -> None:
        """Close what this transport opened."""
        ...
