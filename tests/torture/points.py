"""Where a child may die: each step that decides what a kill leaves is a named point.

For forked children only: it changes the product's modules, and nothing changes them back.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from seedance_async import exchange as our_exchange
from seedance_async import http as our_http
from seedance_async.batch import changes, lock, results, staging
from seedance_async.batch.ledger import Ledger
from seedance_async.bodies import Answer
from seedance_async.sink import Sink
from tests.torture.failing import Disk

__all__ = ["Points", "Say", "each_write", "install", "key_of", "tell_of_posts"]

Say: TypeAlias = Callable[[dict[str, Any]], None]

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


class Points:
    """Tells of each step, and dies at the one that is number `at` of those with `of` in the name.

    A child that lives on passes them all; None never dies.
    """

    def __init__(self, say: Say, *, at: int | None, of: str) -> None:
        self._say = say
        self._left = at
        self._of = of
        self._lock = threading.Lock()

    def reach(self, name: str) -> None:
        """Pass a point, or die there."""
        with self._lock:  # the ledger's thread and the loop's both come here
            self._say({"point": name})
            if self._left is None or self._of not in name:
                return
            self._left -= 1
            if self._left == 0:
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


def install(points: Points, checkpoint_pages: int | None) -> None:
    """Make the points.

    Args:
        points: What is told of each.
        checkpoint_pages: After how many pages SQLite folds its log in; None: as the product says.
    """
    traced = type("Traced", (_Traced,), {"points": points, "checkpoint_pages": checkpoint_pages})
    sqlite3.connect = partial(sqlite3.connect, factory=traced)  # type: ignore[assignment]
    for word in _WORDS:
        _label(changes, word, word)
    _label(staging, "_plan", "plan")
    points.around(staging.Staging, "fill", "staging")
    points.around(staging.Staging, "clear", "clearing the staging file")
    points.around(lock.FolderLock, "_take", "taking the lock")
    points.around(results._Draft, "write", "writing lines")
    points.around(Sink, "write", "writing a piece of a video")
    points.around(Path, "replace", lambda _path, target: f"renaming {_kind(target)}")
    _install_posts(points)


def each_write(points: Points, folder: Path) -> AbstractContextManager[None]:
    """Make each write of the system below a folder a point, too, inside the block."""
    return _FatalDisk(folder, points).attached()


# --- the ledger's steps ------------------------------------------------------------------------


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


class _FatalDisk(Disk):
    """A disk that refuses nothing: each write to it is a point."""

    def __init__(self, folder: Path, points: Points) -> None:
        super().__init__(folder)
        self._points = points

    def verdict(self, kind: str, path: Any) -> None:
        self._points.reach(f"before the system's {kind} of {_kind(os.fsdecode(path))}")


def _kind(target: Any) -> str:
    name = Path(target).name.replace(str(os.getpid()), "PID")
    return "a video" if ".mp4" in name else name


# --- the POSTs ---------------------------------------------------------------------------------


def _install_posts(points: Points) -> None:
    send = our_http.HttpTransport.send
    write = our_exchange.Payload.write

    async def sent(
        transport: Any, method: str, path: str, body: bytes | None = None, **options: Any
    ) -> Any:
        if method == "GET":
            return await send(transport, method, path, body, **options)
        what = "a cancel" if path.endswith("/cancel") else "a POST"
        points.reach(f"before {what}")
        answer = await send(transport, method, path, body, **options)
        points.reach(f"after the answer to {what}")
        return answer

    def written(body: Any, transport: Any, head: bytes) -> None:
        write(body, transport, head)
        points.reach("after a POST left")

    our_http.HttpTransport.send = sent  # type: ignore[assignment,method-assign]
    our_exchange.Payload.write = written  # type: ignore[assignment,method-assign]


def tell_of_posts(say: Say) -> None:
    """Tell which row's POST begins and is settled, and which had no answer that decides.

    A row counts from the order to write it down before its POST until what came of it is on the
    disk: only such a row may be in doubt after a kill. That is told in this order, so that a kill
    between two words makes the account too long and never too short.
    """
    send = our_http.HttpTransport.send
    submitting = Ledger.submitting

    async def begun(ledger: Ledger, tag: str, request: Any) -> None:
        say({"begun": tag})
        await submitting(ledger, tag, request)

    async def sent(
        transport: Any, method: str, path: str, body: bytes | None = None, **options: Any
    ) -> Any:
        if body is None:  # a GET, or a cancel
            return await send(transport, method, path, body, **options)
        try:
            answer = await send(transport, method, path, body, **options)
        except Exception:
            say({"unclear": key_of(body)})
            raise
        if not _decides(answer):
            say({"unclear": key_of(body)})
        return answer

    Ledger.submitting = begun  # type: ignore[assignment,method-assign]
    our_http.HttpTransport.send = sent  # type: ignore[assignment,method-assign]
    for word in ("not_sent", "accepted", "in_doubt", "finished"):
        _tell_after(say, word)


def _tell_after(say: Say, word: str) -> None:
    original = getattr(Ledger, word)

    async def settled(ledger: Ledger, tag: str, *what: Any) -> None:
        await original(ledger, tag, *what)
        say({"settled": tag})

    setattr(Ledger, word, settled)


def key_of(body: bytes | str) -> str:
    """Return the row's key, with which the words of a prompt begin in all trials."""
    return str(json.loads(body)["text"].split()[0])


def _decides(answer: Answer) -> bool:
    """Tell whether an answer to a POST says what became of it (the wire's rules, read anew)."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = {}
    if answer.status < 300:
        accepted = "request_id" in document and "error_code" not in document
        return answer.complete and (accepted or document.get("error_code") == 422001)
    return 400 <= answer.status < 500 and answer.status not in (408, 409, 425, 499)
