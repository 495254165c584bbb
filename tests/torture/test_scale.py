"""A hundred thousand rows: stopped twice on the way, with everything that can go wrong going wrong.

`SEEDANCE_ROWS=n` sets how many rows the night has.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from seedance_async import FixedPolling, Request
from seedance_async.batch.report import RowChange
from tests.session.scene import fox, run
from tests.torture.cutting import IS_LONG, CutNight

ROWS: Final = int(os.environ.get("SEEDANCE_ROWS") or (100_000 if IS_LONG else 3_000))
MEASURED: Final = 20_000 if IS_LONG else 1_500
"""Rows of the larger of two runs that are compared; the smaller has more than a page too."""

FAULTS: Final = [
    "drop-before-accept=0.0005",
    "drop-after-accept=0.0005",
    "5xx-after-accept=0.0005",
    "truncated-json=0.0005",
    "429=0.002",
    "poll-5xx=0.01",
    "poll-drop=0.01",
    "failed=0.01",
    "videos=0.01",
    "no-cost=0.01",
]
BYTES_A_ROW: Final = 500
"""What a row that is over may leave behind: how long it took, of the last few thousand rows."""


def rows(number: int) -> Iterator[tuple[str, Request]]:
    """Yield rows one by one: a list of them would be the largest thing in memory."""
    for n in range(number):
        yield f"row-{n:06}", fox(n)


class LongNight(CutNight):
    """A batch on a fast service, which is told when it has made some number of videos."""

    def __init__(self, folder: Path, number: int, *, at_once: int = 200) -> None:
        super().__init__(folder, capacity=at_once, faults=FAULTS)
        self.number = number
        self.at_once = at_once
        self.made = 0
        self.at: dict[int, Callable[[], object]] = {}

    async def play(self, **wishes: Any) -> None:
        """Run the batch, until somebody cancels it."""
        session = {
            "max_in_flight": self.at_once,
            "max_submitting": 32,
            "max_in_doubt": self.number,
            "polling": FixedPolling(15),
        }
        await self.run(
            rows(self.number), session=session, on_change=self.look, download=False, **wishes
        )

    def look(self, change: RowChange) -> None:
        if change.state == "succeeded":
            self.made += 1
            if act := self.at.pop(self.made, None):
                act()


def test_never_pays_twice_in_a_night_of_many_thousand_rows(
    tmp_path: Path, tell: Callable[..., None]
) -> None:
    """Stopped after a third and after two thirds: judged each time, and all is told at the end."""
    night = LongNight(tmp_path, ROWS)
    began = time.perf_counter()

    async def main() -> None:
        for part in (ROWS // 3, ROWS * 2 // 3, None):
            work = asyncio.create_task(night.play())
            if part is not None:
                night.at[part] = work.cancel
            await asyncio.wait({work})
            assert work.cancelled() == (part is not None)
            await asyncio.to_thread(night.figures)

    run(main)
    seconds = time.perf_counter() - began
    figures = night.figures()
    books = night.simulator.books
    told = Counter(line["state"] for line in night.results())
    assert told.total() == ROWS
    assert set(told) <= {"succeeded", "failed", "in_doubt"}
    assert told["in_doubt"] == figures.doubts <= night.wire.unsure
    assert [line["line"] for line in night.results()] == list(range(1, ROWS + 1))
    polls = sum(books.polls(entry.request_id) for entry in books.accepted) / len(books.accepted)
    assert polls < 20
    tell(figures, rows=ROWS, rows_a_second=round(ROWS / seconds), polls_a_job=round(polls, 1))


def test_never_grows_with_the_rows_that_are_over(tmp_path: Path, tell: Callable[..., None]) -> None:
    """Five times as many rows: what is in memory half-way is about the same."""
    small = _in_memory(LongNight(tmp_path / "small", MEASURED // 5, at_once=20))
    night = LongNight(tmp_path / "large", MEASURED, at_once=20)
    large = _in_memory(night)
    a_row = (large - small) / (MEASURED / 2 - MEASURED / 10)
    tell(night.figures(), rows=MEASURED, kilobytes=large // 1024, bytes_a_row=round(a_row))
    assert a_row < BYTES_A_ROW


def _in_memory(night: LongNight) -> int:
    """Return how many bytes a run holds when half of the videos are made."""
    found: list[int] = []
    night.at[night.number // 2] = lambda: found.append(_held(night))
    run(night.play)
    return found[0]


def _held(night: LongNight) -> int:
    """Return the size of all that the tasks of the running loop hold, but for the double.

    Of what an object refers to nothing is left out but code and what belongs to everybody.
    """
    passed_by = {id(it) for it in (night, night.wire, night.simulator, asyncio.get_running_loop())}
    found: dict[int, object] = {}
    ahead: list[object] = list(asyncio.all_tasks())
    while ahead:
        it = ahead.pop()
        if id(it) in found or id(it) in passed_by or isinstance(it, _CODE) or _is_namespace(it):
            continue
        found[id(it)] = it
        ahead += it.__closure__ or () if isinstance(it, FunctionType) else gc.get_referents(it)
    return sum(map(sys.getsizeof, found.values()))


_CODE: Final = (type, ModuleType, CodeType, logging.Logger)


def _is_namespace(it: object) -> bool:
    """Return whether it is a module's dictionary."""
    return isinstance(it, dict) and "__builtins__" in it
