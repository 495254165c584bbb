"""Everything that a session shows of itself: log, reprs, errors, tracebacks, pickles, warnings."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import io
import logging
import pickle
import tempfile
import traceback
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

import attrs

import seedance_async

from .canary import Evidence

__all__ = ["watched"]

# aiohttp's own values hold the request's head; that none of our errors leads to them is shown by
# the errors themselves.
_OURS = ("seedance_async", "asyncio", "_asyncio")
_PUBLIC = {getattr(seedance_async, name) for name in seedance_async.__all__}
_LEFT_ALONE = (types.ModuleType, type, types.FunctionType, types.CodeType, types.FrameType)


class Watch(logging.Handler):
    """Keeps all log records as whoever formats them may see them, and what things show."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(logging.DEBUG)
        self.evidence = evidence
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(threadName)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record, with its arguments and its traceback."""
        self.evidence.add("log", self.format(record))
        self.evidence.add("log", f"{record.args!r} {vars(record)!r}")

    def shows(self, thing: object) -> None:
        """Keep what a value shows; of an error also its tracebacks and what led to it."""
        self.evidence.add("reprs", f"{thing!r}\n{thing}")
        if type(thing) in _PUBLIC:
            with suppress(TypeError, AttributeError, pickle.PicklingError):
                self.evidence.add("pickles", pickle.dumps(thing))
            if attrs.has(type(thing)):
                self.evidence.add("reprs", repr(attrs.asdict(cast("attrs.AttrsInstance", thing))))
        if isinstance(thing, BaseException):
            self._tracebacks(thing)

    def _tracebacks(self, error: BaseException) -> None:
        chain: BaseException | None = error
        while chain is not None:
            self.evidence.add("errors", f"{chain!r}\n{chain}\n{vars(chain)!r}\n{chain.args!r}")
            told = traceback.TracebackException.from_exception(chain, capture_locals=True)
            others = [frame for frame in told.stack if "/tests/" not in frame.filename]
            lines = traceback.StackSummary.from_list(others).format()
            self.evidence.add("tracebacks with locals", "".join(lines))
            chain = chain.__cause__ or chain.__context__

    def shows_all_of(self, root: object) -> None:
        """Keep the reprs of all objects of ours, and of the loop's, that an object leads to."""
        seen, left = set[int](), [root]
        while left:
            thing = left.pop()
            if id(thing) in seen or isinstance(thing, _LEFT_ALONE) or _is_a_namespace(thing):
                continue
            seen.add(id(thing))
            if type(thing).__module__.partition(".")[0] in _OURS:
                self.shows(thing)
            left += gc.get_referents(thing)
        for task in asyncio.all_tasks():
            stack = io.StringIO()
            task.print_stack(file=stack)
            self.evidence.add("tasks", f"{task!r}\n{stack.getvalue()}")
        with tempfile.TemporaryFile() as file:
            faulthandler.dump_traceback(file)
            file.seek(0)
            self.evidence.add("faulthandler", file.read())


def _is_a_namespace(thing: object) -> bool:
    return isinstance(thing, dict) and "__builtins__" in thing


@contextmanager
def watched(evidence: Evidence) -> Iterator[Watch]:
    """Keep all that any logger says at DEBUG, and each warning, while inside."""
    watch = Watch(evidence)
    root = logging.getLogger()
    before = root.level
    root.addHandler(watch)
    root.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield watch
            for _ in range(3):  # a warning holds what it warns of, which may warn again
                gc.collect()
                while warned:
                    warning = warned.pop()
                    evidence.add("warnings", f"{warning.message} {warning.source!r}")
                    del warning
    finally:
        root.removeHandler(watch)
        root.setLevel(before)
