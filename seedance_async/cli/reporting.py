"""The flags that all commands share: how they tell what they do."""

import copy
import logging
import math
import sys
from typing import Annotated, TextIO

import attrs
from cyclopts import Parameter

from seedance_async.cli.exits import CommandError

__all__ = ["QUIET", "Reporting", "check_positive"]


@attrs.frozen(kw_only=True)
class Reporting:
    """How a command tells what it does."""

    json: Annotated[bool, Parameter(negative="", help="Print one JSON object on stdout.")] = False
    verbose: Annotated[
        int,
        Parameter(
            name=["--verbose", "-v"],
            count=True,
            show_default=False,
            help="Log to stderr; -vv logs every event.",
        ),
    ] = 0

    def start(self) -> None:
        """Let the package's log appear on stderr: errors only, unless more is asked for."""
        level = (logging.ERROR, logging.INFO, logging.DEBUG)[min(self.verbose, 2)]
        logger = logging.getLogger("seedance_async")
        logger.setLevel(level)
        logger.handlers = [_StderrHandler()]
        logger.propagate = False


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever stderr is at the time: a live display puts itself in its place."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        if record.exc_info and not logging.getLogger("seedance_async").isEnabledFor(logging.INFO):
            record = copy.copy(record)
            error = record.exc_info[1] if record.exc_info else None
            record.msg, record.args = f"{record.getMessage()} ({error}; -v tells more)", None
            record.exc_info = record.exc_text = None
        super().emit(record)


QUIET = Reporting()
"""The default of every command."""


def check_positive(flag: str, value: float) -> None:
    """Refuse a number that is not above zero.

    Raises:
        CommandError: It is not, or it is no finite number.
    """
    if not 0 < value < math.inf:
        raise CommandError(f"{flag} must be a number above 0 (given: {value:g})")
