"""Python runs this first, with this folder on PYTHONPATH: it watches a command's imports.

When the module INTERRUPT_AT is looked for, the signal INTERRUPT_BY comes, and what it raises is
lost: in a weak reference's callback, as each import has one, or, with INTERRUPT_LOST=caught, in
code that catches everything. When the command's own file is looked for, it says so on stderr.
"""

import contextlib
import os
import signal
import sys
import weakref

_READY = "seedance_async.cli.app"


class _Lock:
    """What an import makes and drops."""


def _come(_: object = None) -> None:
    signal.raise_signal(int(os.environ.get("INTERRUPT_BY", signal.SIGINT)))
    for _second in range(2):  # Python looks for signals where a loop begins again
        pass


class _Watch:
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == _READY:
            os.write(2, b"ready\n")
        if name == os.environ.get("INTERRUPT_AT"):
            sys.meta_path.remove(self)
            os.write(2, b"interrupted in an import\n")
            self._lose()

    def _lose(self) -> None:
        if os.environ.get("INTERRUPT_LOST") == "caught":
            with contextlib.suppress(BaseException):
                _come()
        else:
            lock = _Lock()
            reference = weakref.ref(lock, _come)
            del lock, reference


sys.meta_path.insert(0, _Watch())
