"""What connections do around a submission: stale, refused, reset, shared, or not ours at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import attrs
import pytest

from seedance_async import (
    FixedPolling,
    InDoubt,
    Session,
    SubmissionInDoubtError,
    Succeeded,
    TransportError,
)

from .acts import CANARY, accept, answer, hang, polls, slow, state, submits
from .meeting import RETRY, TIMES, Stage, ask, free_port
from .server import Act, Call, HostileServer, Plan, acceptance, completion


def test_never_pays_twice_on_connections_closed_after_each_answer(stage: Stage) -> None:
    """A server that closes each connection without a word costs neither a job nor a doubt."""

    async def scene() -> None:
        async with stage.meet({}) as meeting:
            meeting.server.close_after = 0.0
            for number in range(15):
                assert isinstance(await meeting.end_of(ask("stale", number)), Succeeded)
            assert set(meeting.server.posts.values()) == {1}
            assert meeting.server.posts.total() == 15

    stage.run(scene)


@pytest.mark.parametrize("after", [0.001, 0.004, 0.015])
def test_never_pays_twice_when_idle_connections_are_closed_at_any_moment(
    stage: Stage, after: float
) -> None:
    """What remains of the race between our POST and their close is a doubt, never a double."""

    async def scene() -> None:
        async with stage.meet({}, max_in_flight=6) as meeting:
            meeting.release_the_brake()
            meeting.server.close_after = after
            async with meeting.session.map([ask("idle", n) for n in range(60)]) as results:
                ends = [done.outcome async for done in results]
            assert {type(end) for end in ends} <= {Succeeded, InDoubt}
            assert max(meeting.server.posts.values()) == 1
            kept = [r["request_id"] for r in meeting.records() if r["state"] == "accepted"]
            assert len(kept) == sum(isinstance(end, Succeeded) for end in ends)

    stage.run(scene)


@pytest.mark.parametrize("resets", [1, 3])
def test_a_connection_reset_at_once_costs_no_second_post(stage: Stage, resets: int) -> None:
    """Reset before a byte is read: a doubt, or sent again if surely nothing had left."""

    async def scene() -> None:
        async with stage.meet({}) as meeting:
            meeting.server.resets = resets
            end = await meeting.end_of(ask("reset"))
            assert isinstance(end, Succeeded | SubmissionInDoubtError)
            assert meeting.server.posts.total() == isinstance(end, Succeeded)

    stage.run(scene)


def test_a_refused_connection_is_surely_not_sent(stage: Stage) -> None:
    """Nobody listens: an error that says so, a journal that says so, and no doubt."""

    async def scene() -> None:
        async with stage.meet({}) as meeting:
            await meeting.server.stop_listening()
            end = await meeting.end_of(ask("refused"), tag="row")
            assert isinstance(end, TransportError)
            assert not end.sent
            assert [r["state"] for r in meeting.records("row")][-1] == "not_sent"

    stage.run(scene)


def test_a_server_that_comes_up_late_gets_the_submission_once(stage: Stage) -> None:
    """Refused connections are tried again, for a while."""

    async def scene() -> None:
        port = free_port()
        async with stage.meet({}, elsewhere=f"http://127.0.0.1:{port}") as meeting:
            late = asyncio.create_task(meeting.end_of(ask("late"), tag="row"))
            await asyncio.sleep(0.1)
            async with HostileServer({}, port=port) as server:
                end = await late
                assert isinstance(end, Succeeded)
                assert server.posts.total() == 1
                meeting.assert_told("row", end, server.accepted["late 0"])

    stage.run(scene)


def _with_stray(then: Act, stray: bytes) -> Act:
    """Answer, then send another answer that nobody asked for on the same connection."""

    async def act(call: Call) -> None:
        await then(call)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(stray)}\r\n\r\n"
        await call.send(head.encode() + stray)

    return act


def test_never_takes_a_stray_answer_for_its_own(stage: Stage) -> None:
    """An answer that came before the question belongs to no job."""

    async def scene() -> None:
        plans = {
            "post": submits(_with_stray(acceptance, b'{"request_id": "stray"}')),
            "poll": polls(
                _with_stray(state("in_queue"), b'{"status": "failed", "error": "stray"}'),
                _with_stray(completion, b'{"status": "failed", "error": "stray"}'),
            ),
        }
        async with stage.meet(plans) as meeting:
            for number in range(4):
                for word in plans:
                    end = await meeting.end_of(ask(word, number))
                    assert isinstance(end, Succeeded)
                    assert [end.request_id] == meeting.server.accepted[f"{word} {number}"]
            assert max(meeting.server.posts.values()) == 1

    stage.run(scene)


def test_never_loses_what_was_paid_when_the_caller_leaves_during_the_post(stage: Stage) -> None:
    """The POST outlives its caller: the id is kept, one cancel is tried, nothing is sent twice."""

    async def scene() -> None:
        plans = {
            "slow": submits(accept(slow(0.1, answer(200, lambda c: {"request_id": c.request_id}))))
        }
        async with stage.meet(plans) as meeting:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await meeting.session.submit(ask("slow"), tag="row")
        (ticket,) = meeting.server.tickets.values()
        assert ticket.cancels == 1
        assert meeting.server.posts.total() == 1
        kept = [r["request_id"] for r in meeting.records("row") if r["state"] == "accepted"]
        assert kept == [ticket.request_id]

    stage.run(scene)


def test_never_sends_after_a_doubt_when_the_caller_leaves_during_the_post(stage: Stage) -> None:
    """The same with a server that never answers: a doubt in the journal."""

    async def scene() -> None:
        async with stage.meet({"hangs": submits(accept(hang()))}) as meeting:
            task = asyncio.create_task(meeting.session.submit(ask("hangs"), tag="row"))
            await asyncio.sleep(0.05)
            for _ in range(3):
                task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
        assert [r["state"] for r in meeting.records("row")] == ["submitting", "in_doubt"]
        assert meeting.server.posts.total() == 1

    stage.run(scene)


def test_the_environment_leads_no_request_astray(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a journal the id is in the log; proxy and netrc of the environment are not used."""

    async def scene() -> None:
        async with HostileServer({}) as foreign, HostileServer({}) as server:
            netrc = tmp_path / "netrc"
            netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
            netrc.chmod(0o600)
            monkeypatch.setenv("NETRC", str(netrc))
            for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, foreign.url)
            monkeypatch.setenv("RUNCOMFY_TOKEN", CANARY)
            monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", server.url + "/")
            session = Session(polling=FixedPolling(0.01), retry=RETRY)
            session._settings = attrs.evolve(session._settings, **TIMES)
            async with session:
                job = await session.submit(ask("plain"))
                assert any(
                    job.request_id in r.getMessage() and r.levelname == "INFO"
                    for r in stage.log.records
                )
                video = await job
                stage.saw(session)
            assert video.request_id == "job-0"
            assert server.posts.total() == 1
            assert not foreign.received
            stage.judge(server, foreign)

    stage.run(scene)


@pytest.mark.parametrize("url", ["http://localhost.evil.example", "http://10.0.0.1", "http://a@b"])
def test_the_token_goes_to_no_plain_http_beyond_loopback(stage: Stage, url: str) -> None:
    """Plain http is for loopback; the session does not even open."""

    async def scene() -> None:
        with pytest.raises(ValueError, match="http") as caught:
            async with Session(CANARY, base_url=url):
                pass
        stage.saw(caught.value)

    stage.run(scene)


def test_no_cookie_is_ever_sent_back(stage: Stage) -> None:
    """Cookies of an answer are not sent back, on polls and POSTs alike."""

    async def scene() -> None:
        cookie = [("Set-Cookie", "session=abc; Path=/"), ("Set-Cookie", "b=c")]
        plan = Plan(polls=(answer(200, {"status": "in_queue"}, headers=cookie), completion))
        async with stage.meet({"cookie": plan}) as meeting:
            for number in range(2):
                assert isinstance(await meeting.end_of(ask("cookie", number)), Succeeded)
            assert all(r.header("cookie") is None for r in meeting.server.received)

    stage.run(scene)
