"""Promises 1 to 3: nothing is paid twice, nothing paid is lost, nothing is made up.

`test_bounds.py` has the promises 4 to 6; `test_storm.py` meets all of them at once.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import anyio
import attrs
import pytest

from seedance_async import (
    Cancelled,
    CancelResult,
    DownloadError,
    DownloadRules,
    Failed,
    FileJournal,
    FixedPolling,
    InDoubt,
    JobTimeoutError,
    Lost,
    Outcome,
    RejectedError,
    Session,
    SubmissionInDoubtError,
    Succeeded,
    TimedOut,
)
from seedance_async.bodies import Answer
from seedance_async.simulator.faults import SUBMIT_AFTER, SUBMIT_BEFORE
from tests.session.scene import RecordingJournal, Scene, fox, run

SECRET = "s3cret-token-0123456789"


def slow(scene: Scene, seconds: float) -> Scene:
    """Let the answers that the fault `slow` befalls take so long."""
    scene.simulator.faults = attrs.evolve(scene.simulator.faults, slow_seconds=seconds)
    return scene


# --- 1. never pays twice -------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*SUBMIT_BEFORE, *SUBMIT_AFTER, "slow"])
def test_never_pays_twice_whatever_befalls_a_post(fault: str) -> None:
    """A body goes out again only after a 429; whatever else is seen, it went out once."""
    words_of = {"429": "not_sent", "429-bare": "not_sent", "refused-in-200": "finished"}
    word = words_of.get(fault, "in_doubt")
    scene = slow(Scene(faults=[f"{fault}=0.5"], capacity=100), 200.0)

    async def main() -> None:
        async with scene.session(max_in_flight=40) as session:
            for number in range(40):
                try:
                    await session.submit(fox(number), tag=f"{number}")
                except (SubmissionInDoubtError, RejectedError):
                    session.reopen()

    run(main)
    scene.judge()
    assert set(scene.simulator.books.accepted_by_body().values()) <= {1}
    posts = Counter(scene.wire.posts)
    for number in range(40):
        words = scene.journal.of(f"{number}")
        body = json.dumps(fox(number).input(), separators=(",", ":")).encode()
        assert posts[body] == words.count("submitting") == 1 + words.count("not_sent")
        assert word == "not_sent" or words.count("not_sent") == 0
    assert len(scene.journal.told(word)) > 10


def test_never_pays_twice_by_a_second_process(tmp_path: Path) -> None:
    """At any moment of a POST a dead process's journal says which requests must not be sent."""
    scene = Scene(faults=["drop-after-accept=0.2"], latency=1.0)
    journal = FileJournal(tmp_path / "journal.jsonl")
    moments: list[bytes] = []

    def remember(method: str, _path: str) -> None:
        if method == "POST":
            moments.append(journal.path.read_bytes())

    scene.wire.script = remember

    async def main() -> None:
        async with Session(transport=scene.wire, journal=journal) as session:
            for number in range(20):
                try:
                    await session.submit(fox(number), tag=f"{number}")
                except SubmissionInDoubtError:
                    session.reopen()

    run(main)
    assert len(moments) == len(scene.wire.posts) == 20
    for number, moment in enumerate(moments):
        dead = tmp_path / "dead.jsonl"
        dead.write_bytes(moment)
        known = {entry.tag: entry for entry in FileJournal(dead).unfinished()}
        assert known[f"{number}"].state == "submitting", "a byte left before it was written down"


# --- 2. never loses what was paid ----------------------------------------------------------


def leave_natively(task: asyncio.Task[object], _scope: anyio.CancelScope) -> None:
    task.cancel()


def leave_by_anyio(_task: asyncio.Task[object], scope: anyio.CancelScope) -> None:
    scope.cancel()


@pytest.mark.parametrize("leave", [leave_natively, leave_by_anyio])
def test_never_loses_what_was_paid_when_callers_leave(
    leave: Callable[[asyncio.Task[object], anyio.CancelScope], None],
) -> None:
    """Whenever a caller goes: each accepted id is written down, and tracked to its end."""
    scene = Scene(capacity=3, journal=RecordingJournal(delay=0.01))

    async def one(session: Session, number: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        with anyio.CancelScope() as scope:
            asyncio.get_running_loop().call_later(number * 0.005, leave, task, scope)
            await session.generate(fox(number))

    async def main() -> None:
        async with scene.session(max_in_flight=100, max_submitting=100) as session:
            tasks = [asyncio.ensure_future(one(session, number)) for number in range(60)]
            await asyncio.wait(tasks)

    run(main)
    scene.judge()
    accepted = {entry.request_id for entry in scene.simulator.books.accepted}
    assert accepted == set(scene.journal.told("accepted"))
    ends = [outcome.request_id for outcome in outcomes(scene)]
    assert sorted(map(str, ends)) == sorted(accepted)
    assert {type(outcome) for outcome in outcomes(scene)} == {Succeeded, Cancelled}


def outcomes(scene: Scene) -> list[Outcome]:
    """Return what the journal was told of how jobs ended."""
    told = scene.journal.told("finished")
    return [outcome for outcome in told if isinstance(outcome, Outcome)]


def test_never_loses_what_was_paid_in_a_crash_at_any_moment(tmp_path: Path) -> None:
    """Whenever the power goes, each accepted id is on disk or its request is marked as open."""
    scene = Scene(latency=0.5, capacity=2)
    journal = FileJournal(tmp_path / "journal.jsonl")
    lost: list[object] = []

    def look(_method: str, _path: str, answer: Answer) -> Answer:
        """The service has just acted, and the client knows nothing of it yet."""
        known = journal.unfinished() if journal.path.exists() else []
        ids = {entry.request_id for entry in journal.entries()}
        open_posts = sum(entry.state == "submitting" for entry in known)
        unknown = {e.request_id for e in scene.simulator.books.accepted} - ids
        if len(unknown) > open_posts:
            lost.append(unknown)
        return answer

    scene.wire.after = look

    async def main() -> None:
        async with Session(transport=scene.wire, journal=journal) as session:
            async with session.map(fox(number) for number in range(30)) as results:
                assert len([done async for done in results]) == 30

    run(main)
    assert not lost
    assert not journal.unfinished()


def test_never_loses_what_was_paid_by_a_failed_download(tmp_path: Path) -> None:
    """A file that cannot be had or stored leaves the outcome what it is: a video with its URL."""
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:
            job = await session.submit(fox())
            video = await job
            strange = attrs.evolve(video, video_url="https://elsewhere.example/v.mp4")
            with pytest.raises(DownloadError, match="elsewhere") as caught:
                await session.download(strange, tmp_path / "fox.mp4")
            assert caught.value.url == strange.video_url
            (tmp_path / "file").write_text("in the way")
            with pytest.raises(DownloadError):
                await session.download(video, tmp_path / "file" / "fox.mp4")
            assert await job is video
            assert await session.fetch(job.request_id) == video
            await session.download(video, tmp_path / "fox.mp4", rules=DownloadRules(tries=1))

    run(main)
    scene.judge()
    assert [type(outcome) for outcome in outcomes(scene)] == [Succeeded]
    assert (tmp_path / "fox.mp4").stat().st_size > 1000


# --- 3. never lies -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("drop-after-accept", InDoubt),
        ("drop-before-accept", InDoubt),
        ("5xx-before-accept", InDoubt),
        ("truncated-json", InDoubt),
        ("stuck", TimedOut),
        ("expired", Lost),
        ("failed", Failed),
        ("unknown-state", Succeeded),
        ("error-in-200", TimedOut),
        ("poll-drop", TimedOut),
        ("poll-html-504", TimedOut),
        ("poll-429", TimedOut),
    ],
)
def test_never_lies_about_what_nobody_knows(fault: str, kind: type[Outcome]) -> None:
    """`Failed` is what the service said has failed; the rest is in doubt, lost or not over."""
    scene = Scene(faults=[f"{fault}=1"])

    async def main() -> None:
        polling = FixedPolling(2.0)  # one that learns may look in the moment before the id expires
        async with scene.session(job_timeout=300, polling=polling) as session:
            async with session.map([fox()]) as results:
                (done,) = [done async for done in results]
            assert isinstance(done.outcome, kind)
            if isinstance(done.outcome, InDoubt | TimedOut | Lost):
                assert session.statistics().untracked == 1

    run(main)
    scene.judge()


def test_never_lies_about_a_cancel() -> None:
    """Cancelled means that the server said so; what runs is not cancellable, and succeeds."""
    scene = Scene(capacity=1, faults=["cancellation-requested=1", "cancel-drop=0.5"])

    async def main() -> None:
        async with scene.session() as session:
            running = await session.submit(fox(1))
            queued = await session.submit(fox(2))
            await asyncio.sleep(3)
            assert await running.cancel() is not CancelResult.CANCELLED
            assert await queued.cancel() is CancelResult.CANCELLED
            assert isinstance(await running.wait(), Succeeded)
            assert isinstance(await queued.wait(), Cancelled)
            assert scene.simulator.books.cancelled == (queued.request_id,)

    run(main)
    scene.judge()


def test_never_lies_about_a_timeout() -> None:
    """It detaches, cancels nothing, and its text is the way back, which works."""
    scene = Scene()

    async def main() -> None:
        async with scene.session(job_timeout=5) as session:
            job = await session.submit(fox())
            with pytest.raises(JobTimeoutError, match=f"attach.'{job.request_id}'") as caught:
                await job
            assert caught.value.request_id == job.request_id
        async with scene.session() as session:
            assert isinstance(await session.attach(job.request_id), Succeeded)

    run(main)
    scene.judge()
    assert not scene.simulator.books.cancelled
    assert scene.simulator.books.requests("cancel") == 0
