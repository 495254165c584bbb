"""How long a job is waited for, and how often it is asked after."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
from cyclopts import Group, Parameter

from seedance_async.cli.reporting import check_positive

if TYPE_CHECKING:
    from seedance_async.history import Lasted
    from seedance_async.polling import Polling

__all__ = ["NETWORK", "USUAL", "Patience", "check_times"]

NETWORK: Final = 900.0
"""Seconds for which a lost network may stay lost before a long run stops submitting."""

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
            help="Seconds between two polls; else as learned from how long jobs took.",
        ),
    ] = None
    no_history: Annotated[
        bool,
        Parameter(
            group=_GROUP,
            negative="",
            help="Neither use nor note in your state directory how long jobs took.",
        ),
    ] = False

    def check(self) -> None:
        """Refuse times that cannot be.

        Raises:
            CommandError: One is not above zero.
        """
        check_times(self.job_timeout, self.poll_interval)

    def durations(self, base_url: str | None) -> "Sequence[Lasted]":
        """Return how long jobs took in earlier runs, unless that is not to be used. Blocks."""
        from seedance_async.cli.remembered import durations_of

        return [] if self.no_history else durations_of(base_url)

    def session_options(
        self, default: "Polling | None" = None, *, base_url: str | None = None
    ) -> dict[str, Any]:
        """Return a session's arguments.

        Args:
            default: Polls where no interval is given; None learns.
            base_url: The service whose durations are remembered; None remembers nothing.
        """
        from seedance_async.cli.remembered import history_file
        from seedance_async.polling import FixedPolling, LearnedPolling

        history = None if base_url is None or self.no_history else history_file(base_url)
        if self.poll_interval is not None:
            default = FixedPolling(self.poll_interval)
        return {
            "job_timeout": self.job_timeout,
            "polling": default or LearnedPolling(history=history),
        }


USUAL = Patience()
"""The default of every command."""


def check_times(job_timeout: float, poll_interval: float | None) -> None:
    """Refuse times that cannot be.

    Raises:
        CommandError: One is not above zero.
    """
    check_positive("--job-timeout", job_timeout)
    if poll_interval is not None:
        check_positive("--poll-interval", poll_interval)
