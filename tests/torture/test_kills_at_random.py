"""Kill -9 at any moment, a thousand times: nothing is paid twice, nothing that was paid is lost.

Real processes, sockets and time, as in `test_kills`. `SEEDANCE_KILLS=n` sets how many kills,
`SEEDANCE_SEED=n` repeats the trials and the moments of a run, though not the machine's timing.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from seedance_async.simulator import FaultPlan
from tests.torture.failing import reaches_sqlite
from tests.torture.ground import Ground, open_ground
from tests.torture.trial import Tally, Trial, told

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the children are forked")

IS_LONG: Final = "SEEDANCE_LONG" in os.environ
KILLS: Final = int(os.environ.get("SEEDANCE_KILLS") or (1000 if IS_LONG else 15))
SEED: Final = int(os.environ.get("SEEDANCE_SEED") or random.randrange(1 << 32))
KILLS_OF_A_TRIAL: Final = 40
ENOUGH_FOR_ALL: Final = 300
"""Kills of which each sort of moment has its share."""

WORST: Final = {
    "drop-before-accept": 0.1,
    "drop-after-accept": 0.1,
    "html-504": 0.05,
    "5xx-before-accept": 0.05,
    "5xx-after-accept": 0.05,
    "html-502-after-accept": 0.05,
    "truncated-json": 0.05,
    "429": 0.02,
    "poll-drop": 0.1,
    "poll-html-504": 0.1,
    "poll-5xx": 0.2,
    "poll-truncated-json": 0.1,
    "error-in-200": 0.1,
    "cancel-drop": 0.3,
    "cancel-5xx": 0.3,
    "cancellation-requested": 0.5,
    "failed": 0.1,
    "videos": 0.5,
    "succeeded": 0.5,
    "not-ready-400": 0.5,
    "unknown-state": 0.3,
    "truncated-video": 0.4,
    "slow": 0.05,
    "accepted-202": 0.5,
    "bare-acceptance": 0.5,
    "canceled": 0.5,
    "code-and-message": 0.5,
    "no-cost": 0.2,
}
"""The highest rate of each fault in any trial."""

MOMENTS: Final = (
    ("", 120),
    ("opening the ledger", 2),
    ("the commit of begin", 8),
    ("ledger.sqlite", 150),
    ("before a POST", 5),
    ("after a POST left", 5),
    ("the answer to a POST", 5),
    ("the commit of accept", 8),
    ("the commit of finish", 8),
    ("a piece of a video", 15),
    ("renaming a video", 5),
    ("the commit of download", 6),
)
"""What steps to count in a batch, and the latest to die at."""


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with open_ground() as ground:
        yield ground


def any_trial(chance: random.Random) -> dict[str, Any]:
    """Draw a batch, its session and its service's troubles."""
    rates = {
        name: round(chance.uniform(0, worst), 3)
        for name, worst in WORST.items()
        if chance.random() < 0.5
    }
    return {
        "rows": chance.randint(20, 60),
        "max_in_flight": chance.randint(2, 10),
        "max_submitting": chance.randint(1, 4),
        "checkpoint_pages": chance.choice([None, 1, 20]),
        "each_write": reaches_sqlite() and chance.random() < 0.3,
        "resolution": chance.choice(["480p", "720p", "1080p"]),
        "padding": chance.choice(["", " and a long prompt" * 20]),
        "service": {
            "seed": chance.randrange(1 << 32),
            "faults": FaultPlan(rates, slow_seconds=0.2),
            "capacity": chance.choice([3, 6, 100]),
            "speed": chance.choice([300.0, 1000.0, 3000.0]),
            "bandwidth": chance.choice([None, 20_000.0, 80_000.0]),
            "latency": {"submit": chance.choice([0.0, 0.01, 0.05])},
        },
    }


def any_moment(chance: random.Random, *steps: tuple[str, int], latest: float) -> dict[str, Any]:
    """Draw when to die: at a step, or at a time, or at the time if the step is not reached."""
    moment: dict[str, Any] = {"after": chance.uniform(0.01, latest)}
    if chance.random() < 0.7:
        of, most = chance.choice(steps)
        moment = {"after": 2 * latest, "of": of, "at": chance.randint(1, most)}
    return moment


def strike(trial: Trial, chance: random.Random) -> bool:
    """Kill a batch, or another command of it; return False if the batch came to its end before."""
    doing = chance.choices(["batch", "resolve", "cancel", "results"], [70, 12, 9, 9])[0]
    folder = str(trial.folder)
    if doing == "resolve" and trial.in_doubt():
        trial.resolve(**any_moment(chance, ("", 20), ("resolve", 6), latest=0.2))
    elif doing == "cancel" and trial.states()["submitted"]:
        steps = ("", 12), ("a cancel", 3)
        ending = trial.command("cancel", folder, **any_moment(chance, *steps, latest=0.2))
        assert ending.killed or ending.told in (0, 69, 75), ending.log  # as of resolve
    elif doing == "results" and trial.states():
        ending = trial.command("results", folder, **any_moment(chance, ("", 6), latest=0.1))
        assert ending.killed or ending.told == 0, ending.log
    else:
        return trial.batch(**any_moment(chance, *MOMENTS, latest=0.4)).killed
    return True


def torture(ground: Ground, kills: int, seed: int) -> Tally:
    """Kill so often in trial after trial, bring each to its end, and return what it came to."""
    total = Tally()
    number = 0
    while total.kills < kills:
        number += 1
        chance = random.Random(f"{seed}/{number}")
        how = any_trial(chance)
        with told(f"SEEDANCE_SEED={seed}, trial {number}: {how}"), ground.trial(**how) as trial:
            most = min(KILLS_OF_A_TRIAL, kills - total.kills)
            while trial.tally.kills < most and strike(trial, chance):
                pass
            trial.settle()
            total.add(trial.tally)
    return total


def test_never_pays_twice_and_never_loses_what_was_paid_killed_at_random_moments(
    ground: Ground, tell: Callable[..., None]
) -> None:
    """Every video is there once whatever died when, and no row is in doubt without a POST."""
    tally = torture(ground, KILLS, SEED)
    tell(tally.figures, kills=tally.kills, runs=tally.runs, hits=dict(tally.hits), seed=SEED)
    assert tally.kills >= KILLS
    if tally.kills >= ENOUGH_FOR_ALL:
        assert tally.hits.keys() >= {
            "before a commit",
            "after a commit",
            "during a POST",
            "during a download",
            "inside resolve",
            "inside cancel",
            "inside results",
        }
