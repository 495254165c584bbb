"""Where a command's session goes: to the service, or to a simulator embedded in the process."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from seedance_async.cli.exits import CommandError
from seedance_async.credentials import Token, find_token, resolve_base_url
from seedance_async.errors import CredentialsError

if TYPE_CHECKING:
    from seedance_async.events import Event
    from seedance_async.journal import Journal
    from seedance_async.polling import BackoffPolling
    from seedance_async.session import Session
    from seedance_async.simulator import Simulator

__all__ = ["Service", "embed_simulator", "find_base_url", "find_service", "scaled_polling"]


@attrs.frozen
class Service:
    """The service and the token for it.

    Attributes:
        base_url: Without a slash at its end.
        token: Shows itself to nobody.
    """

    base_url: str
    token: Token

    def session(
        self,
        *,
        journal: Journal | None = None,
        on_event: Callable[[Event], object] | None = None,
        **options: Any,
    ) -> Session:
        """Make a session that is left without waiting: what still runs then is detached."""
        from seedance_async.session import Session

        return Session(
            self.token.reveal(),
            base_url=self.base_url,
            on_abort="detach",
            exit_timeout=0.0,
            journal=journal,
            on_event=on_event,
            **options,
        )


def find_base_url() -> str:
    """Return the base URL.

    Raises:
        CommandError: The environment's is none that a token may be sent to.
    """
    try:
        return resolve_base_url(None, os.environ)
    except CredentialsError as error:
        raise CommandError(str(error)) from error


def find_service() -> Service:
    """Return where the environment says to go.

    Raises:
        CommandError: No usable base URL.
        CredentialsError: No usable token.
    """
    base_url = find_base_url()
    try:
        return Service(base_url, find_token(None, os.environ, Path.home()))
    except CredentialsError as error:
        raise CredentialsError(
            f"{error} To try without a token and without cost, add --simulate to `generate` or "
            f"`batch`, or run `seedance-async demo`."
        ) from error


@asynccontextmanager
async def embed_simulator(simulator: Simulator) -> AsyncIterator[Service]:
    """Serve a simulator inside the block; nothing of it outlives the block."""
    from seedance_async.simulator.web import serve

    async with serve(simulator) as server:
        token = Token(simulator.token or "simulator-token", "the embedded simulator")
        yield Service(server.base_url, token)


def scaled_polling(speed: float) -> BackoffPolling:
    """Poll as often, measured in a simulated job's time, as a real job is polled."""
    from seedance_async.polling import BackoffPolling

    return BackoffPolling(initial=max(0.05, 2 / speed), maximum=max(0.1, 5 / speed))
