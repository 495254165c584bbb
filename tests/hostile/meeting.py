"""The meeting of client and server, and what must be true after each."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import socket
import stat
import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest

from seedance_async import (
    Event,
    FileJournal,
    FixedPolling,
    InDoubt,
    Job,
    Outcome,
    ProFastTextToVideo,
    RawRequest,
    Request,
    RetryPolicy,
    Session,
    SubmissionInDoubtError,
)
from seedance_async.credentials import Token
from seedance_async.http import HttpTransport, Limits

from .acts import CANARY
from .server import HostileServer, Plan

__all__ = ["End", "Meeting", "Row", "Stage", "ask", "ids_of", "matches"]

End: TypeAlias = Outcome | Exception

RETRY = RetryPolicy(initial=0.01, maximum=0.02, limited_initial=0.01, connect_patience=0.4)
TIMES: Mapping[str, Any] = {
    "poll_timeout": 0.3,
    "submit_timeout": 0.5,
    "lost_grace": 0.2,
    "cancel_timeout": 0.3,
}


@attrs.frozen
class Row:
    """One behaviour and what must come of it.

    Attributes:
        word: Its name, the first word of the prompt.
        plan: What the server does.
        ends: The outcome's class, or that of the error that `submit` or `wait` raises.
        posts: Submissions that the server may see for this request.
        accepted: Jobs that the server took on its books for it.
        check: What else must be true of the end.
        job_timeout: Seconds, for jobs that are not to end.
    """

    word: str
    plan: Plan
    ends: tuple[type, ...]
    posts: int = 1
    accepted: int = 1
    check: Callable[[Any], object] | None = None
    job_timeout: float = 3.0


def ids_of(row: Row) -> str:
    """Name a row in pytest's output."""
    return row.word


def ask(word: str, number: int = 0, *, early: bool = False) -> Request:
    """Make a request that the server treats as `word` says; early ones are of 3 MB."""
    if early:
        return RawRequest(f"hostile/{word}", {"prompt": word, "pad": "x" * 3_000_000})
    return ProFastTextToVideo(text=f"{word} {number}")


def matches(row: Row, end: End) -> bool:
    """Tell whether a job ended as its row says."""
    if not isinstance(end, row.ends):
        return False
    return row.check is None or bool(row.check(end))


class Recorder:
    """A journal in memory, of the shape of `FileJournal`'s lines: hundreds of fsyncs take long."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    async def submitting(self, tag: str, request: Request) -> None:
        """Record the input."""
        self._add("submitting", tag, input=request.input())

    async def not_sent(self, tag: str, why: str) -> None:
        """Record that nothing was accepted."""
        self._add("not_sent", tag, why=why)

    async def accepted(self, tag: str, request_id: str) -> None:
        """Record the job's id."""
        self._add("accepted", tag, request_id=request_id)

    async def in_doubt(self, tag: str, why: str) -> None:
        """Record the doubt."""
        self._add("in_doubt", tag, why=why)

    async def finished(self, tag: str, outcome: Outcome) -> None:
        """Record the outcome."""
        self._add("finished", tag, outcome=type(outcome).__name__, value=repr(outcome))

    def _add(self, state: str, tag: str, **more: object) -> None:
        self.records.append({"state": state, "tag": tag, **more})


@attrs.define
class Meeting:
    """A session, the server that it meets, and a server that it must not meet."""

    server: HostileServer
    foreign: HostileServer
    session: Session
    journal: Recorder | FileJournal
    stage: Stage
    events: list[Event] = attrs.Factory(list)

    async def end_of(self, request: Request, *, tag: str | None = None) -> End:
        """Submit, wait, and return the outcome or the error."""
        try:
            job = await self.session.submit(request, tag=tag)
        except Exception as error:  # noqa: BLE001  whatever comes out is what is judged
            self.stage.saw(error)
            return error
        return await self.end_of_job(job)

    async def end_of_job(self, job: Job) -> End:
        """Wait, and return the outcome or the error."""
        self.stage.saw(job)
        try:
            outcome = await job.wait()
        except Exception as error:  # noqa: BLE001  the same
            self.stage.saw(error)
            return error
        self.stage.saw(outcome)
        with contextlib.suppress(Exception):
            try:
                await job  # its raised form is looked through as well
            except Exception as error:
                self.stage.saw(error)
                raise
        return outcome

    def release_the_brake(self) -> None:
        """Let no number of doubts or refusals stop submitting."""
        state = self.session._lifetime.state
        assert state is not None
        state.gate.doubts_to_stop = state.gate.refusals_to_stop = 10**6

    def records(self, tag: str | None = None) -> list[dict[str, Any]]:
        """Return the journal's lines, of one tag or all."""
        if isinstance(self.journal, Recorder):
            found = self.journal.records
        else:
            found = [json.loads(line) for line in self.journal.path.read_text().splitlines()]
        return [record for record in found if tag is None or record["tag"] == tag]

    def assert_told(self, tag: str, end: End, accepted: list[str]) -> None:
        """The journal tells of one submission what the `Journal` protocol promises."""
        records = self.records(tag)
        states = [record["state"] for record in records]
        assert states, "nothing was written down"
        while states[:2] == ["submitting", "not_sent"]:
            states = states[2:]
        if isinstance(end, InDoubt | SubmissionInDoubtError):
            assert states == ["submitting", "in_doubt"]
            return
        kept = [record["request_id"] for record in records if record["state"] == "accepted"]
        assert kept == accepted, "the id was not kept"
        if accepted and isinstance(end, Exception):
            assert states == ["submitting", "accepted"], "a job that runs on was written off"
        elif accepted:
            assert states == ["submitting", "accepted", "finished"]
            assert records[-1]["outcome"] == type(end).__name__
        else:
            assert states in ([], ["submitting", "finished"]), states


@attrs.define
class Stage:
    """Holds meetings, and looks afterwards for what was left behind and where the token went."""

    folder: Path
    log: pytest.LogCaptureFixture
    _seen: list[str] = attrs.Factory(list)
    _servers: list[tuple[HostileServer, HostileServer]] = attrs.Factory(list)

    def saw(self, thing: object) -> None:
        """Remember all that a thing shows of itself."""
        self._seen.append(f"{thing!r}\n{thing}")
        if isinstance(thing, BaseException):
            self._seen.extend(_showings(thing, set()))

    def judge(self, server: HostileServer, foreign: HostileServer) -> None:
        """Look through what these servers received when the scene is over."""
        self._servers.append((server, foreign))

    def run(self, scene: Callable[[], Coroutine[Any, Any, None]], *, within: float = 8.0) -> None:
        """Play a scene in an event loop of its own and assert that nothing is left of it."""
        sockets = _open_sockets()

        async def main() -> None:
            async with asyncio.timeout(within):
                await scene()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks are left: {left}"

        self.log.set_level(logging.DEBUG)
        asyncio.run(main())
        gc.collect()  # ResourceWarnings, which are errors here
        assert _open_sockets() == sockets, "sockets are left"
        self._assert_token_kept()

    @contextlib.asynccontextmanager
    async def meet(
        self,
        plans: Mapping[str, Plan],
        *,
        times: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        on_event: Callable[[Event, Session], object] | None = None,
        elsewhere: str | None = None,
        durable: bool = False,
        **options: Any,
    ) -> AsyncIterator[Meeting]:
        """Open a session against a hostile server; leave it in order; assert an empty pool.

        The server is elsewhere than `elsewhere`, if that is given; `durable` journals to a file.
        """
        async with HostileServer({}) as foreign, HostileServer(plans) as server:
            server.foreign = foreign.localhost_url
            self.judge(server, foreign)
            limits = limits or Limits(connect=0.5, stall=0.2)
            base_url = elsewhere or server.url
            transport = HttpTransport(base_url, Token(CANARY, "a test"), limits=limits)
            journal = FileJournal(self.folder / "journal.jsonl") if durable else Recorder()
            events: list[Event] = []

            def listen(event: Event) -> None:
                events.append(event)
                if on_event is not None:
                    on_event(event, session)

            given = {
                "polling": FixedPolling(0.01),
                "retry": RETRY,
                "journal": journal,
                "job_timeout": 3.0,
            }
            session = Session(transport=transport, on_event=listen, **{**given, **options})
            session._settings = attrs.evolve(session._settings, **{**TIMES, **(times or {})})
            meeting = Meeting(server, foreign, session, journal, self, events)
            try:
                async with session:
                    state = session._lifetime.state
                    assert state is not None
                    yield meeting
                    for thing in (session, transport, session.statistics()):
                        self.saw(thing)
            finally:
                await transport.aclose()
            numbers = state.statistics()
            assert (numbers.in_flight, numbers.waiting, numbers.submitting) == (0, 0, 0)
            for event in events:
                self.saw(event)
            await _gone(server)
            self._seen.append(json.dumps(meeting.records()))
            assert not server.strange, f"no client should ask for {server.strange}"
            assert not foreign.received, "the foreign server was asked"

    def _assert_token_kept(self) -> None:
        for thing in self._seen:
            assert CANARY not in thing, f"the token shows in: {thing[:600]}"
        assert CANARY not in self.log.text
        for record in self.log.records:
            assert CANARY not in f"{record.getMessage()} {record.args!r} {record.__dict__!r}"
        for server, foreign in self._servers:
            assert CANARY.encode() not in foreign.raw, "the token went to a foreign server"
            for request in server.received:
                _assert_proper(request.target, request.headers, request.body)


def _assert_proper(target: str, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
    """Each request bears the token in one place, videos' none, and no cookie is ever sent."""
    names = [name for name, _ in headers]
    tokens = [name for name, value in headers if CANARY in value]
    assert tokens == ([] if target.startswith("/videos/") else ["authorization"]), target
    assert CANARY not in target
    assert CANARY.encode() not in body
    assert "cookie" not in names
    assert len(set(names)) == len(names), f"a header is sent twice: {headers}"
    if target.startswith("/v1/models/"):
        kinds = dict(headers)
        assert kinds["authorization"] == f"Bearer {CANARY}"
        assert kinds["content-type"].partition(";")[0] == "application/json"


def _showings(error: BaseException, seen: set[int]) -> Iterator[str]:
    """All that an exception and what led to it show: str, repr, attributes, the full traceback."""
    if id(error) in seen:
        return
    seen.add(id(error))
    yield f"{error!r}\n{error}\n{vars(error)!r}\n{error.args!r}"
    yield "".join(traceback.format_exception(error))
    for other in (error.__cause__, error.__context__):
        if other is not None:
            yield from _showings(other, seen)


async def _gone(server: HostileServer) -> None:
    """Wait until the server sees that the client closed all its connections."""
    end = time.monotonic() + 1.0
    while server.open_connections and time.monotonic() < end:
        await asyncio.sleep(0.002)
    assert not server.open_connections, "the client holds connections"


def _open_sockets() -> int:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return 0
    count = 0
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            count += stat.S_ISSOCK(entry.stat().st_mode)
    return count


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
