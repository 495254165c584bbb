"""A batch begins with what its ledger knows of durations."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from seedance_async.batch.ledger import Ledger
from seedance_async.models import Shape, shape
from seedance_async.polling import FixedPolling
from tests.batch.night import Night, foxes
from tests.session.scene import run


class Told(list[tuple[Shape | None, float, float]]):
    """A policy and its own schedule, which writes down which ends it is told."""

    def schedule(self) -> Told:
        return self

    def next_delay(self, _shape: Shape | None, _age: float | None, _polls: int) -> float:
        return 2.0

    def running(self, _shape: Shape | None, since: float, until: float) -> None:
        """Not of interest here."""

    def finished(self, of_shape: Shape | None, since: float, duration: float) -> None:
        self.append((of_shape, since, duration))


def test_the_next_run_knows_how_long_the_videos_of_the_last_one_took(tmp_path: Path) -> None:
    """Ends only; they count as of jobs that were watched from their beginning."""
    night, rows, told = Night(tmp_path), foxes(5), Told()
    run(lambda: night.run(rows[:3], session={"polling": FixedPolling(2)}))

    async def second() -> None:
        await night.run(rows[:3], session={"polling": told})

    run(second)
    assert [(of, since) for of, since, _ in told] == [(shape(rows[0][1]), 0.0)] * 3
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        times = connection.execute("SELECT finished_at - accepted_at FROM attempt ORDER BY id")
        assert [(seconds,) for _, _, seconds in told] == times.fetchall()
    connection.close()


def test_what_was_found_late_is_not_taken_for_a_duration(tmp_path: Path) -> None:
    """A run that came back the next morning knows when it came, not how long the job took."""
    night = Night(tmp_path)
    run(lambda: night.run(foxes(3), session={"polling": FixedPolling(2)}))

    async def look() -> int:
        async with await Ledger.open(tmp_path, origin=None) as ledger:
            return len(await ledger.lasted())

    assert run(look) == 3
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        connection.execute("UPDATE attempt SET finished_at = finished_at + 40000 WHERE id = 2")
    connection.close()
    assert run(look) == 2
