"""Consent: nothing is paid for unless somebody said so."""

import sys
from typing import Annotated

import attrs
from cyclopts import Group, Parameter

from seedance_async.cli.exits import CommandError
from seedance_async.cli.reporting import check_positive
from seedance_async.cli.terminal import console, tell

__all__ = ["FREE", "Spending", "ask"]

_GROUP = Group("Money")


@attrs.frozen(kw_only=True)
class Spending:
    """Whether money may be spent, or none is needed."""

    yes: Annotated[
        bool,
        Parameter(
            name=["--yes", "-y"],
            negative="",
            group=_GROUP,
            help="Spend without asking; needed where nobody can answer.",
        ),
    ] = False
    simulate: Annotated[
        bool,
        Parameter(
            negative="",
            group=_GROUP,
            help="Use a simulator inside this process: no token, no money, a sample video.",
        ),
    ] = False
    speed: Annotated[
        float,
        Parameter(
            group=_GROUP,
            show_default=True,
            help="With --simulate: how many times faster than real jobs.",
        ),
    ] = 20.0

    def check(self) -> None:
        """Refuse a speed that cannot be.

        Raises:
            CommandError: It is not above zero.
        """
        check_positive("--speed", self.speed)


FREE = Spending()
"""The default of every command."""


def ask(what: str) -> None:
    """Ask on the terminal whether to spend.

    Raises:
        CommandError: The answer is no, or nobody can answer.
    """
    tell(what)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError(
            "this would spend money and nobody can be asked: add --yes to spend, or --simulate to "
            "try it without cost. Nothing was sent."
        )
    console().print("Continue? \\[y/N] ", end="", style="bold", highlight=False)
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("not confirmed: nothing was sent, nothing is paid.")
