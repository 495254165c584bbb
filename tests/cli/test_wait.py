"""`wait`, `status`, `result`, `cancel`: coming back to a job from another process."""

import json
from pathlib import Path

import pytest

from seedance_async.cli.app import run
from seedance_async.cli.jobfile import SIMULATOR, JobFile, JobRecord

from .processes import Simulation, command, finish, job_file, simulation, start, until_state

FOX = ("generate", "pro-fast", "--prompt", "A red fox", "--yes")
QUICK = ("--poll-interval", "0.1")


def accept(running: Simulation, file: str = "fox.mp4") -> str:
    """Submit from a process that is killed as soon as the id is on disk."""
    process = start(*FOX, "-o", file, **running.environment)
    record = until_state(f"{file}.job.json", "submitted")
    process.kill()
    finish(process)
    request_id: str = record["request_id"]
    return request_id


def write_job_file(**facts: object) -> None:
    record = JobRecord(file="fox.mp4", **facts)  # type: ignore[arg-type]
    JobFile(Path("fox.mp4.job.json"), record).write()


def test_never_loses_what_was_paid_kill_9_then_wait(simulated: Simulation) -> None:
    """The promise in one sentence: killed while waiting, the video arrives by another command."""
    accept(simulated)
    done = command("wait", "fox.mp4.job.json", *QUICK)
    assert (done.code, done.out) == (0, "fox.mp4\n"), done.err
    assert Path("fox.mp4").read_bytes()[4:8] == b"ftyp"
    assert job_file("fox.mp4.job.json")["state"] == "downloaded"
    repeated = command("wait", "fox.mp4")
    assert (repeated.code, repeated.out) == (0, "fox.mp4\n")
    books = simulated.books()
    assert (books["accepted"], books["paid_twice"], books["videos_fetched"]) == (1, [], 1)


def test_an_id_alone_prints_the_url_or_downloads(simulated: Simulation) -> None:
    """For ids from a log, an app or the service's site."""
    request_id = accept(simulated)
    done = command("wait", request_id, "--json", *QUICK)
    assert done.code == 0
    events = [json.loads(line) for line in done.err.splitlines()]
    assert [event["event"] for event in events], "what goes on, as JSON Lines"
    assert done.json["state"] == "succeeded"
    assert command("wait", request_id, *QUICK).out.startswith(f"{simulated.base_url}/videos/")
    done = command("wait", request_id, "-o", "other.mp4", *QUICK)
    assert (done.code, done.out) == (0, "other.mp4\n")
    assert Path("other.mp4").exists()


def test_an_id_that_was_found_settles_a_doubt(simulated: Simulation) -> None:
    """`wait ID -o FILE` takes the id over into the job file that lacked one."""
    request_id = accept(simulated)
    Path("fox.mp4.job.json").unlink()
    write_job_file(state="in_doubt", base_url=simulated.base_url)
    assert command("wait", request_id, "-o", "fox.mp4", *QUICK).code == 0
    record = job_file("fox.mp4.job.json")
    assert (record["state"], record["request_id"]) == ("downloaded", request_id)


def test_a_wrong_id_does_not_settle_a_doubt(simulated: Simulation) -> None:
    """A typing slip must not turn a doubt into a loss."""
    write_job_file(state="in_doubt", base_url=simulated.base_url)
    done = command("wait", "nobodys-job", "-o", "fox.mp4", *QUICK)
    assert done.code == 1
    assert "knows no job nobodys-job" in done.err
    assert job_file("fox.mp4.job.json")["state"] == "in_doubt"


def test_another_generations_file_is_not_taken_over(simulated: Simulation) -> None:
    """One job file, one job."""
    write_job_file(state="submitted", base_url=simulated.base_url, request_id="one")
    assert command("wait", "another", "-o", "fox.mp4").code == 73


def test_another_origin_is_an_error(simulated: Simulation) -> None:
    """The token goes to the base URL of the environment, never to one that a file names."""
    write_job_file(state="submitted", base_url="https://elsewhere.example", request_id="one")
    done = command("wait", "fox.mp4.job.json")
    assert done.code == 64
    assert "RUNCOMFY_MODEL_API_BASE" in done.err
    assert simulated.books()["polls"] == 0


@pytest.mark.parametrize(
    ("facts", "code", "says"),
    [
        ({"state": "submitted", "base_url": SIMULATOR, "request_id": "a"}, 1, "embedded simulator"),
        ({"state": "planned", "base_url": "https://x"}, 75, "never accepted"),
        ({"state": "submitting", "base_url": "https://x"}, 76, "in doubt"),
        ({"state": "failed", "base_url": "https://x"}, 1, "without a video"),
        ({"state": "cancelled", "base_url": "https://x"}, 1, "without a video"),
    ],
)
def test_what_cannot_be_waited_for_says_why(
    facts: dict[str, object], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without any request, and without a token."""
    write_job_file(**facts)
    assert run(["wait", "fox.mp4.job.json"]) == code
    assert says in capsys.readouterr().err


def test_a_missing_job_file_is_65(capsys: pytest.CaptureFixture[str]) -> None:
    """It is not taken for a request id."""
    assert run(["wait", "nonesuch.job.json"]) == 65
    assert "does not exist" in capsys.readouterr().err


def test_status_and_result_of_a_job_that_waits() -> None:
    """One look each, with the place in the queue; no verdict yet is 75 for `result`."""
    with simulation("--speed", "1", "--capacity", "1") as running:
        first = accept(running)
        second = accept(running, "second.mp4")
        where = running.environment
        done = command("status", second, "--json", **where)
        assert done.json == {"request_id": second, "state": "in_queue", "position": 0}
        assert command("status", second, **where).out == "in the queue at position 0\n"
        assert command("status", first, **where).out == "in progress\n"
        waiting = command("result", second, **where)
        assert (waiting.code, waiting.out) == (75, "")
        assert "in the queue" in waiting.err
        cancelled = command("cancel", second, "--json", **where)
        assert cancelled.code == 0
        assert cancelled.json == {"request_id": second, "result": "cancelled"}
        assert command("cancel", first, **where).code == 1
        assert command("result", second, **where).code == 1
        assert running.books()["cancelled"] == 1


def test_result_of_a_finished_job(simulated: Simulation) -> None:
    """Its URL on stdout, for a pipe."""
    request_id = accept(simulated)
    assert command("wait", request_id, *QUICK).code == 0
    done = command("result", request_id)
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert done.out.startswith("http")
    assert json.loads(command("result", request_id, "--json").out)["state"] == "succeeded"
    assert command("status", request_id).out == "succeeded, $0.25\n"


def test_unknown_and_impossible_ids(simulated: Simulation) -> None:
    """Lost is not failed; what cannot be an id is not sent."""
    for name in ("status", "result"):
        assert command(name, "nobodys-job").code == 1
        assert command(name, "no id at all").code == 64
    assert simulated.books()["polls"] == 2


def test_an_unreachable_service_is_69(simulated: Simulation) -> None:
    """Nothing listens there any more."""
    simulated.books()
    assert command("status", "some-job").code == 69
