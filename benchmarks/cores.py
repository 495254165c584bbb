"""Which core a process stays on."""

from __future__ import annotations

import os

__all__ = ["choose", "pin"]


def choose() -> tuple[int | None, int | None]:
    """Return a core for the double and one for the clients; None where there is no choice."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def pin(core: int | None) -> None:
    """Keep this process on a core; None leaves it to the system."""
    if core is not None:
        os.sched_setaffinity(0, {core})
