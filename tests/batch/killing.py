"""Kill -9: children that die at a step or at a moment, and a service that outlives them.

A zygote, started with `python -m tests.batch.killing`, imports everything once and forks a child
for each order, so that a kill costs a fork and not the start of an interpreter. In a child every
step that decides what a kill leaves is a named point; it may be told to die at the n-th.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import attrs

from seedance_async import FixedPolling, RetryPolicy, SeedanceError, Session
from seedance_async import http as our_http
from seedance_async.batch import changes, lock, results, staging
from seedance_async.batch.report import RowChange
from seedance_async.batch.running import run_batch
from seedance_async.cli import app
from seedance_async.download import _Sink
from seedance_async.simulator import Books, Simulator
from seedance_async.simulator.web import serve

__all__ = ["TOKEN", "Ending", "Service", "Zygote"]

T = TypeVar("T")

ROOT: Final = Path(__file__).parents[2]
TOKEN: Final = "simulator-token"
PATIENCE: Final = 60.0
"""Seconds after which a child counts as hanging."""


_WORDS: Final = (
    "begin",
    "take_back",
    "doubt",
    "accept",
    "refuse",
    "finish",
    "download",
    "fail_download",
    "recover",
    "resolve_adopt",
    "resolve_not_billed",
)
"""The functions of `changes.py`, each a word that a commit may carry."""


# --- in a child: the points ------------------------------------------------------------------


class Points:
    """Counts the steps whose names contain `of`, and dies at number `at` of them."""

    def __init__(self, at: int | None, of: str, say: Callable[[dict[str, Any]], None]) -> None:
        self._at = at
        self._of = of
        self._say = say
        self._lock = threading.Lock()
        self.names: list[str] = []

    def reach(self, name: str) -> None:
        if self._of not in name:
            return
        with self._lock:  # the ledger's thread and the loop's both come here
            self.names.append(name)
            if len(self.names) == self._at:
                self._say({"point": name})
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, method: str, name: str | Callable[..., str]) -> None:
        """Make a point before and after each call of a function that blocks."""
        original = getattr(owner, method)

        def called(*args: Any, **kwargs: Any) -> Any:
            what = name if isinstance(name, str) else name(*args)
            self.reach(f"before {what}")
            result = original(*args, **kwargs)
            self.reach(f"after {what}")
            return result

        setattr(owner, method, called)

    def install(self, checkpoint_pages: int | None) -> None:
        traced = type("Traced", (_Traced,), {"points": self, "checkpoint_pages": checkpoint_pages})
        sqlite3.connect = partial(sqlite3.connect, factory=traced)  # type: ignore[assignment]
        for word in _WORDS:
            _label(changes, word, word)
        _label(staging, "_plan", "plan")
        self.around(staging.Staging, "fill", "staging")
        self.around(staging.Staging, "clear", "clearing the staging file")
        self.around(lock.FolderLock, "_take", "taking the lock")
        self.around(results._Draft, "write", "writing lines")
        self.around(_Sink, "write", "writing a piece of a video")
        self.around(Path, "replace", lambda _path, target: f"renaming {_kind(target)}")
        self._install_posts()

    def _install_posts(self) -> None:
        send = our_http.HttpTransport.send
        write = our_http._SubmissionBody.write_with_length

        async def sent(
            transport: Any, method: str, path: str, body: bytes | None = None, **options: Any
        ) -> Any:
            if method == "GET":
                return await send(transport, method, path, body, **options)
            what = "a cancel" if path.endswith("/cancel") else "a POST"
            self.reach(f"before {what}")
            answer = await send(transport, method, path, body, **options)
            self.reach(f"after the answer to {what}")
            return answer

        async def written(body: Any, writer: Any, length: int | None) -> None:
            await write(body, writer, length)
            self.reach("after a POST left")

        our_http.HttpTransport.send = sent  # type: ignore[assignment,method-assign]
        our_http._SubmissionBody.write_with_length = written  # type: ignore[assignment,method-assign]


class _Traced(sqlite3.Connection):
    """A connection whose durable steps are points; `labels` says what a transaction changes."""

    points: Points
    checkpoint_pages: int | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.labels: set[str] = set()
        self._unlabelled = "a step of staging" if "ledger.staging" in str(args[0]) else "the tables"

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        what = {
            "COMMIT": f"the commit of {'+'.join(sorted(self.labels)) or self._unlabelled}",
            "PRAGMA wal_checkpoint(TRUNCATE)": "the checkpoint",
            "PRAGMA journal_mode = WAL": "opening the ledger",
        }.get(sql)
        if what is not None:
            self.points.reach(f"before {what}")
        cursor = super().execute(sql, parameters)
        if what == "opening the ledger" and self.checkpoint_pages is not None:
            super().execute(f"PRAGMA wal_autocheckpoint = {self.checkpoint_pages}")
        if what is not None:
            self.points.reach(f"after {what}")
        if sql in ("COMMIT", "ROLLBACK"):
            self.labels = set()
        return cursor


def _label(owner: Any, function: str, label: str) -> None:
    """Let a function that changes the ledger name the transaction that it runs in."""
    original = getattr(owner, function)

    def called(*args: Any, **kwargs: Any) -> Any:
        args[0].labels.add(label)
        return original(*args, **kwargs)

    setattr(owner, function, called)


def _kind(target: Any) -> str:
    path = Path(target)
    return "a video" if path.suffix == ".mp4" else path.name


# --- in a child: what it does ------------------------------------------------------------------


async def _batch(order: dict[str, Any], points: Points) -> Any:
    """Run the batch; a refusal of the ledger is told as a text."""

    def reached(change: RowChange) -> None:
        points.reach(f"telling that a row is {change.state}")

    retry = RetryPolicy(initial=0.02, maximum=0.05)
    async with Session(
        TOKEN,
        base_url=order["base_url"],
        max_in_flight=order["max_in_flight"],
        max_submitting=order["max_submitting"],
        polling=FixedPolling(0.02),
        retry=retry,
        max_in_doubt=1_000_000,
        exit_timeout=0.0,
        on_abort="detach",
    ) as session:
        try:
            report = await run_batch(
                order["manifest"],
                session=session,
                out=order["folder"],
                skip_invalid=True,
                on_change=reached,
            )
        except SeedanceError as error:
            return f"{type(error).__name__}: {error}"
    counts = {state.value: count for state, count in report.counts.items() if count}
    return {"counts": counts, "stop": None if report.stop is None else report.stop.message}


def _command(order: dict[str, Any]) -> int:
    os.environ |= {"RUNCOMFY_MODEL_API_BASE": order["base_url"], "RUNCOMFY_TOKEN": TOKEN}
    return int(app.run(order["command"]))


def _live(order: dict[str, Any], pipe: int, log: Path) -> NoReturn:
    """Be a child, from its first to its last step."""

    def say(told: dict[str, Any]) -> None:
        os.write(pipe, f"{json.dumps(told)}\n".encode())

    code = 70
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        points = Points(order.get("at"), order.get("of", ""), say)
        points.install(order.get("checkpoint_pages"))
        if "command" in order:
            told: Any = _command(order)
        else:
            logging.basicConfig()
            told = asyncio.run(_batch(order, points))
        say({"told": told, "points": points.names})
        code = 0
    except BaseException:  # noqa: BLE001  the log tells, and nothing of the zygote may run on
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


# --- the zygote ----------------------------------------------------------------------------------


def _serve_orders(log: Path) -> None:
    """Fork a child for each order on standard input, and tell on standard output how it ended."""
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _live(order, writing, log)
        os.close(writing)
        ending = _watch(child, reading, order.get("after"))
        print(json.dumps({**ending, "log": log.read_text()}), flush=True)


def _watch(child: int, pipe: int, after: float | None) -> dict[str, Any]:
    """Read what a child tells until it ends, and kill it when its time is over."""
    deadline = time.monotonic() + (PATIENCE if after is None else after)
    told: dict[str, Any] = {"hung": False}
    text = b""
    while True:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            told["hung"] = after is None
            os.kill(child, signal.SIGKILL)  # it is not waited for yet, so the number is its own
            deadline = time.monotonic() + PATIENCE
            continue
        piece = os.read(pipe, 1 << 16)
        if not piece:
            break
        text += piece
    os.close(pipe)
    status = os.waitpid(child, 0)[1]
    for line in text.splitlines():
        told |= json.loads(line)
    return {**told, "code": os.waitstatus_to_exitcode(status)}


@attrs.frozen
class Ending:
    """How a child ended.

    Attributes:
        code: Its exit code; -9: killed.
        log: What it wrote on its outputs.
        hung: Whether it had to be ended because it never would.
        point: Where it died by its own hand.
        points: The names of the points that it passed, if it lived.
        told: What its work returned, if it lived.
    """

    code: int
    log: str
    hung: bool
    point: str | None = None
    points: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    told: Any = None

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Zygote:
    """Forks children, one at a time."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.batch.killing", str(folder / "child.log")]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._answers = self._process.stdin, self._process.stdout
        assert self._answers.readline() == "ready\n"

    def start(self, **order: Any) -> None:
        """Let a child begin; `finish` must follow."""
        self._orders.write(f"{json.dumps(order)}\n")
        self._orders.flush()

    def finish(self) -> Ending:
        """Wait for the child's end; it must be its work's end, or a kill that was wanted."""
        answer = self._answers.readline()
        assert answer, "the zygote died"
        ending = Ending(**json.loads(answer))
        assert not ending.hung, ending.log
        assert ending.code in (0, -signal.SIGKILL), ending.log
        return ending

    def run(self, **order: Any) -> Ending:
        self.start(**order)
        return self.finish()

    def close(self) -> None:
        self._orders.close()
        self._answers.close()
        self._process.wait(PATIENCE)


# --- the service ---------------------------------------------------------------------------------


class Service:
    """Simulators on loopback, in a thread of this process, so that their books are at hand."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    @contextmanager
    def simulator(self, **options: Any) -> Iterator[Simulator]:
        """Serve one inside the block."""
        simulator = Simulator(**options)
        stack = AsyncExitStack()
        self._call(stack.enter_async_context(serve(simulator)))
        try:
            yield simulator
        finally:
            self._call(stack.aclose())

    def books(self, simulator: Simulator) -> Books:
        """Return the books after all that dead clients had sent has arrived."""

        async def arrived() -> None:
            # It is in this machine's sockets; each pass of the loop takes it a step further.
            for _ in range(100):
                await asyncio.sleep(0)

        self._call(arrived())
        return simulator.books

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


if __name__ == "__main__":
    _serve_orders(Path(sys.argv[1]))
