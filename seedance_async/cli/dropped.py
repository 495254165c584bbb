"""Interrupts that Python drops, kept until they can be heeded."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["Dropped", "raise_dropped"]


class Dropped:
    """Notes a KeyboardInterrupt that nobody will see, inside the block.

    One that comes up where Python cannot raise (a weak reference's callback, as each import has
    one, or a `__del__`) would only be printed, and what was to be interrupted would run on. All
    else that cannot be raised is shown as before.
    """

    def __init__(self) -> None:
        self.came = False
        self._before = sys.unraisablehook

    def __enter__(self) -> Self:
        self._before, sys.unraisablehook = sys.unraisablehook, self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        sys.unraisablehook = self._before

    def __call__(self, unraisable: UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            self.came = True
        else:
            self._before(unraisable)


def raise_dropped() -> None:
    """Do what an interrupt that Python dropped should have done.

    Raises:
        KeyboardInterrupt: There was one since the last call.
    """
    hook = sys.unraisablehook
    if isinstance(hook, Dropped) and hook.came:
        hook.came = False
        raise KeyboardInterrupt
