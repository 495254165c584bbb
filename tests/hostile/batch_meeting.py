"""The meeting of a batch and a hostile server, and what must be true of its folder after it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from seedance_async import DownloadRules, FixedPolling, Session
from seedance_async.batch import BatchReport, RowChange, RowState, run_batch
from seedance_async.credentials import Token
from seedance_async.http import HttpTransport
from seedance_async.models import Request

from .acts import CANARY
from .batch_rows import BatchRow
from .batch_times import ALONE, POLL_INTERVAL, Times
from .meeting import Stage, ask
from .server import HostileServer

__all__ = ["BatchMeeting", "meet", "rows_of"]

_TROUBLED = frozenset({RowState.FAILED, RowState.LOST, RowState.IN_DOUBT, RowState.SUCCEEDED})


def rows_of(cases: Iterable[BatchRow]) -> list[tuple[str, Request]]:
    """Return a manifest's rows: their keys and requests."""
    return [(case.word, ask(case.word)) for case in cases]


@attrs.define
class BatchMeeting:
    """A folder, the server that its batch meets, and a server that it must not meet."""

    server: HostileServer
    foreign: HostileServer
    folder: Path
    stage: Stage
    changes: list[RowChange] = attrs.Factory(list)

    async def run(
        self,
        rows: Iterable[tuple[str, Request]],
        *,
        settings: Mapping[str, Any] | None = None,
        times: Times = ALONE,
        make_transport: type[HttpTransport] = HttpTransport,
        **wishes: Any,
    ) -> BatchReport:
        """Run the batch's command once, in a session of its own."""
        transport = make_transport(self.server.url, Token(CANARY, "a test"), limits=times.limits())
        options = {
            "polling": FixedPolling(POLL_INTERVAL),
            "job_timeout": 2.0,
            "max_in_doubt": 10**6,
            "on_event": self.stage.saw,
            **(settings or {}),
        }
        session = Session(transport=transport, **options)
        times.shorten(session)
        wishes.setdefault("rules", DownloadRules(max_bytes=1_000_000, timeout=5.0))
        try:
            async with session:
                report = await run_batch(
                    list(rows),
                    session=session,
                    out=self.folder,
                    on_change=self.changes.append,
                    **wishes,
                )
        finally:
            await transport.aclose()
        self.stage.saw(report)
        self.stage.saw(self.changes)
        assert report.results == self.folder / "results.jsonl"
        assert report.storage_trouble is None
        self.assert_token_kept()
        await _gone(self.server)
        return report

    def results(self) -> dict[str, dict[str, Any]]:
        """Return the lines of results.jsonl by key."""
        lines = (self.folder / "results.jsonl").read_text("utf-8").splitlines()
        found = {line["key"]: line for line in map(json.loads, lines)}
        assert len(found) == len(lines)
        return found

    def judge(self, case: BatchRow, *, again: bool = False) -> list[str]:
        """Return what is wrong with a row after the first run, or after the last."""
        state = case.final if again else case.state
        line = self.results()[case.word]
        posts = case.posts_again if again and case.posts_again else case.posts
        accepted = self.server.accepted[f"{case.word} 0"]
        error = line["error"]
        said = "" if error is None else json.dumps(error)
        wanted: dict[str, tuple[object, object]] = {
            "state": (line["state"], state.value),
            "POSTs": (self.server.posts[f"{case.word} 0"], posts),
            "accepted": (len(accepted), 0 if state is RowState.PLANNED else case.accepted),
            "error": (error is not None, self._has_error(state, said)),
            "code": (error["code"] if error and case.code else case.code, case.code),
            "says": (case.says in said, True),
            "asked once": (self._asked(case.asked_once), bool(case.asked_once)),
        }
        if state is not RowState.IN_DOUBT:
            known = accepted[0] if accepted else None
            wanted["request id"] = (line["request_id"], known)
        if state in {RowState.SUCCEEDED, RowState.DOWNLOADED}:
            wanted["url"] = (str(line["video_url"]).endswith(case.url), True)
        wanted["files that lack"] = (self._lacks(case, state), [])
        if state is RowState.DOWNLOADED:
            wanted["file"] = (self._told_file(line), _shape(case.files[0]))
        if case.gets is not None and not again:
            wanted["GETs"] = (self.gets(case), case.gets)
        wrong = [
            f"{case.word}: {what} {is_!r} is not {be!r}"
            for what, (is_, be) in wanted.items()
            if is_ != be
        ]
        if self._pause(case) < case.pause:
            wrong.append(f"{case.word}: sent again after {self._pause(case)} s")
        return wrong

    def assert_no_other_files(self, cases: Iterable[BatchRow]) -> None:
        """The folder of videos holds no file beside those of the rows."""
        lines = self.results()
        wanted = sum(len(_contents(case, lines[case.word]["state"])) for case in cases)
        assert len(list((self.folder / "videos").glob("*"))) == wanted

    def gets(self, case: BatchRow) -> int:
        """Return how often videos of a row were asked for."""
        return sum(r.target.startswith(f"/videos/{case.word}/") for r in self.server.received)

    def assert_token_kept(self) -> None:
        """The token is in no file that was written, and nothing half done lies there."""
        for path in self.stage.folder.rglob("*"):
            assert CANARY not in path.name
            assert path.is_dir() or CANARY.encode() not in path.read_bytes(), path
            assert path.suffix != ".part", path

    def _has_error(self, state: RowState, said: str) -> bool:
        """Tell whether the results must say why; where either would do, take what is said."""
        if state in _TROUBLED:
            return True
        return bool(said) and state is not RowState.DOWNLOADED

    def _asked(self, request_id: str | None) -> bool:
        asked = [r for r in self.server.received if r.path == f"/v1/requests/{request_id}/result"]
        return len(asked) == 1

    def _lacks(self, case: BatchRow, state: RowState) -> list[str]:
        """Return the names of files that are not there, or do not hold what they should."""
        return [
            names[0]
            for names, data in zip(_names(case.word), _contents(case, state), strict=False)
            if not any(self._holds(name, data) for name in names)
        ]

    def _holds(self, name: str, data: bytes) -> bool:
        path = self.folder / "videos" / name
        return path.exists() and _digest(path.read_bytes()) == _digest(data)

    def _told_file(self, line: Mapping[str, Any]) -> tuple[int, str] | str:
        if not isinstance(line["file"], str):
            return "no file is told"
        data = (self.folder / line["file"]).read_bytes()
        return (line["bytes"], line["sha256"]) if _digest(data) == line["sha256"] else "torn"

    def _pause(self, case: BatchRow) -> float:
        if not case.pause:
            return 0.0
        text = f'"{case.word} 0"'.encode()
        at = [r.at for r in self.server.received if r.method == "POST" and text in r.body]
        return at[1] - at[0]


@contextlib.asynccontextmanager
async def meet(
    stage: Stage, cases: Iterable[BatchRow], *, foreign_may_be_asked: bool = False
) -> AsyncIterator[BatchMeeting]:
    """Open the servers; afterwards assert that none was asked for what no client should."""
    plans = {case.word: case.plan for case in cases}
    async with HostileServer({}) as foreign, HostileServer(plans) as server:
        server.foreign = foreign.localhost_url
        stage.judge(server, foreign)
        folder = stage.folder / "night"
        meeting = BatchMeeting(server, foreign, folder, stage)
        yield meeting
        assert not server.strange, f"no client should ask for {server.strange}"
        assert foreign_may_be_asked or not foreign.received, "the foreign server was asked"
        assert all(len(ids) == 1 for ids in server.accepted.values() if ids), "paid twice"


def _contents(case: BatchRow, state: str) -> tuple[bytes, ...]:
    return case.files if state == RowState.DOWNLOADED else case.left


def _names(key: str) -> Iterator[tuple[str, str]]:
    """Yield what a row's first, second, third file may be called: plain, or with the key's hash."""
    sign = _digest(key.encode())[:8]
    yield f"{key}.mp4", f"{key}-{sign}.mp4"
    for number in itertools.count(2):
        yield f"{key}-{number}.mp4", f"{key}-{sign}-{number}.mp4"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _shape(data: bytes) -> tuple[int, str]:
    return len(data), _digest(data)


async def _gone(server: HostileServer) -> None:
    """Wait until the server sees that the client closed all its connections."""
    end = time.monotonic() + 1.0
    while server.open_connections and time.monotonic() < end:
        await asyncio.sleep(0.002)
    assert not server.open_connections, "the client holds connections"
