"""`generate`: consent, refusals before anything is spent, the file, the doubt."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from seedance_async.cli.app import run

from .processes import (
    DEADLINE,
    Simulation,
    command,
    finish,
    guard,
    job_file,
    simulation,
    start,
    until,
)

FOX = ("generate", "pro-fast", "--prompt", "A red fox", "-o", "fox.mp4")
IMAGE = ("generate", "lite", "--prompt", "It glows", "--first-frame-image-url")
QUICK = ("--poll-interval", "0.1")


def is_mp4(path: str) -> bool:
    return Path(path).read_bytes()[4:8] == b"ftyp"


def test_simulated_it_needs_no_token_and_writes_a_playable_file() -> None:
    """The first thing that a newcomer tries, as a real process."""
    done = command(*FOX, "--simulate", "--speed", "60")
    assert (done.code, done.out) == (0, "fox.mp4\n")
    assert "simulated" in done.err
    assert "accepted: job " in done.err
    assert is_mp4("fox.mp4")
    assert job_file("fox.mp4.job.json")["state"] == "downloaded"


def test_simulated_image_models_fetch_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The image's host does not exist, and nobody asks for it."""
    arguments = [*IMAGE, "https://images.example.invalid/a.png", "-o", "a.mp4", "--simulate"]
    assert run([*arguments, "--speed", "100", "--json"]) == 0
    captured = capsys.readouterr()
    assert '"simulated": true' in captured.out
    assert "warning" not in captured.err


def test_it_generates_over_a_real_port(simulated: Simulation) -> None:
    """Against `simulate` in another process; the JSON object has the words of a batch's results."""
    done = command(*FOX, "--yes", "--json", *QUICK)
    assert done.code == 0, done.err
    report = done.json
    assert report["state"] == "downloaded"
    assert report["file"] == "fox.mp4"
    assert report["bytes"] == Path("fox.mp4").stat().st_size
    assert report["cost_usd"] == 0.25
    assert is_mp4("fox.mp4")
    assert "simulator-token" not in Path("fox.mp4.job.json").read_text() + done.out + done.err
    books = simulated.books()
    assert (books["accepted"], books["paid_twice"], books["token_leaks"]) == (1, [], [])


def test_without_a_token_it_is_77(capsys: pytest.CaptureFixture[str]) -> None:
    """The token is the account's trouble; nothing is written for a submission that never was."""
    assert run([*FOX, "--yes"]) == 77
    assert "--simulate" in capsys.readouterr().err
    assert not Path("fox.mp4.job.json").exists()


def test_nobody_to_ask_is_no_consent(simulated: Simulation) -> None:
    """A cron job that forgot --yes spends nothing."""
    done = command(*FOX)
    assert done.code == 64
    assert "--yes" in done.err
    assert simulated.books()["submissions"] == 0


@pytest.mark.parametrize(("answer", "code", "accepted"), [("n\n", 64, 0), ("y\n", 0, 1)])
def test_on_a_terminal_it_asks(
    answer: str, code: int, accepted: int, simulated: Simulation
) -> None:
    """It says what it is about and takes only a yes for a yes."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "seedance_async", *FOX, *QUICK],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
    )
    guard(process)
    os.close(theirs)
    shown = ""
    while "[y/N]" not in shown:
        shown += os.read(ours, 4096).decode()
    os.write(ours, answer.encode())
    while True:
        try:
            shown += os.read(ours, 4096).decode(errors="replace")
        except OSError:  # the terminal's other side is closed: the process has ended
            break
    process.communicate(timeout=DEADLINE)
    os.close(ours)
    assert process.returncode == code, shown
    assert "paid generation" in shown
    assert "A red fox" in shown
    assert simulated.books()["accepted"] == accepted


def test_an_image_that_the_service_could_not_fetch_is_refused_before_spending(
    simulated: Simulation,
) -> None:
    """A local path is the commonest slip of the image models."""
    done = command(*IMAGE, "lantern.png", "-o", "a.mp4", "--yes")
    assert done.code == 64
    assert "first_frame_image_url must be a public https URL" in done.err
    assert simulated.books()["submissions"] == 0


def test_unchecked_images_are_the_services_to_judge(simulated: Simulation) -> None:
    """--no-check-images sends what is given; the service's refusal is final, and says why."""
    done = command(*IMAGE, "lantern.png", "-o", "a.mp4", "--yes", "--no-check-images")
    assert done.code == 1
    assert "The image must be a public HTTPS URL" in done.err
    assert job_file("a.mp4.job.json")["state"] == "failed"
    assert simulated.books()["accepted"] == 0


def test_an_output_that_cannot_be_written_is_refused_before_spending(
    simulated: Simulation,
) -> None:
    """73, and no POST: a missing folder, a folder as FILE, and a FILE that exists."""
    Path("there").mkdir()
    Path("old.mp4").write_bytes(b"mine")
    for target in ("missing/fox.mp4", "there", "old.mp4"):
        assert run([*FOX[:-1], target, "--yes"]) == 73
    assert Path("old.mp4").read_bytes() == b"mine"
    assert simulated.books()["submissions"] == 0


def test_never_pays_twice_a_doubt_stays_a_doubt() -> None:
    """Accepted, then dropped: 76, never sent again, refused the next time until somebody decides.

    The way out of it is `--again`, or an id that was found on the site.
    """
    with simulation("--fault", "drop-after-accept=1") as running:
        first = command(*FOX, "--yes", **running.environment)
        assert first.code == 76
        assert "--again" in first.err
        assert job_file("fox.mp4.job.json")["state"] == "in_doubt"
        second = command(*FOX, "--yes", **running.environment)
        assert second.code == 73
        assert "seedance-async wait fox.mp4.job.json" in second.err
        waited = command("wait", "fox.mp4.job.json", **running.environment)
        assert waited.code == 76
        assert "-o fox.mp4" in waited.err
        books = running.books()
    assert (books["submissions"], books["paid_twice"]) == (1, [])


def test_never_loses_what_was_paid_a_failed_download_is_no_failed_generation() -> None:
    """The URL stands, the file keeps it, and `wait` downloads it without another submission."""
    with simulation("--speed", "60") as running:
        Path("fox.mp4.part").mkdir()  # the draft of the download cannot be opened
        failed = command(*FOX, "--yes", *QUICK, **running.environment)
        assert failed.code == 73
        assert "seedance-async wait fox.mp4.job.json" in failed.err
        assert job_file("fox.mp4.job.json")["state"] == "succeeded"
        again = command(*FOX, "--yes", **running.environment)
        assert again.code == 73
        Path("fox.mp4.part").rmdir()
        done = command("wait", "fox.mp4.job.json", **running.environment)
        assert (done.code, done.out) == (0, "fox.mp4\n")
        assert is_mp4("fox.mp4")
        assert running.books()["submissions"] == 1


def test_a_failed_job_is_1_and_may_be_generated_again() -> None:
    """It is over; the message is the service's."""
    with simulation("--speed", "60", "--fault", "failed=1") as running:
        done = command(*FOX, "--yes", "--json", *QUICK, **running.environment)
        assert done.code == 1
        assert done.json["state"] == "failed"
        assert done.json["error"]["message"] in done.err
        waited = command("wait", "fox.mp4", **running.environment)
        assert waited.code == 1


def test_a_deadline_is_75_and_wait_comes_back(simulated: Simulation) -> None:
    """A timeout detaches: the same job, not a new one, makes progress afterwards."""
    done = command(*FOX, "--yes", "--job-timeout", "0.05", *QUICK)
    assert done.code == 75
    assert job_file("fox.mp4.job.json")["state"] == "timed_out"
    assert command("wait", "fox.mp4.job.json", *QUICK).code == 0
    assert simulated.books()["accepted"] == 1


def test_a_wrong_token_is_77(simulated: Simulation) -> None:
    """And nothing was accepted."""
    done = command(*FOX, "--yes", RUNCOMFY_TOKEN="another")
    assert done.code == 77
    assert "another" not in done.err
    assert simulated.books()["accepted"] == 0


def test_a_base_url_that_would_show_the_token_is_64(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain http goes to loopback only; a wrong setting is not the token's fault."""
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", "http://example.com")
    monkeypatch.setenv("RUNCOMFY_TOKEN", "t")
    assert run([*FOX, "--yes"]) == 64
    assert "https" in capsys.readouterr().err


def test_advice_is_a_line_not_a_python_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """What is allowed but disappoints is said once."""
    url = "https://example.com/a.png"
    arguments = [*IMAGE, url, "--last-frame-image-url", url, "--resolution", "1080p"]
    assert run([*arguments, "-o", "a.mp4", "--simulate", "--speed", "300"]) == 0
    text = capsys.readouterr().err
    assert text.count("last_frame_image_url has no effect at 1080p") == 1
    assert "RequestAdvice" not in text


def test_submitting_is_on_disk_before_the_post_leaves() -> None:
    """kill -9 in the middle of the POST: the file says submitting, which is a doubt."""
    with simulation("--fault", "slow=1") as running:  # the answer takes 5 s
        process = start(*FOX, "--yes", **running.environment)
        until(lambda: job_file("fox.mp4.job.json").get("state") == "submitting")
        process.kill()
        finish(process)
        waited = command("wait", "fox.mp4.job.json", **running.environment)
        assert waited.code == 76
        assert "may exist and be billed" in waited.err
        assert command(*FOX, "--yes", **running.environment).code == 73
