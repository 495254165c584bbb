"""Taking signals over, and giving their former handlers back."""

from __future__ import annotations

import signal
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import Any, Final, Self

__all__ = ["CAME", "SIGNALS", "Takeover"]

SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")
"""By name, for Windows has no SIGHUP."""


CAME: Final[ContextVar[list[int]]] = ContextVar("came")
"""The signals that were taken from the command that runs, in their order."""


class Takeover:
    """Takes signals inside the block, in the main thread; a subclass says what they do.

    `signal.signal` works on all systems; a signal that was ignored before (nohup, a background
    job) stays ignored.
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for name in self._names:
            number = getattr(signal.Signals, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Let the former handlers have the signals again; may be repeated."""
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        CAME.get([]).append(number)
        self._take(number, frame)

    def _take(self, number: int, frame: FrameType | None) -> None:
        raise NotImplementedError
