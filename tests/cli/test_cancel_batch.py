"""`cancel DIR`: one attempt for each job of a batch that is still open."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedance_async.batch.ledger import SIMULATOR
from seedance_async.batch.lock import FolderLock
from seedance_async.cli.app import run
from seedance_async.cli.cancel import Attempt, Summary
from seedance_async.errors import PermissionDeniedError
from seedance_async.jobs import CancelResult, Failed, Outcome
from tests.batch.ledgers import ERROR, cancelled, timed_out

from .folders import leave, states, submitted
from .processes import Simulation, simulation

RUN = Path("run")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    """A simulator that runs one job at a time, as slowly as the service; the environment's."""
    with simulation("--speed", "1", "--capacity", "1") as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def test_what_is_queued_is_cancelled_and_what_runs_runs_on(
    slow: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is told, the ledger knows, nothing is submitted, and repeating it does no harm."""
    first, *queued = submitted(slow, 12)
    jobs = dict(zip("abcdefghijkl", [first, *queued], strict=True))
    leave(RUN, keys="abcdefghijklxy", doubts="x", jobs=jobs, origin=slow.base_url)
    assert run(["cancel", "run"]) == 75
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == f"a: job {first}: not cancellable: it runs on and may be billed"
    assert lines[1:] == [f"{key}: job {jobs[key]}: cancelled" for key in "bcdefghijkl"]
    assert "11 cancelled, 1 running on" in said.err
    assert "waits for it; it also submits the 1 planned" in said.err
    assert "1 in doubt" in said.err
    assert {state for key, state in states(RUN).items() if key in "bcdefghijkl"} == {"cancelled"}
    assert states(RUN)["a"] in {"submitted", "timed_out"}
    assert states(RUN)["y"] == "planned"
    assert run(["cancel", "run", "--json"]) == 75
    told = json.loads(capsys.readouterr().out)
    assert told["jobs"] == [
        {"key": "a", "request_id": first, "result": "not_cancellable", "verdict": "runs_on"}
    ]
    assert (told["cancelled"], told["runs_on"], told["in_doubt"]) == (0, 1, 1)
    books = slow.books()
    assert (books["submissions"], books["cancelled"]) == (12, 11)
    written = b"".join(path.read_bytes() for path in RUN.iterdir())
    assert b"simulator-token" not in written
    assert "simulator-token" not in said.out + said.err


def test_what_is_over_or_unknown_is_told_apart(
    simulated: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    """A success is kept for its download; an id that the service forgot is no cancelled job."""
    (job,) = submitted(simulated, 1)
    assert run(["wait", job, "--poll-interval", "0.1"]) == 0
    capsys.readouterr()
    leave(RUN, jobs={"a": job, "b": "forgotten"}, origin=simulated.base_url)
    assert run(["cancel", "run"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        f"a: job {job}: not cancellable: it succeeded before; the next run downloads its video"
    )
    assert second.startswith("b: job forgotten: unknown: lost: ")
    assert states(RUN) == {"a": "succeeded", "b": "lost", "c": "planned", "d": "planned"}


def test_nothing_open_is_0(slow: Simulation, capsys: pytest.CaptureFixture[str]) -> None:
    """Planned rows have no job."""
    leave(RUN, origin=slow.base_url)
    assert run(["cancel", "run"]) == 0
    assert "nothing to cancel" in capsys.readouterr().err


def test_all_cancelled_is_0(slow: Simulation, capsys: pytest.CaptureFixture[str]) -> None:
    """None is left running."""
    _running, queued = submitted(slow, 2)
    leave(RUN, jobs={"a": queued}, origin=slow.base_url)
    assert run(["cancel", "run"]) == 0
    assert capsys.readouterr().err.strip() == "1 cancelled"


def test_a_running_batch_does_it_itself(
    slow: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its jobs are its own to cancel."""
    leave(RUN, jobs={"a": "some-job"}, origin=slow.base_url)
    lock = FolderLock(RUN / "ledger.lock", now=0.0)
    try:
        assert run(["cancel", "run"]) == 73
    finally:
        lock.release()
    err = capsys.readouterr().err
    assert "in use by process" in err
    assert "Ctrl-C twice" in err


def test_a_simulated_batch_has_nothing_to_cancel(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a token; the ledger stays as it is."""
    leave(RUN, jobs={"a": "some-job"}, origin=SIMULATOR)
    assert run(["cancel", "run"]) == 0
    assert "ran on a simulator" in capsys.readouterr().err
    assert states(RUN)["a"] == "submitted"


def test_another_service_a_wrong_token_and_a_dead_service(
    slow: Simulation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is found out by one look at most, and no row changes."""
    leave(RUN, jobs={"a": "some-job"})
    assert run(["cancel", "run"]) == 64
    assert "RUNCOMFY_MODEL_API_BASE" in capsys.readouterr().err
    leave(Path("theirs"), jobs={"a": "some-job"}, origin=slow.base_url)
    monkeypatch.setenv("RUNCOMFY_TOKEN", "wrong-token")
    assert run(["cancel", "theirs"]) == 77
    assert "wrong-token" not in capsys.readouterr().err
    leave(Path("dead"), jobs={"a": "some-job"}, origin="http://127.0.0.1:9")
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", "http://127.0.0.1:9")
    assert run(["cancel", "dead"]) == 69
    for folder in ("run", "theirs", "dead"):
        assert states(Path(folder))["a"] == "submitted"


def test_an_id_that_is_a_folder_too(slow: Simulation, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder is meant only if it holds a ledger; what can be no id must hold one."""
    _running, job = submitted(slow, 2)
    Path(job).mkdir()
    assert run(["cancel", job, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"request_id": job, "result": "cancelled"}
    assert run(["cancel", f"./{job}"]) == 64
    assert run(["cancel", "no/folder"]) == 64
    assert "there is no ledger in no/folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("result", "outcome", "verdict", "says"),
    [
        (CancelResult.CANCELLED, cancelled("j"), "cancelled", "cancelled"),
        (CancelResult.CANCELLED, timed_out("j"), "cancelled", "cancelled"),
        (CancelResult.NOT_CANCELLABLE, timed_out("j"), "runs_on", "runs on and may be billed"),
        (CancelResult.NOT_CANCELLABLE, Failed(error=ERROR), "over", "it failed before: too long"),
        (CancelResult.UNKNOWN, timed_out("j"), "unknown", "it may run on: no clear answer in time"),
        (CancelResult.UNKNOWN, None, "unknown", "it may run on: no clear answer in time"),
    ],
)
def test_never_lies_cancelled_is_what_the_server_said(
    result: CancelResult, outcome: Outcome | None, verdict: str, says: str
) -> None:
    """The words for each end of an attempt."""
    attempt = Attempt("a", "j", result, outcome)
    assert attempt.verdict == verdict
    assert says in str(attempt)


def test_a_refused_look_is_told() -> None:
    """The job may run on; its ledger row stays as it was."""
    error = PermissionDeniedError("not yours", status=403)
    attempt = Attempt("a", "j", CancelResult.UNKNOWN, None, error)
    assert "unknown, so it may run on: not yours" in str(attempt)
    assert Summary(attempts=[attempt], in_doubt=0, planned=0).denied is error
