"""`bench`, in this process in virtual time, and once as a process of its own."""

import json
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from seedance_async.cli.app import run
from seedance_async.errors import LedgerError
from seedance_async.http import Limits

from .folders import ids
from .processes import Simulation, command, finish, start, until

QUICK = ("bench", "--levels", "1,4,8,16", "--jobs", "32", "--duration", "60")


def test_it_prints_a_table_and_the_recommendation_and_writes_the_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(QUICK) == 0
    out = capsys.readouterr().out
    assert "in flight" in out.splitlines()[0]
    assert len([line for line in out.splitlines() if "32 succeeded" in line]) == 4
    assert "max_in_flight: 8. 8 in flight brought 7.8 videos a minute" in out
    assert out.splitlines()[-1] == "benchmark-1/benchmark.html"
    for name in ("benchmark.html", "benchmark.json", "benchmark.csv", "ledger.sqlite"):
        assert (Path("benchmark-1") / name).stat().st_size > 0


def test_each_simulated_benchmark_without_a_folder_gets_a_new_one() -> None:
    for _ in range(2):
        assert run(("bench", "--levels", "1,2", "--jobs", "4")) == 0
    assert {path.name for path in Path().glob("benchmark-*")} == {"benchmark-1", "benchmark-2"}


def test_its_session_has_the_connections_for_its_highest_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are made when it is opened; no round adds any."""
    asked: list[int] = []

    def for_jobs(number: int) -> Limits:
        asked.append(number)
        return Limits()

    monkeypatch.setattr(Limits, "for_jobs", for_jobs)
    assert run(("bench", "--levels", "3,1", "--jobs", "6", "--speed", "1000")) == 0
    assert asked == [3]


def test_the_same_command_finds_the_same_in_virtual_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a simulator of its own, in a folder of its own."""
    reports = []
    for folder in ("one", "two"):
        assert run((*QUICK, "--json", "--out", folder)) == 0
        told = json.loads(capsys.readouterr().out)
        reports.append({name: told[name] for name in ("levels", "recommendation", "money")})
    assert reports[0] == reports[1]


def test_polls_come_at_one_interval_and_no_flag_says_otherwise(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is learned would differ from level to level."""
    assert run((*QUICK, "--out", "b", "--poll-interval", "5", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["conditions"]["a poll every"] == "5 s"
    assert run((*QUICK, "--no-history")) == 64
    assert run(("bench", "--help")) == 0
    assert "learned" not in capsys.readouterr().out


def test_other_commands_send_back_to_the_benchmark_of_a_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No batch could go on there: nobody has its manifest."""
    assert run(("bench", "--levels", "1", "--jobs", "4", "--max-videos", "2", "--out", "b")) != 0
    capsys.readouterr()
    run(("results", "b"))
    assert "the same bench command (`seedance-async bench ... --out b`)" in capsys.readouterr().err


def test_other_conditions_in_the_same_folder_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run((*QUICK, "--out", "b")) == 0
    capsys.readouterr()
    assert run((*QUICK, "--out", "b", "--capacity", "4")) == 73
    assert "other conditions" in capsys.readouterr().err


def test_another_request_in_the_same_folder_is_65(capsys: pytest.CaptureFixture[str]) -> None:
    assert run((*QUICK, "--out", "b")) == 0
    assert run((*QUICK, "--out", "b", "--input", '{"text": "A hare"}')) == 65
    assert "another request" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--levels", "1,two"), "whole numbers"),
        (("--levels", "8", "--jobs", "8"), "above the highest level"),
        (("--repeats", "0"), "repeats"),
        (("--model", "prof-fast"), "short name"),
        (("--input", '{"ratio": "1:7"}'), "ratio"),
        (("--capacity", "0"), "--capacity"),
        (("--speed", "0"), "--speed"),
        (("--duration", "long"), "distribution"),
        (("--fault", "nonsense=1"), "unknown fault"),
        (("--max-queue", "-1"), "--max-queue"),
        (("--requests-per-second", "0"), "--requests-per-second"),
        (("--live",), "--budget"),
        (("--live", "--budget", "5"), "--out"),
    ],
)
def test_what_cannot_be_is_64_and_leaves_no_folder(
    flags: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(("bench", *flags)) == 64
    assert why in capsys.readouterr().err
    assert not list(Path().glob("bench*"))


def test_the_smallest_video_of_the_model_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    image = '{"first_frame_image_url": "https://example.com/a.png"}'
    flags = ("--model", "v15-pro", "--input", image, "--levels", "1,2", "--jobs", "3")
    assert run(("bench", *flags, "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "bytedance/seedance-v1.5-pro/image-to-video"
    assert [level["cost_usd"] for level in told["levels"]] == [0.6, 0.6]  # 3 x 4 s x $0.05


LIVE = ("bench", "--live", "--out", "live", "--levels", "1,2", "--jobs", "4", "--poll-interval")


def test_a_live_run_is_refused_where_nobody_can_say_yes(
    simulated: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run((*LIVE, "0.1", "--budget", "2")) == 64
    told = capsys.readouterr().err
    assert "8 paid generations" in told
    assert "estimate $0.80, budget $2.00" in told
    assert "leave --live out" in told
    assert simulated.books()["accepted"] == 0


def test_a_live_run_stays_within_its_budget_and_goes_on_with_a_higher_one(
    simulated: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service is a simulator in a process of its own, so time is real."""
    assert run((*LIVE, "0.1", "--yes", "--budget", "0.55", "--json")) == 76
    told = json.loads(capsys.readouterr().out)
    assert told["money"] == {
        "settled_usd": 0.5,
        "reserved_usd": 0.0,
        "unpriced": 0,
        "unestimated": 0,
    }
    assert told["stop"]["reason"] == "budget"
    assert run((*LIVE, "0.1", "--yes", "--budget", "2", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert [level["partial_rounds"] for level in told["levels"]] == [0, 1]
    books = simulated.books()
    assert (books["accepted"], books["paid_twice"]) == (8, [])


def has_a_job() -> bool:
    """Tell whether a job is in the ledger; it is read while it is being made, too."""
    with suppress(LedgerError):
        return any(ids(Path("live")).values())
    return False


def test_interrupted_as_a_process_it_waits_for_what_runs_and_goes_on(
    simulated: Simulation,
) -> None:
    """End to end: SIGINT, then the same command, and nothing is paid twice."""
    flags = (*LIVE, "0.1", "--yes", "--budget", "5", "--json")
    process = start(*flags, **simulated.environment)
    until(has_a_job)
    process.send_signal(signal.SIGINT)
    first = finish(process)
    assert first.code == 130, first.err
    assert "no more is submitted" in first.err
    assert "seedance-async bench --live" in first.err
    second = command(*flags, **simulated.environment)
    assert second.code == 0, second.err
    assert second.json["levels"][0]["partial_rounds"] == 1
    books = simulated.books()
    assert (books["accepted"], books["paid_twice"]) == (8, [])


def test_in_real_time_it_goes_through_sockets(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--speed", "60", "--levels", "1,4", "--jobs", "8", "--json")
    assert run(("bench", *flags)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["conditions"]["time"] == "real, 60 times faster"
    assert all(level["videos_per_minute"] > 60 for level in told["levels"])
