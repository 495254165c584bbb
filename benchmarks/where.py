"""Where does the CPU of a job go, beside a job of a hand-written loop?

A contender and the loop run in this process, one after the other, against one double. A timer on
CPU time interrupts every millisecond and notes which functions the main thread is in; what this
thread has used since the last time, the noting left out, is counted for them. Two tables in us a
job, each of which adds up: by the owner of the innermost Python function (what is written in C
counts for its caller), and by stage, which is the innermost function that one of the stages holds,
with all that it calls.

    python -m benchmarks.where [session|batch|map|loop] [--concurrency 50] [--jobs 2000]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple, TypeAlias

from benchmarks.clients import CLIENTS
from benchmarks.cores import choose, pin
from benchmarks.doubles import running_double
from benchmarks.report import conditions, save

__all__ = ["STAGES", "Place", "owner_of", "place_of", "share", "stage_of"]

_FLOOR: Final = "loop"
_EVERY: Final = 0.001
_AIOHTTP: Final = (
    "aiohappyeyeballs",
    "aiohttp",
    "aiosignal",
    "frozenlist",
    "multidict",
    "propcache",
    "yarl",
)
_LOOP_FILES: Final = ("selectors.py", "socket.py")
_GENERATED: Final = ("<attrs generated", "<cattrs generated")
_OURS: Final = "seedance_async"
_ROOTS: Final = (_OURS, "site-packages", "benchmarks", "asyncio", "json")
"""Folders from which on a file's path says whose it is."""

STAGES: Final[dict[str, tuple[str, ...]]] = {
    "request: sent and its answer read": (
        "seedance_async/http.py",
        "seedance_async/entrance.py",
        "seedance_async/exchange.py",
        "aiohttp/client.py",
        "aiohttp/client_reqrep.py:ClientResponse.",
    ),
    "limits of time": ("seedance_async/watchdog.py",),
    "journal": (
        "seedance_async/journal.py",
        "seedance_async/state.py:SessionState.tell",
        "seedance_async/batch/rowjournal.py",
        "seedance_async/batch/ledger.py",
        "seedance_async/batch/writer.py",
    ),
    "wire: what an answer means": (
        "seedance_async/wire.py",
        "seedance_async/bodies.py",
        "aiohttp/client_reqrep.py:ClientResponse.json",
    ),
    "slots and turns": (
        "seedance_async/pool.py",
        "seedance_async/turnstile.py",
        "seedance_async/pacing.py",
        "asyncio/locks.py:Semaphore.",
    ),
    "tasks and their supervisor": (
        "seedance_async/supervisor.py",
        "asyncio/tasks.py:gather",
        "asyncio/base_events.py:BaseEventLoop.create_task",
    ),
    "progress and handle": ("seedance_async/progress.py", "seedance_async/handle.py"),
    "requests, made and checked": (
        "seedance_async/models.py",
        "seedance_async/rawrequest.py",
        "seedance_async/rules.py",
        "<attrs generated methods seedance_async.models",
        "<attrs generated methods seedance_async.rawrequest",
    ),
    "the rest of seedance_async": ("seedance_async/",),
    "the caller": ("benchmarks/clients.py",),
}
"""What belongs to each stage: files, or functions of a file, by how their places begin."""

_BETWEEN: Final = "outside: event loop, sockets, parsers"

Stack: TypeAlias = tuple[CodeType, ...]
"""The functions that were running, innermost first."""


class Place(NamedTuple):
    """A function: the path of its file from its package on, and its qualified name."""

    file: str
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.function}"


# --- whose it is ---------------------------------------------------------------------------------


def place_of(filename: str, function: str) -> Place:
    """Return where a function is, whatever the folder of its installation."""
    if filename.startswith("<"):
        return Place(filename, function)
    *folders, name = PurePath(filename).parts
    begin = max((n for n, folder in enumerate(folders) if folder in _ROOTS), default=len(folders))
    inside = folders[begin + (folders[begin : begin + 1] == ["site-packages"]) :]
    return Place("/".join([*inside, name]), function)


def owner_of(place: Place) -> str:
    """Return who is responsible for a function."""
    if place.file.startswith(_GENERATED):
        return "attrs and cattrs, generated"
    package, _, below = place.file.partition("/")
    if package == _OURS:
        return f"{_OURS}: {below.removesuffix('.py')}"
    if package == "asyncio" or place.file in _LOOP_FILES:
        return "asyncio and selectors"
    if package in _AIOHTTP:
        return "aiohttp with yarl and multidict"
    if package in ("attr", "attrs", "cattr", "cattrs"):
        return "attrs and cattrs"
    return {"json": "json", "benchmarks": "the caller"}.get(package, "others")


def stage_of(stack: Iterable[Place]) -> str:
    """Return the stage of the innermost function that belongs to one."""
    for place in stack:
        found = _stage_of_function(str(place))
        if found is not None:
            return found
    return _BETWEEN


def _stage_of_function(place: str) -> str | None:
    """Return the stage that names a function most closely."""
    named = [
        (len(begin), stage)
        for stage, begins in STAGES.items()
        for begin in begins
        if place.startswith(begin)
    ]
    return max(named)[1] if named else None


def share(
    samples: Mapping[tuple[Place, ...], float], whose: Callable[[tuple[Place, ...]], str]
) -> dict[str, float]:
    """Add up the samples by whom they belong to."""
    found: dict[str, float] = defaultdict(float)
    for stack, weight in samples.items():
        found[whose(stack)] += weight
    return found


# --- sampling ------------------------------------------------------------------------------------


@contextmanager
def _sampling() -> Iterator[dict[Stack, float]]:
    """Collect seconds of the main thread's CPU by the functions that it was in."""
    samples: dict[Stack, float] = {}
    seen = time.thread_time()

    def note(_signal: int, frame: FrameType | None) -> None:
        nonlocal seen
        used = time.thread_time() - seen
        stack = []
        while frame is not None:
            stack.append(frame.f_code)
            frame = frame.f_back
        key = tuple(stack)
        samples[key] = samples.get(key, 0.0) + used
        seen = time.thread_time()

    before = signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)
    try:
        yield samples
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


async def _measure(name: str, url: str, jobs: int, concurrency: int) -> dict[str, Any]:
    """Warm up, run once, and return the us a job by owner and by stage."""
    client = CLIENTS[name]
    await client(url, max(concurrency, jobs // 10), concurrency)
    await asyncio.sleep(0.05)  # the warm-up's connections close
    gc.collect()
    process, thread = time.process_time(), time.thread_time()
    with _sampling() as samples:
        await client(url, jobs, concurrency)
    thread, process = time.thread_time() - thread, time.process_time() - process
    placed: dict[tuple[Place, ...], float] = defaultdict(float)
    for stack, seconds in samples.items():
        places = tuple(place_of(code.co_filename, code.co_qualname) for code in stack)
        placed[places] += 1e6 * seconds / jobs
    owners = share(placed, lambda stack: owner_of(stack[0]))
    return {
        "main_thread": sum(owners.values()),
        "sampling": 1e6 * thread / jobs - sum(owners.values()),
        "other_threads": 1e6 * (process - thread) / jobs,
        "owners": owners,
        "stages": share(placed, stage_of),
    }


# --- what is shown -------------------------------------------------------------------------------


def lines(title: str, found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a table with a column for each contender, and its sums.

    The largest of the last contender are on top; of two, the last column is how much more it has.
    """
    *others, name = found
    names = [name, *others]
    keys = {key for shares in found.values() for key in shares}
    rows = [(key, [found[each].get(key, 0.0) for each in names]) for key in sorted(keys)]
    rows.sort(key=lambda row: row[1], reverse=True)
    rows.append(("together", [sum(found[each].values()) for each in names]))
    head = f"{title + ', us a job':44}" + "".join(f"{each:>10}" for each in names)
    return [
        head + f"{'more':>10}" * bool(others),
        *(
            f"{key:44}"
            + "".join(f"{value:10.1f}" for value in values)
            + "".join(f"{values[0] - value:+10.1f}" for value in values[1:])
            for key, values in rows
        ),
    ]


def main() -> None:
    """Run the loop and the contender, print both tables, keep the numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "name", nargs="?", choices=("session", "batch", "map", _FLOOR), default="session"
    )
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2000)
    options = parser.parse_args()
    server_core, client_core = choose()
    pin(client_core)
    found: dict[str, dict[str, Any]] = {}
    with running_double(server_core) as url:
        for name in dict.fromkeys((_FLOOR, options.name)):
            run = _measure(name, url, options.jobs, options.concurrency)
            found[name] = asyncio.run(run)
    for title, key in (
        ("innermost function", "owners"),
        ("stage with all that it calls", "stages"),
    ):
        print("\n".join(lines(title, {name: one[key] for name, one in found.items()})), end="\n\n")
    for title, key in (("Other threads", "other_threads"), ("Sampling, left out", "sampling")):
        print(f"{title}: {', '.join(f'{name} {one[key]:.1f}' for name, one in found.items())}")
    report = {"options": vars(options), "conditions": conditions(), "found": found}
    print(f"All numbers: {save('where', report)}")


if __name__ == "__main__":
    main()
