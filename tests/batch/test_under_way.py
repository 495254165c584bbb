"""What a run has begun: by shape, with ages that outlive it, and the money set aside for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import attrs

from seedance_async import Budget, FixedPolling
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.planning import plan_manifest
from seedance_async.batch.report import RowChange, UnderWay
from seedance_async.batch.runner import Batch, Wishes
from seedance_async.batch.running import account_of
from seedance_async.models import Request, shape
from tests.batch.night import Night
from tests.session.scene import fox, run

PRICES = Budget(price_per_second=0.05)
START = 1_767_225_600.0


def rows(number: int) -> list[tuple[str, Request]]:
    return [(f"fox-{n}", fox(n, 5)) for n in range(number)]


@attrs.define
class Look:
    """A batch that is looked at after some seconds, then left."""

    night: Night
    seconds: float
    seen: list[UnderWay] = attrs.field(factory=list)
    changes: list[RowChange] = attrs.field(factory=list)

    async def __call__(self) -> None:
        def clock() -> float:
            return START + asyncio.get_running_loop().time()

        async with self.night.session(polling=FixedPolling(1), max_in_flight=3) as session:
            origin = session.base_url
            async with await Ledger.open(self.night.folder, origin=origin, clock=clock) as ledger:
                await plan_manifest(ledger, rows(10), errors=None)
                batch = Batch(
                    ledger,
                    session,
                    self.night.folder,
                    account=await account_of(ledger, PRICES),
                    wishes=Wishes(),
                    on_change=self.changes.append,
                )
                work = asyncio.create_task(batch.run())
                await asyncio.sleep(self.seconds)
                self.seen.append(batch.under_way())
                work.cancel()
                await asyncio.wait({work})


def test_what_runs_has_an_age_and_what_waits_is_fewer(tmp_path: Path) -> None:
    """Three of ten are in flight."""
    look = Look(Night(tmp_path), 5.0)
    run(look)
    (seen,) = look.seen
    of_shape = shape(fox(1, 5))
    assert seen.begun == {of_shape: 3}
    ages = seen.ages[of_shape]
    assert sorted(ages) == ["fox-0", "fox-1", "fox-2"]
    assert all(4.0 < age < 5.0 for age in ages.values())
    assert {change.shape for change in look.changes} == {of_shape}


def test_an_attached_job_is_as_old_as_its_acceptance(tmp_path: Path) -> None:
    """An earlier run's job does not begin anew: what it still takes depends on its age."""
    night = Night(tmp_path)
    run(Look(night, 5.0))
    again = Look(night, 2.0)

    async def later() -> None:
        await asyncio.sleep(6.0)  # the loop's time begins at zero again, so the clock goes on
        await again()

    run(later)
    attached = [c.key for c in again.changes if c.detail == "attached"]
    assert attached
    ages = next(iter(again.seen[0].ages.values()))
    assert all(7.0 < ages[key] < 9.0 for key in attached)
