"""`batch`: manifests, money, plans and reports, in this process against a simulator."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.batch.lock import FolderLock
from seedance_async.batch.planning import plan_manifest
from seedance_async.batch.selection import Selection
from seedance_async.cli.app import run
from seedance_async.cli.batchimages import look_at_images
from seedance_async.errors import Violation
from seedance_async.images import ImageReport
from seedance_async.models import RawRequest
from tests.batch.ledgers import failed, opened, submit
from tests.batch.ledgers import lost as lost_outcome

from .folders import leave, states
from .processes import Simulation, simulation

RUN = Path("run")
MANIFEST = Path("films.jsonl")
QUICK = ("--poll-interval", "0.1")
NOWHERE = "http://127.0.0.1:9"


def write(number: int = 3, **fields: Any) -> None:
    """Write a manifest with the keys a, b, c and so on."""
    rows = (
        {"key": chr(97 + n), "model": "pro-fast", "text": f"take {n}", "duration": 5, **fields}
        for n in range(number)
    )
    MANIFEST.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def batch(*flags: str) -> int:
    return run(["batch", str(MANIFEST), "--out", str(RUN), *QUICK, *flags])


def simulate(*flags: str) -> int:
    return batch("--simulate", "--speed", "200", *flags)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    return capsys


# --- a whole run ---------------------------------------------------------------------------


def test_never_pays_twice_the_same_command_again(
    simulated: Simulation, said: pytest.CaptureFixture[str]
) -> None:
    """Each row its video; then nothing is asked, submitted or downloaded; then one row more."""
    write()
    assert batch("--yes") == 0
    out, err = said.readouterr()
    assert out == "run/results.jsonl\n"
    assert "films.jsonl: 3 rows, 3 new; into run" in err
    assert "3 to submit: estimate $0.75" in err
    assert "a  pro-fast  accepted: job" in err
    assert "a  pro-fast  downloaded: videos/a.mp4" in err
    assert "all runs: $0.75 settled, $0.00 reserved" in err
    assert "next:" not in err
    assert all((RUN / f"videos/{key}.mp4").read_bytes()[4:8] == b"ftyp" for key in "abc")
    results = [json.loads(line) for line in (RUN / "results.jsonl").read_text().splitlines()]
    assert [(row["key"], row["state"]) for row in results] == [(key, "downloaded") for key in "abc"]

    assert batch() == 0  # nobody could answer a question here
    err = said.readouterr().err
    assert "3 over already" in err
    assert "nothing to submit, nothing to download" in err

    write(4)
    assert batch("--yes") == 0
    assert "1 new" in said.readouterr().err
    books = simulated.books()
    assert (books["submissions"], books["accepted"], books["paid_twice"]) == (4, 4, [])
    written = b"".join(path.read_bytes() for path in RUN.rglob("*") if path.is_file())
    assert b"simulator-token" not in written


def test_the_summary_for_a_program(said: pytest.CaptureFixture[str]) -> None:
    """One object; its names are a promise."""
    write(2)
    assert simulate("--json") == 0
    told = json.loads(said.readouterr().out)
    assert told.pop("seconds") > 0
    counts = told.pop("counts")
    assert {state for state, n in counts.items() if n} == {"downloaded"}
    assert "invalid" in counts
    assert told == {
        "folder": "run",
        "service": "simulator",
        "exit_code": 0,
        "submitted": 2,
        "downloaded": 2,
        "to_download": 0,
        "not_downloadable": 0,
        "money": {"settled_usd": 0.5, "reserved_usd": 0.0, "unpriced": 0, "unestimated": 0},
        "stop": None,
        "denied": None,
        "storage_trouble": None,
        "results": "run/results.jsonl",
        "report": "run/report.html",
        "next": [],
    }


def test_a_simulated_batch_has_a_folder_of_its_own(said: pytest.CaptureFixture[str]) -> None:
    """Without --out; and it asks nothing, for nothing is paid."""
    write(1)
    assert run(["batch", str(MANIFEST), "--simulate", "--speed", "200"]) == 0
    assert said.readouterr().out == "simulated-batch/results.jsonl\n"
    assert Path("simulated-batch/videos/a.mp4").is_file()


def test_without_downloads_a_url_is_enough(said: pytest.CaptureFixture[str]) -> None:
    """No folder of videos is made."""
    write(1)
    assert simulate("--no-download") == 0
    assert not (RUN / "videos").exists()
    assert states(RUN) == {"a": "succeeded"}


def test_some_rows_only(said: pytest.CaptureFixture[str]) -> None:
    """The first ones, or named ones; a slip of the pen is told."""
    write(5)
    assert simulate("--limit", "2") == 0
    assert [key for key, state in states(RUN).items() if state == "downloaded"] == ["a", "b"]
    assert simulate("--only", "d, e", "--only", "e") == 0
    assert states(RUN)["c"] == "planned"
    said.readouterr()
    assert simulate("--only", "c,z") == 64
    assert "--only: the plan has no row with the key 'z'" in said.readouterr().err


# --- consent -------------------------------------------------------------------------------


def test_where_nobody_can_answer_nothing_is_sent(
    simulated: Simulation, said: pytest.CaptureFixture[str]
) -> None:
    """What would be spent is told all the same."""
    write()
    assert batch("--max-videos", "2") == 64
    err = said.readouterr().err
    assert "up to 2 paid generations" in err
    assert "estimate $0.75, --max-videos lets 2 pass" in err
    assert "add --yes to spend" in err
    assert simulated.books()["submissions"] == 0


@pytest.mark.parametrize("ended", ["failed", "lost"])
def test_without_consent_a_retry_changes_nothing(
    ended: str, simulated: Simulation, said: pytest.CaptureFixture[str]
) -> None:
    """A later --yes must not pay for what was refused now; lost ones are told of."""
    write(1)
    outcome = failed("id-a") if ended == "failed" else lost_outcome("id-a")

    async def main() -> None:
        async with await opened(RUN, simulated.base_url) as ledger:
            await plan_manifest(ledger, MANIFEST, errors=None)
            await submit(ledger, "a")
            await ledger.finished("a", outcome)

    asyncio.run(main())
    assert batch() == 1  # the same rows: nothing to submit
    assert f"--retry {ended}` pays for another attempt" in said.readouterr().err
    assert batch("--retry", ended) == 64
    err = said.readouterr().err
    assert "1 to submit" in err
    assert ("may have been paid for" in err.replace("\n", " ")) is (ended == "lost")
    assert states(RUN) == {"a": ended}
    assert batch("--retry", ended, "--yes") == 0
    assert states(RUN) == {"a": "downloaded"}


# --- money ---------------------------------------------------------------------------------


def test_a_budget_covers_all_runs(said: pytest.CaptureFixture[str]) -> None:
    """Used up it needs a person: 76, though rows are planned; more of it goes on."""
    write()
    assert simulate("--budget", "0.6") == 76
    err = said.readouterr().err
    assert "budget $0.60, which does not suffice for all" in err
    assert "next: 1 to submit: once --budget is raised, `seedance-async" in err
    assert simulate("--budget", "0.6") == 76
    assert simulate("--budget", "0.75") == 0


def test_max_videos_bounds_all_runs(said: pytest.CaptureFixture[str]) -> None:
    """It needs no price."""
    write()
    assert simulate("--max-videos", "2", "--json") == 76
    told = json.loads(said.readouterr().out)
    assert (told["submitted"], told["stop"]["reason"]) == (2, "max_videos")
    assert simulate("--max-videos", "2") == 76
    assert simulate("--max-videos", "3") == 0


def test_a_budget_without_a_price_is_refused(
    monkeypatch: pytest.MonkeyPatch, said: pytest.CaptureFixture[str]
) -> None:
    """With the ways out; a catalog that names no price is a warning by itself."""
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", NOWHERE)
    monkeypatch.setenv("RUNCOMFY_TOKEN", "some-token")

    async def silent(*_: object) -> tuple[dict[str, object], list[str]]:
        return {}, ["the catalog tells no price of it"]

    monkeypatch.setattr("seedance_async.cli.batchrun.ask_catalog", silent)
    write()
    assert batch("--yes", "--budget", "5") == 64
    err = said.readouterr().err
    assert "warning: the catalog tells no price of it" in err
    assert "--price pro-fast=USD_PER_SECOND or --price-per-video pro-fast=USD" in err
    assert "--max-videos" in err
    assert states(RUN) == dict.fromkeys("abc", "planned")


@pytest.mark.parametrize("price", [(), ("--price", "0.05")], ids=["catalog", "flag"])
def test_an_unreachable_service_is_69_before_anything_is_submitted(
    monkeypatch: pytest.MonkeyPatch, said: pytest.CaptureFixture[str], price: tuple[str, ...]
) -> None:
    """The catalog is asked, for nothing, although the price is known: a POST would be paid."""
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", NOWHERE)
    monkeypatch.setenv("RUNCOMFY_TOKEN", "some-token")
    write(1)
    assert batch("--yes", *price) == 69
    assert "Check the network and the base URL" in said.readouterr().err
    assert states(RUN) == {"a": "planned"}
    assert batch("--dry-run") == 0
    assert "the catalog cannot be asked" in said.readouterr().err


# --- plans ---------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(said: pytest.CaptureFixture[str]) -> None:
    """Without a token it only lacks the prices of the catalog."""
    write()
    assert batch("--dry-run") == 0
    err = said.readouterr().err
    assert "3 to submit: no price is known" in err
    assert "rough time with 4 in flight: 30 s to 3 min" in err
    assert not RUN.exists()
    assert batch("--dry-run", "--json") == 0
    told = json.loads(said.readouterr().out)
    assert (told["unpriced"], told["estimate_usd"]) == (3, None), "which is not 0"
    assert batch("--dry-run", "--price", "0.1", "--json", "--limit", "2") == 0
    told = json.loads(said.readouterr().out)
    assert (told["dry_run"], told["to_submit"], told["estimate_usd"]) == (True, 2, 1.0)


def test_a_dry_run_of_a_known_folder_leaves_it(said: pytest.CaptureFixture[str]) -> None:
    """Its ledger is copied; even a retry and a new row change only the copy."""
    write(2)
    assert simulate() == 0
    before = {path.name: path.read_bytes() for path in RUN.iterdir() if path.is_file()}
    write(3)
    said.readouterr()
    assert simulate("--dry-run") == 0
    err = said.readouterr().err
    assert "1 to submit: estimate $0.25" in err
    assert "2 over already" in err
    assert {path.name: path.read_bytes() for path in RUN.iterdir() if path.is_file()} == before


BAD = '{"key": "a", "model": "pro-fast", "text": "x", "duration": 99}\n{"text": "y"}\n'


def test_an_invalid_manifest_is_65(said: pytest.CaptureFixture[str]) -> None:
    """Each error with its line, field and rule; where all are; nothing is submitted."""
    MANIFEST.write_text(BAD + '{"key": "c", "model": "pro-fast", "text": "z"}\n')
    assert simulate() == 65
    err = said.readouterr().err
    assert "line 1: duration must be one of" in err
    assert "(given: 99)" in err
    assert "line 2: model" in err
    assert "2 errors in 2 rows. Nothing was submitted. All are in run/errors.jsonl." in err
    assert len((RUN / "errors.jsonl").read_text().splitlines()) == 2
    assert simulate("--dry-run") == 65
    assert simulate("--skip-invalid") == 1
    err = said.readouterr().err
    assert "2 invalid, left out" in err
    assert "next: 2 invalid: run/errors.jsonl says why" in err
    assert states(RUN) == {"c": "downloaded"}


def test_the_first_fifty_errors_are_printed(said: pytest.CaptureFixture[str]) -> None:
    """A terminal is no place for thousands."""
    MANIFEST.write_text('{"model": "pro-fast"}\n' * 60)
    assert simulate() == 65
    err = said.readouterr().err
    assert err.count("line ") == 50
    assert "60 errors in 60 rows; the first 50 are above." in err


SMALL = "https://x.example/small.png"


async def _look(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    asked: list[str] = []

    async def inspect(request: RawRequest) -> ImageReport:
        ((field, url),) = request.input().items()
        asked.append(str(url))
        broken = (Violation(field, url, "is too small"),) if "small" in asked[-1] else ()
        return ImageReport((), broken, (f"{field} cannot be reached",) if not broken else ())

    async with await Ledger.open(folder, origin=SIMULATOR) as ledger:
        found = await look_at_images(ledger, Selection(), inspect=inspect)
    return found.broken, found.warnings, asked


def test_each_image_is_looked_at_once(said: pytest.CaptureFixture[str]) -> None:
    """However many rows name it; a broken rule is told with line, key and field."""
    rows = [
        {"key": f"r{n}", "model": "lite", "prompt": f"{n}", "first_frame_image_url": url}
        for n, url in enumerate([SMALL] * 3 + ["https://x.example/b.png"])
    ]
    MANIFEST.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert simulate("--max-videos", "1") == 76
    broken, warnings, asked = asyncio.run(_look(RUN))
    assert sorted(asked) == ["https://x.example/b.png", SMALL]
    assert broken == (
        f"line 2 (row r1) and 1 more: first_frame_image_url is too small (given: {SMALL})",
    )
    assert warnings == ("line 4 (row r3): first_frame_image_url cannot be reached",)


def test_an_image_that_breaks_a_rule_stops_all(said: pytest.CaptureFixture[str]) -> None:
    """Before anything is spent; http is one, and needs no network to be seen."""
    write(1, model="lite", first_frame_image_url="http://x.example/a.png", text=None, prompt="x")
    row = {"key": "a", "model": "lite", "prompt": "x", "first_frame_image_url": "https://[::1]/a"}
    MANIFEST.write_text(json.dumps(row))
    assert simulate("--check-images") == 65
    err = said.readouterr().err
    assert "line 1 (row a): first_frame_image_url must be a public https URL" in err
    assert "1 image breaks a rule of its model. Nothing was submitted" in err
    assert states(RUN) == {"a": "planned"}


# --- folders -------------------------------------------------------------------------------


def test_two_runners_of_one_folder(said: pytest.CaptureFixture[str]) -> None:
    """The second is told who holds it."""
    write()
    RUN.mkdir()
    lock = FolderLock(RUN / "ledger.lock", now=0.0)
    try:
        assert simulate() == 73
    finally:
        lock.release()
    assert f"in use by process {os.getpid()}" in said.readouterr().err


def test_another_services_folder_is_refused(said: pytest.CaptureFixture[str]) -> None:
    """A simulator's folder never becomes a paid one."""
    write()
    leave(RUN, doubts="a")
    assert simulate() == 73
    assert "--out" in said.readouterr().err


def test_doubts_need_a_person(said: pytest.CaptureFixture[str]) -> None:
    """76, and the command that settles them; the money stays reserved."""
    with simulation("--fault", "drop-after-accept=1") as running:
        for name, value in running.environment.items():
            os.environ[name] = value
        try:
            write(2)
            assert batch("--yes", "--max-in-doubt", "5") == 76
        finally:
            for name in running.environment:
                del os.environ[name]
        last = said.readouterr().err.splitlines()[-1]
        assert last == (
            "next: 2 in doubt, perhaps paid for: `seedance-async resolve run` settles them"
        )
        assert running.books()["paid_twice"] == []


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--limit", "0"], 64, "--limit"),
        (["--limit", "-1"], 64, "--limit"),
        (["--max-in-flight", "0"], 64, "--max-in-flight"),
        (["--max-in-doubt", "0"], 64, "--max-in-doubt"),
        (["--requests-per-second", "-1"], 64, "--requests-per-second"),
        (["--poll-interval", "0"], 64, "--poll-interval"),
        (["--job-timeout", "nan"], 64, "--job-timeout"),
        (["--speed", "0"], 64, "--speed"),
        (["--budget", "nan"], 64, "--budget"),
        (["--max-videos", "-1"], 64, "--max-videos"),
        (["--price", "lyte=1"], 64, "lyte"),
        (["--only", ","], 64, "--only"),
        (["--retry", "planned"], 64, "it has not been submitted"),
        (["--retry", "in_doubt"], 64, "settle the doubt with `resolve`"),
        (["--retry", "timed_out"], 64, "attaches it again"),
        (["--retry", "late"], 64, "no such state"),
        (["--retry", ""], 64, "--retry needs states"),
        (["--retry-downloads", "--no-download"], 64, "contradict"),
        (["--allow-host", "https://x.example/"], 64, "--allow-host"),
        (["--model", "lyte"], 65, "lyte"),
    ],
)
def test_wrong_flags_are_refused(
    flags: list[str], code: int, says: str, said: pytest.CaptureFixture[str]
) -> None:
    """Before anything is opened, by name."""
    write()
    assert run(["batch", str(MANIFEST), "--simulate", "--out", "run", *flags]) == code
    out, err = said.readouterr()
    assert says in err
    assert out == ""
    assert code == 65 or not RUN.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["films.jsonl"], 64, "--out DIR is needed"),
        (["none.jsonl", "--out", "run"], 65, "there is no such file"),
        (["films.xlsx", "--out", "run"], 65, "CSV UTF-8"),
        (["films.jsonl", "--out", "films.jsonl"], 73, "is a file"),
        (["films.jsonl", "--out", "x" * 300], 73, "too long"),
        (["."], 64, "--out"),
        ([".", "--out", "run"], 65, "a manifest is"),
        (["--otu", "run", "films.jsonl"], 64, "there is no flag --otu"),
        (["films.jsonl", "--otu", "run"], 64, "--out"),
    ],
)
def test_wrong_places_are_refused(
    arguments: list[str], code: int, says: str, said: pytest.CaptureFixture[str]
) -> None:
    """Before a folder is made."""
    write()
    assert run(["batch", *arguments]) == code
    assert says in said.readouterr().err
    assert not RUN.exists()


def test_a_manifest_is_checked_before_a_token_is_looked_for(
    said: pytest.CaptureFixture[str],
) -> None:
    """Whoever writes a sheet needs none; the plan is kept for when there is one."""
    write()
    assert run(["batch", "films.jsonl", "--out", "run"]) == 77
    assert "no token" in said.readouterr().err
    Path("films.jsonl").write_text('{"model": "pro-fast", "txt": "x"}\n')
    assert run(["batch", "films.jsonl", "--out", "run"]) == 65
    assert "line 1: txt is no field" in said.readouterr().err
