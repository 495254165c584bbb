"""A watch on the event loop's thread: what would block it raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from blockbuster import BlockBuster, blockbuster_ctx

__all__ = ["blocking_raises"]


@contextmanager
def blocking_raises() -> Iterator[BlockBuster]:
    """Raise BlockingError where the disk, a socket or a held lock would stop the loop's thread.

    Coverage takes a lock of its own at the calls it traces, in all threads: an error there comes
    out of whatever line is traced, and tells nothing of ours.
    """
    with blockbuster_ctx() as watch:
        for acquire in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
            watch.functions[acquire].can_block_in("coverage/collector.py", "lock_data")
        yield watch
