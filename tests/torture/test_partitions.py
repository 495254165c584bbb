"""Partitions, resets and refusals, by a real TCP proxy that cuts exactly where it is told."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from seedance_async.batch.edges import RowState
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.planning import plan_manifest
from seedance_async.batch.runner import Batch, Wishes
from seedance_async.batch.running import account_of
from tests.batch.night import foxes
from tests.torture.behind import Behind, behind, doubts_of, play, states_of
from tests.torture.judge import Figures, judge
from tests.torture.proxy import Cut, Flow, Kind, Place, Way, storm

IS_LONG: Final = "SEEDANCE_LONG" in os.environ

Tell = Callable[..., None]


def cuts_of(kind: Kind) -> Iterator[Cut]:
    """Yield every way to cut an exchange of this kind."""
    for place in Place:
        if kind is Kind.SUBMIT or place is not Place.REQUEST_BODY:
            yield from (Cut(kind, place, way) for way in Way)


def look(scene: Behind) -> Figures:
    """Let the judge look; each connection that the proxy ended is a fault."""
    cut = scene.proxy.posts_cut
    figures = judge(scene.folder, scene.simulator.books, posts_under_way=cut)
    return figures + Figures(faults=scene.proxy.struck)


async def end_of(scene: Behind, rows: int) -> None:
    """Settle what is in doubt by the books; after the same command all is there, paid once."""
    await scene.settle_doubts()
    report = await scene.run(foxes(rows))
    assert report.counts[RowState.DOWNLOADED] == rows
    accepted = scene.simulator.books.accepted_by_body()
    assert sorted(accepted.values()) == [1] * rows


# --- each cut ----------------------------------------------------------------------------------


def test_never_pays_twice_wherever_a_post_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    """No POST is sent again, not even one of which the service got a part: it is a doubt."""

    async def trial(cut: Cut, folder: Path) -> Figures:
        async with behind(folder, seed=1) as scene:
            scene.proxy.plan(cut)
            await scene.run(foxes(3))
            arrived = cut.place not in (Place.REQUEST_HEAD, Place.REQUEST_BODY)
            assert len(scene.simulator.books.accepted) == 2 + arrived
            scene.proxy.heal()
            report = await scene.run(foxes(3))
            assert report.counts[RowState.DOWNLOADED] == 2
            assert report.counts[RowState.IN_DOUBT] == 1
            assert scene.proxy.count(Kind.SUBMIT) == 3
            figures = look(scene)
            await end_of(scene, 3)
            return figures

    figures = _each(Kind.SUBMIT, trial, tmp_path, monkeypatch)
    assert figures.doubts == figures.faults
    tell(figures)


def test_one_jobs_trouble_is_its_own_wherever_a_poll_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    """A cut poll is made again; neither its job nor another hears of it."""

    async def trial(cut: Cut, folder: Path) -> Figures:
        async with behind(folder, seed=1) as scene:
            scene.proxy.plan(cut)
            report = await scene.run(foxes(3))
            assert report.counts[RowState.DOWNLOADED] == 3
            return look(scene)

    figures = _each(Kind.POLL, trial, tmp_path, monkeypatch)
    assert figures.doubts == 0
    tell(figures)


def test_never_loses_what_was_paid_wherever_a_download_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    """A download that was cut goes on, from where it was cut if any of it had come."""

    async def trial(cut: Cut, folder: Path) -> Figures:
        async with behind(folder, seed=1) as scene:
            scene.proxy.plan(cut)
            report = await scene.run(foxes(3))
            assert report.counts[RowState.DOWNLOADED] == 3
            videos = [e for e in scene.proxy.exchanges if e.kind is Kind.VIDEO]
            assert [e.answered for e in videos].count(False) == 1
            resumed = [e for e in videos if b"\r\nrange: bytes=" in e.head]
            assert len(resumed) == (cut.place is Place.ANSWER_BODY)
            return look(scene)

    figures = _each(Kind.VIDEO, trial, tmp_path, monkeypatch)
    tell(figures)


def test_never_lies_wherever_a_cancel_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    """Cancelled are those of which the service says so; the others are come back to."""

    async def trial(cut: Cut, folder: Path) -> Figures:
        async with behind(folder, seed=1, capacity=1) as scene:
            scene.proxy.plan(cut)
            await _leave_early(scene)
            books = scene.simulator.books
            states = list((await states_of(folder)).values())
            assert states.count(RowState.CANCELLED) == len(books.cancelled)
            assert states.count(RowState.TIMED_OUT) == 3 - len(books.cancelled)
            scene.proxy.heal()
            report = await scene.run(foxes(3), retry=["cancelled"])
            assert report.counts[RowState.DOWNLOADED] == 3
            return look(scene)

    figures = _each(Kind.CANCEL, trial, tmp_path, monkeypatch)
    assert figures.doubts == 0
    tell(figures)


async def _leave_early(scene: Behind) -> None:
    """Start three rows, and leave while two of them are queued."""
    async with (
        scene.session() as session,
        await Ledger.open(scene.folder, origin=session.base_url) as ledger,
    ):
        await plan_manifest(ledger, foxes(3), errors=None)
        account = await account_of(ledger, None)
        batch = Batch(ledger, session, scene.folder, account=account, wishes=Wishes())
        running = asyncio.create_task(batch.run())
        await asyncio.sleep(4)
        batch.leave()
        await running


Trial: TypeAlias = Callable[[Cut, Path], Coroutine[Any, Any, Figures]]


def _each(kind: Kind, trial: Trial, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Figures:
    """Hold a trial of each cut, each of which must happen, and return what all came to."""
    told = []

    async def main(cut: Cut, number: int) -> None:
        told.append(await trial(cut, folder / str(number)))

    for number, cut in enumerate(cuts_of(kind)):
        try:
            play(monkeypatch, partial(main, cut, number))
        except BaseException as error:
            error.add_note(f"with {cut}")
            raise
    figures = sum(told, Figures())
    assert figures.faults == len(told) > 0
    return figures


# --- partitions --------------------------------------------------------------------------------


def test_never_pays_twice_when_posts_arrive_after_the_client_gave_them_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    """A partition holds POSTs for longer than a client waits, then delivers them all."""

    async def main() -> None:
        async with behind(tmp_path, seed=1) as scene:
            scene.proxy.set_flow(scene.proxy.up, Flow.STALL)
            report = await scene.run(foxes(6))
            assert not scene.simulator.books.accepted
            doubts = report.counts[RowState.IN_DOUBT]
            assert doubts == scene.proxy.count(Kind.SUBMIT) == scene.proxy.posts_cut
            scene.proxy.heal()
            await asyncio.sleep(1)
            assert len(scene.simulator.books.accepted) == doubts
            report = await scene.run(foxes(6))
            assert report.counts[RowState.DOWNLOADED] == 6 - doubts
            tell(look(scene), posts_cut=scene.proxy.posts_cut)
            await end_of(scene, 6)

    play(monkeypatch, main)


def test_never_lies_of_doubts_where_idle_connections_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    """A NAT that swallows what comes after a silence meets polls, but never a POST."""

    async def main() -> None:
        async with behind(tmp_path, seed=1) as scene:
            scene.proxy.idle_limit = 1.5
            report = await scene.run(foxes(8), session={"max_in_flight": 2})
            assert scene.proxy.struck > 0
            assert report.counts[RowState.DOWNLOADED] == 8
            assert await doubts_of(tmp_path) == []
            tell(look(scene))

    play(monkeypatch, main)


def test_never_loses_what_was_paid_in_a_night_of_partitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    """Whatever the network does meanwhile: when it heals, each row is there or set aside.

    The seed is a new one each time; SEEDANCE_SEED repeats one.
    """
    rows, minutes = (1000, 600) if IS_LONG else (60, 30)
    seed = int(os.environ.get("SEEDANCE_SEED", secrets.randbelow(2**32)))

    async def main() -> None:
        async with behind(tmp_path, seed=seed, capacity=16) as scene:
            weather = asyncio.create_task(storm(scene.proxy, random.Random(seed), minutes * 60.0))
            runs, left = 0, rows
            while left:
                report = await scene.run(foxes(rows))
                counts = report.counts
                left = rows - counts[RowState.DOWNLOADED] - counts[RowState.IN_DOUBT]
                runs += 1
                look(scene)
                assert runs < 5 * rows
                await asyncio.sleep(30)
            weather.cancel()
            scene.proxy.heal()
            await asyncio.sleep(1)  # what was late arrives
            tell(look(scene), runs=runs, posts_cut=scene.proxy.posts_cut, seed=seed)
            await end_of(scene, rows)

    try:
        play(monkeypatch, main)
    except BaseException as error:
        error.add_note(f"SEEDANCE_SEED={seed}")
        raise
