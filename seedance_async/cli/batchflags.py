"""The flags of `batch` beside money and patience, in groups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Group, Parameter

from seedance_async.cli.exits import CommandError
from seedance_async.cli.keyfile import named_keys
from seedance_async.cli.reporting import check_positive

if TYPE_CHECKING:
    from seedance_async.batch.edges import RowState
    from seedance_async.download import DownloadRules

__all__ = [
    "ALL_ROWS",
    "ALL_VIDEOS",
    "USUAL_PACE",
    "WITH_PAGE",
    "Choice",
    "Downloading",
    "Ending",
    "Pace",
    "split",
]

_ROWS = Group("Rows")
_PACE = Group("Pace")
_DOWNLOADS = Group("Downloads")


@attrs.frozen(kw_only=True)
class Choice:
    """Which rows are read and submitted."""

    model: Annotated[
        str | None,
        Parameter(group=_ROWS, help="For rows that name none: a short name or a full id."),
    ] = None
    limit: Annotated[
        int | None,
        Parameter(group=_ROWS, metavar="N", help="Submit the manifest's first N rows only."),
    ] = None
    only: Annotated[
        list[str] | None,
        Parameter(
            group=_ROWS,
            negative="",
            metavar="KEYS",
            help="Submit the rows with these keys only: a,b,c, or @FILE with a key a line; "
            "repeatable.",
        ),
    ] = None
    retry: Annotated[
        list[str] | None,
        Parameter(
            group=_ROWS,
            negative="",
            metavar="STATES",
            help="Another paid attempt for rows that are failed, cancelled or lost.",
        ),
    ] = None
    skip_invalid: Annotated[
        bool, Parameter(group=_ROWS, negative="", help="Go on without rows that break a rule.")
    ] = False
    ignore_columns: Annotated[
        list[str] | None,
        Parameter(
            group=_ROWS,
            negative="",
            metavar="NAMES",
            help="Columns that are no fields: notes,owner; repeatable.",
        ),
    ] = None
    check_images: Annotated[
        bool,
        Parameter(
            group=_ROWS,
            negative="",
            help="Look at the rows' images first and refuse what breaks the models' rules.",
        ),
    ] = False
    dry_run: Annotated[
        bool,
        Parameter(
            group=_ROWS, negative="", help="Say what a run would do; send and write nothing."
        ),
    ] = False

    def check(self) -> frozenset[RowState]:
        """Return the states to retry, or refuse what cannot be.

        Raises:
            CommandError: It names the flag.
        """
        if self.limit is not None:
            check_positive("--limit", self.limit)
        return _states(split(self.retry or ())) if self.retry is not None else frozenset()

    def keys(self) -> list[str] | None:
        """Return the only keys that count; None: all. Files of keys are read at each call.

        Raises:
            CommandError: There are none, or a file cannot be read.
        """
        keys = None if self.only is None else named_keys(self.only)
        if keys == []:
            raise CommandError("--only needs keys: `results DIR` writes them down")
        return keys


ALL_ROWS = Choice()
"""The default of every batch."""


@attrs.frozen(kw_only=True)
class Pace:
    """How much is done at once."""

    max_in_flight: Annotated[
        int,
        Parameter(
            group=_PACE, metavar="N", show_default=True, help="Generations in flight at once."
        ),
    ] = 4
    requests_per_second: Annotated[
        float | None,
        Parameter(group=_PACE, metavar="N", help="Bounds all requests: submissions and polls."),
    ] = None
    max_in_doubt: Annotated[
        int,
        Parameter(
            group=_PACE,
            metavar="N",
            show_default=True,
            help="Submissions in doubt in a row that stop submitting.",
        ),
    ] = 3

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            CommandError: It names the flag.
        """
        check_positive("--max-in-flight", self.max_in_flight)
        check_positive("--max-in-doubt", self.max_in_doubt)
        if self.requests_per_second is not None:
            check_positive("--requests-per-second", self.requests_per_second)

    def session_options(self) -> dict[str, int | float | None]:
        """Return a session's arguments."""
        return attrs.asdict(self)


USUAL_PACE = Pace()
"""The default of every batch."""


@attrs.frozen(kw_only=True)
class Downloading:
    """Which videos come to the disk."""

    download: Annotated[
        bool,
        Parameter(
            name="--download",
            group=_DOWNLOADS,
            help="Whether videos come to DIR/videos; without, a row is over with its URL.",
        ),
    ] = True
    retry_downloads: Annotated[
        bool,
        Parameter(
            group=_DOWNLOADS,
            negative="",
            help="Try downloads again that were given up, and fetch deleted videos again.",
        ),
    ] = False
    allow_host: Annotated[
        list[str] | None,
        Parameter(
            group=_DOWNLOADS,
            negative="",
            metavar="HOST",
            help="A further host that videos may come from; repeatable.",
        ),
    ] = None

    def check(self) -> None:
        """Refuse what contradicts itself, and what is no host.

        Raises:
            CommandError: It names the flag.
        """
        if self.retry_downloads and not self.download:
            raise CommandError("--retry-downloads and --no-download contradict each other")
        for host in self.allow_host or ():
            if not host or any(sign in host for sign in "/:@? \t"):
                raise CommandError(
                    f"--allow-host must be a host's name such as videos.example.com (given: {host})"
                )

    def rules(self) -> DownloadRules:
        """Return what a download may do."""
        from seedance_async.download import DownloadRules

        return DownloadRules(allow_hosts=tuple(self.allow_host or ()))


ALL_VIDEOS = Downloading()
"""The default of every batch."""


@attrs.frozen(kw_only=True)
class Ending:
    """What a run leaves behind beside videos, results and ledger."""

    report: Annotated[
        bool,
        Parameter(
            name="--report", group=_DOWNLOADS, help="Whether the end writes DIR/report.html."
        ),
    ] = True


WITH_PAGE = Ending()
"""The default of every batch."""


def split(given: Iterable[str]) -> list[str]:
    """Return the parts of comma-separated lists, without blanks around them and empty ones."""
    parts = (part.strip() for text in given for part in text.split(","))
    return [part for part in parts if part]


def _states(words: list[str]) -> frozenset[RowState]:
    from seedance_async.batch.edges import RowState, check_retry
    from seedance_async.errors import LedgerError

    known = {state.value for state in RowState}
    if wrong := [word for word in words if word not in known]:
        raise CommandError(
            f"--retry {','.join(wrong)}: no such state; failed, cancelled and lost can be retried"
        )
    if not words:
        raise CommandError("--retry needs states: failed, cancelled or lost")
    states = frozenset(map(RowState, words))
    try:
        check_retry(states)
    except LedgerError as error:
        raise CommandError(f"--retry: {error}") from error
    return states
