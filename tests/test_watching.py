"""The watch on the loop's thread sees what blocks, and lets coverage's own lock be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from blockbuster import BlockingError

from tests.watching import blocking_raises


def _held() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


def _coverages(lock: threading.Lock) -> Callable[[], bool]:
    """Return a function that takes the lock as coverage's tracer does."""
    names: dict[str, Callable[[], bool]] = {}
    code = compile(
        "def lock_data(): return lock.acquire(timeout=0.001)", "coverage/collector.py", "exec"
    )
    exec(code, {"lock": lock}, names)
    return names["lock_data"]


def test_a_held_lock_raises_but_in_coverages_tracer() -> None:
    lock = _held()

    async def main() -> None:
        with blocking_raises():
            with pytest.raises(BlockingError, match="acquire"):
                lock.acquire(timeout=0.001)
            assert not _coverages(lock)()
        assert not lock.acquire(timeout=0.001)  # the watch is over

    asyncio.run(main())
