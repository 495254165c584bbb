"""The command as it was called, and the one that goes on after it. Pure but for `called`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final

import attrs

__all__ = ["GIVEN", "CommandLine"]

GIVEN: Final[ContextVar[tuple[str, ...]]] = ContextVar("given")
"""The arguments of the command that runs, which need not be those of the process."""

_NOT_AGAIN = ("--retry", "--retry-downloads", "--dry-run")
_LEAVE = ("--yes", "-y")
_JOINED = re.compile(r"-([vy]+)(o.*)?", re.DOTALL)
"""Short flags in one word, of which the last may have a value."""
_CHOICE = ("--only", "--limit")
_WITH_VALUE = ("--retry", *_CHOICE)


@attrs.frozen
class CommandLine:
    """The command as it was called.

    Attributes:
        arguments: What was given, without the program's name.
        in_full: The `batch` that it stands for, where it is another command; it takes more flags.
    """

    arguments: tuple[str, ...]
    in_full: tuple[str, ...] | None = None

    @classmethod
    def called(cls, in_full: tuple[str, ...] | None = None) -> CommandLine:
        """Return the command that runs."""
        return cls(GIVEN.get(), in_full)

    def with_flags(self, *flags: str) -> CommandLine:
        """Return the command with further flags, which stand before a `--` that ends them."""
        before, after = _parted(self.arguments)
        return attrs.evolve(self, arguments=(*before, *flags, *after))

    def simulated(self) -> CommandLine:
        """Return the command for a ledger of the simulator, which no other service goes on with."""
        given = {word.partition("=")[0] for word in _parted(self.arguments)[0]}
        if self.arguments[0] != "batch" or "--simulate" in given:
            return self
        return self.with_flags("--simulate")

    def asking(self) -> CommandLine:
        """Return the command without its leave to spend: for whoever copies it another day."""
        flags, places = _parted(self.arguments)
        kept = (word for word in map(_unagreed, flags) if word is not None)
        return attrs.evolve(self, arguments=(*kept, *places))

    def same(self) -> str:
        """Return the very command, for when nothing of it was done."""
        return _line(self.arguments)

    def again(self, *more: str, keep: str = "") -> str:
        """Return the command that goes on: the same, but for what asks for new attempts.

        With `--only` in `more`, those rows take the place of the rows that were chosen before;
        with `--dry-run`, no row is passed by without a word of what is wrong with it.
        What `keep` names stays nevertheless.
        """
        given = self.arguments if self.in_full is None or not more else self.in_full
        left_out = (
            *_NOT_AGAIN,
            *(_CHOICE if "--only" in more else ()),
            *(("--skip-invalid",) if "--dry-run" in more else ()),
        )
        flags, places = _parted(given)
        kept: list[str] = []
        waiting = iter(flags)
        for word in waiting:
            flag, is_joined, _ = word.partition("=")
            flag = flag.replace("_", "-")  # either is taken
            if flag not in left_out or flag == keep:
                kept.append(word)
            elif flag in _WITH_VALUE and not is_joined:
                next(waiting, None)
        return _line([*kept, *more, *places])


def _parted(arguments: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what may hold flags, and the `--` with what follows it, which is no flag."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end:]


def _unagreed(word: str) -> str | None:
    """Return a word without the leave to spend, also out of flags that are joined, as in `-vy`."""
    if word.partition("=")[0] in _LEAVE:
        return None
    joined = _JOINED.fullmatch(word)
    if joined is None:
        return word
    rest = joined[1].replace("y", "") + (joined[2] or "")
    return f"-{rest}" if rest else None


def _line(arguments: Sequence[str]) -> str:
    rows = " < ROWS.jsonl" if "-" in arguments else ""
    return shlex.join(["seedance-async", *arguments]) + rows
