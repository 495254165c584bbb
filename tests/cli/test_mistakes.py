"""Mistakes at the command line and in job files: each has its code and says what is wrong."""

import json
import socket
from pathlib import Path

import pytest

from seedance_async.cli.app import run
from seedance_async.cli.jobfile import JobRecord, read_record
from seedance_async.cli.wait import _check_known
from seedance_async.errors import JobLostError
from seedance_async.jobs import ErrorInfo, InProgress, Lost, TimedOut

from .processes import Simulation, command, start, until_state

FOX = ("generate", "pro-fast", "--prompt", "A red fox", "--yes")
QUICK = ("--poll-interval", "0.1")
BASE = "https://model-api.runcomfy.net"
PLACE = Path("fox.mp4.job.json")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where nobody listens, and a token for it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{held.getsockname()[1]}"
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", base_url)
    monkeypatch.setenv("RUNCOMFY_TOKEN", "some-token")
    return base_url


def write_document(**facts: object) -> None:
    PLACE.write_text(json.dumps({**JobRecord(file="fox.mp4", base_url=BASE).as_json(), **facts}))


@pytest.mark.parametrize("job", ["", ".", "/", "./"])
def test_a_name_that_is_none_is_64(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As an unset variable of a script gives it."""
    assert run(["wait", job]) == 64
    assert "no request id or job file" in capsys.readouterr().err


def test_an_endless_id_is_64(nowhere: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Too long for a file's name, and for an id."""
    assert run(["wait", "x" * 300]) == 64
    assert run(["wait", "some-id", "-o", "."]) == 73
    assert "bug" not in capsys.readouterr().err


@pytest.mark.parametrize("length", [246, 250, 256])
def test_a_name_too_long_for_the_disk_is_73(
    length: int, nowhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its job file's name is longer, its draft's longer still: known before anything is sent."""
    name = "x" * (length - 4) + ".mp4"
    assert run([*FOX, "-o", name]) == 73
    assert run(["wait", "some-id", "-o", name]) == 73
    assert capsys.readouterr().err.count("too long") == 2
    assert not [path for path in Path().iterdir() if path.name != "home"]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"state": "generating"}, 'its state "generating" is unknown'),
        ({"state": "submitted"}, "submitted, but it has no request_id"),
        ({"state": "timed_out", "request_id": ""}, "timed_out, but it has no request_id"),
        ({"state": "succeeded"}, "succeeded, but it has no request_id"),
        ({"state": "failed", "error": "text"}, 'its error is "text"'),
        ({"state": "failed", "earlier": ["text"]}, "its earlier"),
        ({"state": "failed", "input": 7}, "its input is 7"),
        ({"state": "failed", "version": 0}, "its version is 0 and must be 1"),
        ({"state": "failed", "version": None}, "its version is null"),
        ({"state": "failed", "version": 2}, "written by a newer version"),
    ],
)
def test_a_wrong_job_file_is_65_and_stops_a_payment(
    facts: dict[str, object], says: str, nowhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may tell of something paid in words that nobody here knows."""
    write_document(**facts)
    content = PLACE.read_bytes()
    for words in (
        ["wait", str(PLACE)],
        [*FOX, "-o", "fox.mp4"],
        [*FOX, "-o", "fox.mp4", "--again"],
    ):
        assert run(words) == 65
        told = capsys.readouterr().err
        assert str(PLACE) in told
        assert says in told
    assert PLACE.read_bytes() == content


def test_a_video_url_is_enough_to_download() -> None:
    """What `wait` needs is there."""
    write_document(state="succeeded", video_url="https://v")
    record = read_record(PLACE)
    assert record is not None
    assert record.may_be_paid


def test_a_state_of_tomorrow_counts_as_paid() -> None:
    """Only what is known to be safe is replaced."""
    assert JobRecord(state="generating", base_url=BASE).may_be_paid


def test_cancel_says_why_it_has_no_answer(simulated: Simulation) -> None:
    """A loop on 75 ends: a refused token is 77, an unknown id 1."""
    refused = command("cancel", "some-job", RUNCOMFY_TOKEN="wrong")
    assert (refused.code, refused.out) == (77, "")
    assert "401" in refused.err
    unknown = command("cancel", "nobodys-job")
    assert unknown.code == 1
    assert "not known to the service" in unknown.err


def test_cancel_of_an_unreachable_service_is_69(
    nowhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for `status`."""
    assert run(["cancel", "some-job"]) == 69
    assert "no clear answer" not in capsys.readouterr().out


def test_cancels_result_is_on_stdout(simulated: Simulation) -> None:
    """As those of `status` and `result` are."""
    process = start(*FOX, "-o", "fox.mp4", *QUICK)
    request_id = until_state(PLACE, "downloaded")["request_id"]
    process.communicate(timeout=20)
    done = command("cancel", request_id)
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith(f"job {request_id}: not cancellable")


@pytest.mark.parametrize(
    "flags",
    [
        ("--max-queue", "-3"),
        ("--max-queue=-3",),
        ("--token", ""),
        ("--token", "a b"),
        ("--token", "a\tb"),
        ("--token", "é"),
    ],
)
def test_a_simulator_that_cannot_be_is_64(
    flags: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not start to serve what nobody could use."""
    assert run(["simulate", "--port", "0", *flags]) == 64
    told = capsys.readouterr().err
    assert flags[0].partition("=")[0] in told
    assert "a b" not in told


def test_an_id_that_no_poll_confirmed_is_not_called_a_job(simulated: Simulation) -> None:
    """A typing slip is not "accepted, and may have been billed"."""
    done = command("wait", "nobodys-job", "--job-timeout", "0.5", *QUICK)
    assert done.code == 75
    assert "no poll succeeded" in done.err
    assert "billed" not in done.err


def test_an_id_that_the_service_never_knew_is_not_lost() -> None:
    """The minute of grace is not waited for here."""
    lost = Lost(request_id="nobodys-job", error=ErrorInfo("NotFoundError", "no such request"))
    with pytest.raises(JobLostError, match="nobodys-job is not known to the service") as raised:
        _check_known(lost)
    assert "billed" not in str(raised.value)
    _check_known(TimedOut(request_id="id-1", reason="late", last_seen=InProgress()))
