"""Kill -9 at every step: nothing is paid twice, nothing that was paid is lost.

Real processes, sockets and time: virtual time cannot kill a process. What decides is judged from
the service's books and the ledger, never by how long something took.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seedance_async.simulator import Fault, FaultPlan
from seedance_async.simulator.faults import SUBMIT_AFTER, SUBMIT_BEFORE
from tests.torture.failing import reaches_sqlite
from tests.torture.ground import Ground, open_ground
from tests.torture.killing import Ending
from tests.torture.trial import Tally, Trial, told

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the children are forked")

IS_LONG = "SEEDANCE_LONG" in os.environ
SEED = int(os.environ.get("SEEDANCE_SEED") or random.randrange(1 << 32))
Tell = Callable[..., None]


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with open_ground() as ground:
        yield ground


def steps(survivor: Ending) -> list[dict[str, Any]]:
    """Return where to die: at the first point of each name, or at every point in long runs."""
    if IS_LONG:
        return [{"at": number} for number in range(1, len(survivor.points) + 1)]
    names = dict.fromkeys(name for name in survivor.points if not name.startswith("telling"))
    return [{"at": 1, "of": name} for name in names]


def report(tell: Tell, tally: Tally) -> None:
    tell(tally.figures, kills=tally.kills, runs=tally.runs, hits=dict(tally.hits))


# --- a batch -----------------------------------------------------------------------------------


def test_never_pays_twice_and_never_loses_what_was_paid_killed_at_each_step(
    ground: Ground, tell: Tell
) -> None:
    """Killed before or after any commit, POST or file, once more on resuming, then run on."""
    chance = random.Random(SEED)
    with ground.trial() as trial:
        survivor = trial.batch()
        trial.end()
    points: set[str] = set()
    tally = Tally()
    for step in steps(survivor):
        again = {"at": chance.randrange(1, 70)}
        with told(f"SEEDANCE_SEED={SEED}: {step}, then {again}"), ground.trial() as trial:
            first, second = trial.batch(**step), trial.batch(**again)
            points |= {first.point, second.point}
            trial.end()
            tally.add(trial.tally)
    report(tell, tally)
    for name in (
        "taking the lock",
        "opening the ledger",
        "the commit of the tables",
        "the commit of a step of staging",
        "renaming errors.jsonl",
        "the commit of plan",
        "the checkpoint",
        "the commit of begin",
        "a POST left",
        "the answer to a POST",
        "the commit of accept",
        "the commit of finish",
        "renaming a video",
        "the commit of download",
        "writing lines",
        "renaming results.jsonl",
    ):
        assert any(name in point for point in points), (name, points)


@pytest.mark.skipif(not reaches_sqlite(), reason="SQLite's own writes cannot be met here")
def test_never_pays_twice_and_never_loses_what_was_paid_killed_between_any_two_writes(
    ground: Ground, tell: Tell
) -> None:
    """Killed before each single write of the system: within a commit, too, and a checkpoint."""
    chance = random.Random(SEED)
    how: dict[str, Any] = {"rows": 2, "each_write": True, "checkpoint_pages": 2}
    with ground.trial(**how) as trial:
        survivor = trial.batch()
        trial.end()
    of = "the system's"
    writes = [point for point in survivor.points if of in point]
    assert sum("ledger.sqlite" in write for write in writes) > 50, writes
    numbers = range(1, len(writes) + 1)
    tally = Tally()
    for number in numbers if IS_LONG else sorted(chance.sample(numbers, 14)):
        with told(f"before write {number}: {writes[number - 1]}"), ground.trial(**how) as trial:
            trial.batch(at=number, of=of)
            trial.end()
            tally.add(trial.tally)
    report(tell, tally)
    assert tally.hits["between two writes of the ledger"] > 5


TROUBLES = SUBMIT_BEFORE, SUBMIT_AFTER


def test_never_lies_about_posts_that_met_troubles_when_killed_among_them(
    ground: Ground, tell: Tell
) -> None:
    """Each answer that tells nothing leaves a doubt, no refusal for now does, whoever is killed."""
    groups = [[name for name in group if name != "refused-in-200"] for group in TROUBLES]
    names = [name for group in groups for name in group]
    each_once = [
        Fault(name, nth=number) for group in groups for number, name in enumerate(group, 2)
    ]
    how: dict[str, Any] = {"rows": 12, "service": {"faults": FaultPlan(each_once)}}
    tally = Tally()
    for number in range(1, 13) if IS_LONG else (4, 9):
        step = {"at": number, "of": "before a POST"}
        with told(str(step)), ground.trial(**how) as trial:
            assert trial.batch(**step).killed
            trial.end()
            happened = Counter(fault.name for fault in trial.simulator.faults_log)
            assert happened == Counter(names)
            assert len(trial.in_doubt()) >= len(names) - 2  # all but the refusals for now
            trial.settle()
            tally.add(trial.tally)
    report(tell, tally)


def test_never_loses_what_was_paid_when_killed_during_a_download(
    ground: Ground, tell: Tell
) -> None:
    """Killed before and after each piece and each renaming: no part of a video is ever in place."""
    service = {"seed": SEED, "bandwidth": 40_000.0, "faults": FaultPlan({"truncated-video": 0.3})}
    how: dict[str, Any] = {"rows": 4 if IS_LONG else 1, "resolution": "1080p"}
    with told(f"SEEDANCE_SEED={SEED}"), ground.trial(**how, service=service) as trial:
        number = 1
        while trial.batch(at=number, of="a video").killed:
            number += 1
        trial.end()
        report(tell, trial.tally)
        assert trial.tally.hits["during a download"] >= 6


# --- a run that sets a dead one right ------------------------------------------------------------


def crash(trial: Trial) -> None:
    """Leave doubts of both kinds: a job that nobody knows, and a POST that never left."""
    assert trial.batch(at=1, of="before a POST").killed
    assert trial.batch(at=1, of="after a POST left").killed
    keys = trial.in_doubt()
    assert keys & trial.accepted().keys()
    assert keys - trial.accepted().keys()


def test_never_lies_about_doubts_when_killed_while_a_dead_run_is_set_right(
    ground: Ground, tell: Tell
) -> None:
    """Recovery is one transaction: killed before or after it, the next run does the same."""
    with ground.trial() as trial:
        crash(trial)
        survivor = trial.batch()
    early = [point for point in survivor.points if "of recover" in point or "opening" in point]
    assert len(early) == 4
    tally = Tally()
    for step in early:
        with told(step), ground.trial() as trial:
            crash(trial)
            before, doubts = trial.states(), trial.in_doubt()
            assert trial.batch(at=1, of=step).killed
            if step != "after the commit of recover":
                assert trial.states() == before
            assert trial.in_doubt() == doubts
            trial.settle()
            assert len(trial.simulator.books.accepted) == 3
            tally.add(trial.tally)
    report(tell, tally)


# --- the other commands --------------------------------------------------------------------------


def test_never_pays_twice_when_killed_while_doubts_are_settled(ground: Ground, tell: Tell) -> None:
    """Each decision is written or not; whoever settles the rest loses and pays nothing twice."""
    with ground.trial() as trial:
        crash(trial)
        survivor = trial.resolve()
    assert survivor is not None
    chosen = [step for step in steps(survivor) if IS_LONG or "resolve" in step["of"]]
    assert len(chosen) >= 4
    tally = Tally()
    for step in chosen:
        with told(str(step)), ground.trial() as trial:
            crash(trial)
            killed = trial.resolve(**step)
            assert killed is not None
            assert killed.killed or IS_LONG
            trial.settle()
            assert len(trial.simulator.books.accepted) == 3
            tally.add(trial.tally)
    report(tell, tally)


def under_way(trial: Trial) -> None:
    """Leave three jobs, of which one runs and two wait."""
    assert trial.batch(at=3, of="telling that a row is submitted").killed
    assert len(trial.accepted()) == 3


def test_never_pays_twice_when_killed_while_a_batch_is_cancelled(
    ground: Ground, tell: Tell
) -> None:
    """What the service cancelled is never submitted again; what it did not comes to its end."""
    how: dict[str, Any] = {"service": {"capacity": 1, "speed": 30.0}}
    with ground.trial(**how) as trial:
        under_way(trial)
        survivor = trial.command("cancel", str(trial.folder))
        assert trial.states()["cancelled"] == len(trial.simulator.books.cancelled)
    words = "a cancel", "the commit of finish"
    chosen = [step for step in steps(survivor) if IS_LONG or step["of"].endswith(words)]
    assert len(chosen) >= 4
    tally = Tally()
    for step in chosen:
        with told(str(step)), ground.trial(**how) as trial:
            under_way(trial)
            assert trial.command("cancel", str(trial.folder), **step).killed or IS_LONG
            trial.command("cancel", str(trial.folder))
            trial.end()
            assert len(trial.simulator.books.accepted) == 3
            tally.add(trial.tally)
    report(tell, tally)


def test_never_loses_what_was_paid_when_killed_while_results_are_written(
    ground: Ground, tell: Tell
) -> None:
    """The old file or the new one is there, whole, and the ledger is as it was."""
    with ground.trial() as trial:
        trial.end()
        survivor = trial.command("results", str(trial.folder))
        chosen = steps(survivor)
        assert len(chosen) >= 4
        whole = (trial.folder / "results.jsonl").read_bytes()
        states = trial.states()
        for step in chosen:
            with told(str(step)):
                assert trial.command("results", str(trial.folder), **step).killed or IS_LONG
                assert (trial.folder / "results.jsonl").read_bytes() == whole
                assert trial.states() == states
        trial.end()
        report(tell, trial.tally)
