"""Short times for a batch that meets a hostile server, in this process and in one of its own."""

from __future__ import annotations

from typing import Final

import attrs

from seedance_async import RetryPolicy, Session
from seedance_async.http import Limits

__all__ = ["ALONE", "POLL_INTERVAL", "RETRY", "TOGETHER", "Times"]

POLL_INTERVAL: Final = 0.01
RETRY: Final = RetryPolicy(initial=0.01, maximum=0.03, limited_initial=0.01, connect_patience=3.0)


@attrs.frozen(kw_only=True)
class Times:
    """How long things may take, in seconds; the names are those of a session's settings."""

    submit_timeout: float
    poll_timeout: float
    cancel_timeout: float
    lost_grace: float
    stall: float
    retry: RetryPolicy = RETRY

    def limits(self) -> Limits:
        """Return what connections may take."""
        return Limits(connect=0.5, stall=self.stall)

    def shorten(self, session: Session) -> None:
        """Let a session that is not open yet be as impatient as the tests are."""
        taken = attrs.asdict(self, recurse=False, filter=lambda field, _: field.name != "stall")
        session._settings = attrs.evolve(session._settings, **taken)


ALONE: Final = Times(
    submit_timeout=0.4, poll_timeout=0.3, cancel_timeout=0.3, lost_grace=0.4, stall=0.1
)
"""For one row, with nothing beside it that takes time."""

TOGETHER: Final = Times(
    submit_timeout=1.0, poll_timeout=1.0, cancel_timeout=0.5, lost_grace=0.8, stall=0.15
)
"""For a hundred rows at once, and a service in the same process."""
