"""Consent: nothing is paid for unless somebody said so."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, TextIO

import attrs
from cyclopts import Group, Parameter

from seedance_async.cli.dropped import raise_dropped
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


def ask(what: str, *, stdin_is_taken: bool = False, free: str = "add --simulate") -> None:
    """Ask on the terminal whether to spend.

    Args:
        what: What for, and how much.
        stdin_is_taken: Standard input is data, so the terminal itself is asked.
        free: How to try it without cost.

    Raises:
        CommandError: The answer is no, or nobody can answer.
        KeyboardInterrupt: It is interrupted, or was and Python dropped it.
    """
    tell(what)
    with ExitStack() as stack:
        source: TextIO | None = sys.stdin
        if stdin_is_taken:
            source = _open_terminal(stack)
        if source is None or not (source.isatty() and sys.stderr.isatty()):
            raise CommandError(
                f"this would spend money and nobody can be asked: add --yes to spend, or "
                f"{free} to try it without cost. Nothing was sent."
            )
        console().print("Continue? \\[y/N] ", end="", style="bold", highlight=False)
        sys.stderr.flush()
        raise_dropped()  # whoever has interrupted it waits for the end, not for a question
        if source.readline().strip().lower() not in {"y", "yes"}:
            raise CommandError("not confirmed: nothing was sent, nothing is paid.")


def _open_terminal(stack: ExitStack) -> TextIO | None:
    """Open the terminal that the process belongs to; None if there is none."""
    name = "CON" if sys.platform == "win32" else "/dev/tty"
    try:
        return stack.enter_context(Path(name).open(encoding="utf-8", errors="replace"))
    except OSError:
        return None
