"""The token goes nowhere else: whole runs against a service that repeats it, and the search.

Time is real, for sockets and processes are the point; nothing depends on its speed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import re
import shutil
import sqlite3
import urllib.request
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seedance_async import (
    FileJournal,
    FixedPolling,
    Outcome,
    ProFastTextToVideo,
    SeedanceError,
    Session,
    Succeeded,
)
from seedance_async.cli.app import COMMANDS
from seedance_async.credentials import Token
from seedance_async.download import DownloadRules
from seedance_async.http import HttpTransport, Limits
from tests.cli.processes import until
from tests.hostile.batch_times import TOGETHER
from tests.hostile.server import HostileServer, Plan, Received

from .canary import Evidence, long_token, plain_token, signs_token, spell
from .desk import Desk
from .echoes import Elsewhere, catalog, echoes, errands, listening
from .judge import Figures
from .showing import Watch, watched

IS_LONG = "SEEDANCE_LONG" in os.environ
ELSEWHERE = b"GET /video-elsewhere.mp4"
MANY = 99
"""More spellings than there are: all of them."""

PRINTED = {"stdout", "stderr", "command lines", "another origin", "*.log", "file names"}
WRITTEN = {
    *PRINTED,
    *("ledger.sqlite", "ledger.sqlite, read out", "ledger.sqlite-wal", "ledger.sqlite-shm"),
    *("ledger.lock", "results.jsonl", "*.job.json", "*.mp4"),
}
SHOWN = {
    *("log", "reprs", "errors", "tracebacks with locals", "pickles", "tasks", "faulthandler"),
    *("warnings", "journal.jsonl", "another origin"),
}
TOKENS = {"plain": plain_token, "signs": signs_token, "long": long_token}


def assert_where_it_belongs(received: list[Received], token: str) -> int:
    """Return how many requests bore the token, each in its one header, and no video's did."""
    bearing = 0
    for request in received:
        named = [name for name, value in request.headers if token in value]
        assert named == ([] if request.target.startswith("/videos/") else ["authorization"])
        assert token not in request.target
        assert token.encode() not in request.body
        bearing += len(named)
    return bearing


# --- in process ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TOKENS)
def test_the_token_goes_nowhere_else_whatever_a_session_shows(
    kind: str, chance: random.Random, tmp_path: Path, tell: Callable[..., None]
) -> None:
    """A service repeats it in 18 spellings in all answers; all that shows is searched for it."""
    token = TOKENS[kind](chance)
    evidence = Evidence(token)
    plans = echoes(token, MANY if IS_LONG else 1, chance) | errands(token)

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.0  # each callback is told of
        await play(server, foreign, token, plans, watch, tmp_path)

    with listening(plans) as (server, foreign), watched(evidence) as watch:
        server.catalog = catalog(token)
        asyncio.run(main(), debug=True)
    evidence.add("another origin", bytes(foreign.raw))
    evidence.add_files(tmp_path)
    evidence.assert_clean()
    bearing = assert_where_it_belongs(server.received, token)
    assert set(evidence.places) >= SHOWN
    assert ELSEWHERE in foreign.raw
    assert bearing > len(plans)
    size = sum(len(thing) for things in evidence.places.values() for thing in things)
    tell(Figures(), requests=bearing, megabytes_searched=size // 10**6)


async def play(
    server: HostileServer,
    foreign: Elsewhere,
    token: str,
    words: Any,
    watch: Watch,
    folder: Path,
) -> None:
    """Let a session meet every behaviour, and show all that it has at its fullest and its end."""
    transport = HttpTransport(
        server.url, Token(token, "a test"), limits=Limits(connect=0.5, stall=0.15)
    )
    session = Session(
        transport=transport,
        max_in_flight=40,
        max_submitting=20,
        polling=FixedPolling(0.02),
        job_timeout=2.0,
        journal=FileJournal(folder / "journal.jsonl"),
        on_event=watch.shows,
    )
    TOGETHER.shorten(session)
    async with session:
        state = session._lifetime.state
        assert state is not None
        state.gate.doubts_to_stop = state.gate.refusals_to_stop = 10**6
        meetings = [
            asyncio.create_task(meet(session, word, watch, folder), name=word) for word in words
        ]
        await asyncio.sleep(0.1)
        watch.shows_all_of(session)
        _, hanging = await asyncio.wait(meetings, timeout=30.0)
        assert not hanging, f"these never ended: {[task.get_name() for task in hanging]}"
        await asyncio.gather(*meetings)
        while ELSEWHERE not in foreign.raw:  # a slow machine ran into the short limits above
            await meet(session, "video-elsewhere", watch, folder)
        for _ in range(3 * len(spell(token))):
            try:
                await session.catalog_model("catalog/any")
            except SeedanceError as error:
                watch.shows(error)
        watch.shows_all_of(session)
    await transport.aclose()
    unopened = Session(token, base_url=server.url)
    watch.shows_all_of(unopened)
    await Session(token, base_url=server.url).__aenter__()  # never left: it warns
    await unopened.aclose()


async def meet(session: Session, word: str, watch: Watch, folder: Path) -> None:
    """Take one job as far as it goes, and show each value and each error on the way."""
    try:
        job = await session.submit(ProFastTextToVideo(text=f"{word} 0"), tag=word)
        watch.shows(job)
        if word.startswith("uncancelled"):
            watch.shows(await job.cancel())
            await job.detach("the test has seen it")
        outcome = await job.wait()
        watch.shows(outcome)
        await raised(session, outcome, watch, folder / f"{word}.mp4")
    except SeedanceError as error:
        watch.shows(error)


async def raised(session: Session, outcome: Outcome, watch: Watch, path: Path) -> None:
    """Look at the job once more, and download its video if there is one."""
    if outcome.request_id is not None:
        watch.shows(await session.fetch(outcome.request_id))
    if isinstance(outcome, Succeeded):
        rules = DownloadRules(allow_hosts=("localhost",), tries=2)
        watch.shows(await session.download(outcome, path, rules=rules))


# --- the command line ----------------------------------------------------------------------


@pytest.mark.parametrize("source", ["variable", "file"])
def test_the_token_goes_nowhere_else_whatever_the_commands_do(
    source: str, chance: random.Random, tmp_path: Path, tell: Callable[..., None]
) -> None:
    """Every command, in debug mode, killed and resumed, and all it writes, prints and sends."""
    token = (plain_token if source == "file" else signs_token)(chance)
    evidence = Evidence(token)
    plans = echoes(token, 2 if IS_LONG else 0, chance) | errands(token) | always(token)
    with listening(plans) as (server, elsewhere):
        server.catalog = catalog(token)
        desk = Desk(tmp_path, server.url, token, in_file=source == "file", evidence=evidence)
        bugs_and_proxies(desk, server, elsewhere)
        if IS_LONG or source == "variable":
            single_jobs(desk, elsewhere)
            whole_batch(desk, server, sorted(plans))
            assert desk.commands == COMMANDS.keys() - {"bench", "demo", "simulate"}
            assert b"GET /first.png" in elsewhere.raw
    desk.collect()
    evidence.add("another origin", bytes(elsewhere.raw))
    evidence.assert_clean()
    assert set(evidence.places) >= (WRITTEN if "batch" in desk.commands else PRINTED)
    assert_left_nothing_elsewhere(desk, {server.port, elsewhere.port})
    assert b"CONNECT model-api.runcomfy.net:443" in elsewhere.raw
    bearing = assert_where_it_belongs(server.received, token)
    tell(Figures(), requests=bearing, most_places_searched=len(evidence.places))


def always(token: str) -> dict[str, Plan]:
    """Return the behaviours that the commands below count on."""
    plans = echoes(token, MANY, random.Random(0))
    kinds = ("refused", "doubt", "denied", "failed", "lost", "strange", "uncancelled")
    return {f"{kind}.json": plans[f"{kind}.json"] for kind in kinds}


def bugs_and_proxies(desk: Desk, server: HostileServer, elsewhere: Elsewhere) -> None:
    """A refused token, a bug of ours that holds the token, and a proxy on the way."""
    for word in ("denied", "failed", "lost", "strange", "uncancelled"):
        server.take(f"{word}.json", word, f"job-{word}")
    desk.run("status", "job-denied", "-v", code=77)
    told = desk.run("status", "job-strange", "-v", code=70, CANARY_BUG="1").err
    assert "KeyError" in told
    assert "[token]" in told
    there = {"RUNCOMFY_MODEL_API_BASE": "https://model-api.runcomfy.net", "NO_PROXY": ""}
    desk.run("doctor", "-vv", code=69, HTTPS_PROXY=elsewhere.url, **there)


def single_jobs(desk: Desk, elsewhere: Elsewhere) -> None:
    """Everything that is about one job, with each kind of end."""
    generate = ("generate", "pro-fast", "--yes", "--poll-interval", "0.05")
    image = f"{elsewhere.url}/first.png"
    lite = ("generate", "lite", "--prompt", "fine 1", "--first-frame-image-url", image, "--yes")
    desk.run_all(
        [
            (0, (*generate, "--prompt", "fine 0", "-o", "fine.mp4", "-vv")),
            (1, (*generate, "--prompt", "refused.json 0", "-o", "refused.mp4", "-v")),
            (76, (*generate, "--prompt", "doubt.json 0", "-o", "doubt.mp4", "--json")),
            (0, (*lite, "-o", "lite.mp4", "-vv")),
            (0, ("status", "job-strange", "--json")),
            (1, ("result", "job-failed", "-vv")),
            (75, ("cancel", "job-uncancelled", "-vv")),
            (1, ("wait", "job-lost", "-o", "lost.mp4", "-vv")),
            (0, ("models", "--json")),
        ]
    )


def whole_batch(desk: Desk, server: HostileServer, words: list[str]) -> None:
    """A batch that is killed, resumed, retried, settled, cancelled and told of."""
    rows = [{"key": f"d{n}", "text": f"doubt.json {n}"} for n in range(5)]
    for word in words:  # the fine ones keep the brake off
        rows += [{"key": word, "text": f"{word} 1"}, {"key": f"fine-{word}", "text": "fine 1"}]
    manifest = desk.work / "films.jsonl"
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    batch: tuple[str, ...] = (
        "batch",
        "films.jsonl",
        "--model",
        "pro-fast",
        "--out",
        "run",
        "--yes",
    )
    batch += ("--max-in-doubt", "1000", "--max-in-flight", "20", "--poll-interval", "0.05")
    batch += ("--job-timeout", "2")
    desk.run("batch", "films.jsonl", "--model", "pro-fast", "--out", "run", "--dry-run", code=0)
    killed = desk.start(*batch, "-vv")
    until(lambda: len(server.accepted) > 20)
    killed.kill()
    desk.end(killed)
    desk.evidence.add_files(desk.work)  # the log and its index in memory lie there
    desk.run(*batch, "-vv", code=77)
    ids = [server.accepted[f"doubt.json {n}"][0] for n in range(2)]
    (desk.work / "found.csv").write_text(f"key,request_id,not_billed\nd1,{ids[1]},\nd2,,yes\n")
    desk.run("resolve", "run", code=76)
    desk.run("resolve", "run", "d0", "--request-id", "job-denied", "-v", code=1)
    desk.run("resolve", "run", "d0", "--request-id", ids[0], "-v", code=0)
    desk.run("resolve", "run", "--from", "found.csv", "-v", code=0)
    desk.run("resolve", "run", "d3", "--not-billed", "--json", code=0)
    desk.run("resolve", "run", "--all", "--not-billed", "--yes", code=0)
    desk.run(*batch, "--retry", "failed", "--allow-host", "localhost", "--json", code=77)
    desk.run("results", "run", "--json", code=0)
    desk.run("report", "run", code=0)
    desk.run("cancel", "run", "-v", code=77)


def assert_left_nothing_elsewhere(desk: Desk, ports: set[int]) -> None:
    """The commands wrote into their folders only, started no process and went to no other port."""
    audit = desk.audit()
    started = {line for line in audit if line.startswith(("subprocess", "os."))}
    # Python's own `platform` asks it; it gets no argument of ours.
    assert started <= {"subprocess.Popen (['uname', '-p'], None, None)"}
    gone_to = {int(found) for line in audit for found in re.findall(r"connect .*, (\d+)\)", line)}
    assert gone_to <= ports
    written = [line.partition(" ")[2].strip("'") for line in audit if line.startswith("writes")]
    inside = (str(desk.work), str(desk.home), str(desk.seen), "/dev/null", "/tmp")
    assert not [path for path in written if path.startswith("/") and not path.startswith(inside)]


# --- the search itself ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", TOKENS)
def test_the_token_goes_nowhere_else_or_the_search_reads_it(
    kind: str, chance: random.Random
) -> None:
    """A token planted in each spelling, and one that is cut, is found; what looks alike is not."""
    token = TOKENS[kind](chance)
    for name, spelled in spell(token).items():
        evidence = Evidence(token)
        evidence.add(name, f'{{"said": "before {spelled} after"}}')
        assert [found.place for found in evidence.search()] == [name]
    evidence = Evidence(token)
    evidence.add("cut", f"... Bearer {token[: len(token) * 3 // 4]}")
    evidence.add("clean", "job-17 completed: http://127.0.0.1/videos/a_%3D7.mp4 \\u002f &amp;" * 9)
    assert [found.place for found in evidence.search()] == ["cut"]


def test_the_token_goes_nowhere_else_or_the_search_finds_it(
    chance: random.Random, tmp_path: Path
) -> None:
    """A token planted in each place, by the way that a leak would take, is found in each."""
    token = signs_token(chance)
    evidence = Evidence(token)
    with listening({}) as (_, elsewhere), watched(evidence) as watch:
        plant_in_process(watch, token)
        plant_in_files(tmp_path, token)
        request = urllib.request.Request(elsewhere.url, token.encode(), {"Authorization": token})
        urllib.request.urlopen(request, timeout=5).close()
        evidence.add("another origin", bytes(elsewhere.raw))
    evidence.add_files(tmp_path)
    (tmp_path / "desk").mkdir()
    desk = Desk(tmp_path / "desk", elsewhere.url, token, in_file=False, evidence=evidence)
    (desk.work / "bad.jsonl").write_text("{}\n")
    desk.run("batch", "bad.jsonl", "--out", token.replace("/", ""), "--json", code=65)
    (desk.seen / "planted.log").write_text(token)
    desk.collect()
    found = {leak.place for leak in evidence.search()}
    assert found >= (WRITTEN | SHOWN | {"errors.jsonl"}) - {"faulthandler", "*.mp4"}


def plant_in_process(watch: Watch, token: str) -> None:
    """Let a log, a warning, a task, an error's cause and a value show it."""

    async def show() -> None:
        asyncio.current_task().set_name(token)  # type: ignore[union-attr]
        watch.shows_all_of(None)

    asyncio.run(show())
    logging.getLogger("aiohttp.client").debug("%s", {"Authorization": f"Bearer {token}"})
    warnings.warn(f"unclosed {token}", ResourceWarning, stacklevel=1)
    watch.shows(ProFastTextToVideo(text=token))
    try:
        json.loads(f"[{token}")
    except ValueError as cause:
        error = SeedanceError("no trace of it")
        error.__cause__ = cause
        watch.shows(error)


def plant_in_files(folder: Path, token: str) -> None:
    """Let each file of a killed batch show it; the database in its log and in a long row."""
    opened = folder / "opened"
    opened.mkdir()
    with closing(sqlite3.connect(opened / "ledger.sqlite", isolation_level=None)) as ledger:
        ledger.execute("PRAGMA journal_mode = WAL")
        ledger.execute("CREATE TABLE attempt (error)")
        for text in (token, f"{'x' * 4080}{token}{'y' * 9000}"):
            ledger.execute("INSERT INTO attempt VALUES (?)", (text,))
            shutil.copytree(opened, folder / "killed", dirs_exist_ok=True)
    shutil.copy(opened / "ledger.sqlite", folder / "killed")
    names = ("journal.jsonl", "errors.jsonl", "results.jsonl", "ledger.lock", "a.mp4.job.json")
    for name in (*names, "ledger.sqlite-shm"):
        with (folder / "killed" / name).open("a") as file:
            file.write(token)
