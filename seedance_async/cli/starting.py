"""An interrupt while the command line starts: leave at once, for nothing is paid yet."""

from __future__ import annotations

import os
from contextlib import suppress
from types import FrameType

from seedance_async.cli.takeover import SIGNALS, Takeover

__all__ = ["Starting"]


class Starting(Takeover):
    """Leaves at the first signal, inside the block: while there is nothing to close or to lose.

    Most of the start goes into imports. A KeyboardInterrupt that comes up in one of Python's own
    callbacks there is printed and ignored; the command would go on, and pay.
    """

    def __init__(self) -> None:
        super().__init__(*SIGNALS)

    def _take(self, number: int, frame: FrameType | None) -> None:
        del frame
        with suppress(OSError):  # whoever read it has gone
            os.write(2, b"interrupted: nothing was paid\n")
        os._exit(128 + number)
