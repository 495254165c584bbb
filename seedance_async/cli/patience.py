"""How long a job is waited for, and how often it is asked after."""

from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Group, Parameter

from seedance_async.cli.reporting import check_positive

if TYPE_CHECKING:
    from seedance_async.polling import Polling

__all__ = ["USUAL", "Patience"]

_GROUP = Group("Waiting")


@attrs.frozen(kw_only=True)
class Patience:
    """How long a job is waited for, and how often it is asked after."""

    job_timeout: Annotated[
        float,
        Parameter(
            group=_GROUP,
            metavar="SECONDS",
            show_default=True,
            help="Seconds to wait; the job runs on then, and `wait` comes back to it.",
        ),
    ] = 1800.0
    poll_interval: Annotated[
        float | None,
        Parameter(
            group=_GROUP,
            metavar="SECONDS",
            help="Seconds between two polls; else 2, growing to 5.",
        ),
    ] = None

    def check(self) -> None:
        """Refuse times that cannot be.

        Raises:
            CommandError: One is not above zero.
        """
        check_positive("--job-timeout", self.job_timeout)
        if self.poll_interval is not None:
            check_positive("--poll-interval", self.poll_interval)

    def session_options(self, default: "Polling | None" = None) -> dict[str, Any]:
        """Return a session's arguments; `default` polls where no interval is given."""
        from seedance_async.polling import FixedPolling

        interval = self.poll_interval
        polling = default if interval is None else FixedPolling(interval)
        return {"job_timeout": self.job_timeout, "polling": polling}


USUAL = Patience()
"""The default of every command."""
