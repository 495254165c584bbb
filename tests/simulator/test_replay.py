"""A replay of faults: the log must be one, and the seed the same."""

import json
from pathlib import Path

import attrs
import pytest

from seedance_async.simulator import Fault, FaultPlan, InjectedFault, Simulator
from seedance_async.simulator.injected import read_log

from .asking import Asking

LINE = {"at": 0, "name": "429", "endpoint": "submit", "request_id": None}
LINE |= {"subject": "a", "number": 1, "seed": 5}


def logged(seed: int) -> tuple[InjectedFault, ...]:
    there = Asking(Simulator(seed=seed, faults=FaultPlan([Fault("429", nth=1)])))
    there.submit()
    return there.simulator.faults_log


def test_a_replay_under_another_seed_is_refused() -> None:
    """Other turns would come of it than the log tells."""
    plan = FaultPlan.replaying(logged(5))
    there = Asking(Simulator(seed=5, faults=plan))
    assert there.submit().status == 429
    with pytest.raises(ValueError, match="logged with the seed 5, and this simulator has 6: give"):
        Simulator(seed=6, faults=plan)


def test_a_log_that_tells_no_seed_is_replayed_as_it_is() -> None:
    """Older logs do not know theirs."""
    old = [attrs.evolve(fault, seed=None) for fault in logged(5)]
    assert Asking(Simulator(seed=5, faults=FaultPlan.replaying(old))).submit().status == 429


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (json.dumps({**LINE, "name": "stuk"}), "unknown fault 'stuk'; known are drop-before"),
        (json.dumps({**LINE, "number": "1"}), "no line of a fault log: '1' is none of"),
        (json.dumps({**LINE, "subject": None}), "no line of a fault log: None is none of"),
        ('{"at": 0, "na', "no line of a fault log: "),
        ("[1, 2]", "no line of a fault log"),
        ("", "no line of a fault log"),
        ("\udcff", "no line of a fault log"),
    ],
)
def test_a_wrong_line_is_named_with_its_file(wrong: str, says: str, tmp_path: Path) -> None:
    """A log of thousands of lines is not searched by eye."""
    log = tmp_path / "faults.jsonl"
    log.write_bytes(f"{json.dumps(LINE)}\n{wrong}\n".encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match="fault") as caught:
        read_log(log)
    assert str(caught.value).startswith(f"{log}:2: {says}")


def test_a_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Line by line."""
    log, faults = tmp_path / "faults.jsonl", logged(5)
    log.write_text("".join(f"{fault.to_json()}\n" for fault in faults))
    assert read_log(log) == [*faults]
