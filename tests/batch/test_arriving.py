"""Manifests that arrive as they are written: all of it is read, and reading it can be left."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from seedance_async.batch import arriving
from seedance_async.batch.arriving import Opening
from seedance_async.batch.manifest import ManifestError

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")

LINES = [b"x" * (number * 997 % 150_000) + b"\n" for number in range(200)]
"""Shorter and longer than what is read at once."""


@contextmanager
def written(path: Path, data: bytes) -> Iterator[None]:
    """Make a FIFO into which somebody writes, in pieces, and then closes it."""
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as fifo:
            for at in range(0, len(data), 7777):
                fifo.write(data[at : at + 7777])

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield
    writer.join(10)
    assert not writer.is_alive()


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "reads" in thread.name]


def until_no_thread_reads() -> None:
    for thread in readers():
        thread.join(10)
    assert not readers()


def test_a_fifo_gives_all_its_lines(tmp_path: Path) -> None:
    """As a file would, with the same end; no thread is left."""
    path = tmp_path / "rows.jsonl"
    with written(path, b"".join(LINES)):
        with Opening(str(path)).opened() as source:
            assert (source.name, source.form) == (str(path), "jsonl")
            assert list(iter(lambda: source.stream.readline(1 << 20), b"")) == LINES
            assert source.stream.readline(10) == b""
    until_no_thread_reads()


def test_standard_input_that_is_a_pipe_gives_all_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays open: it is the program's."""
    path = tmp_path / "pipe"
    with written(path, b"".join(LINES)), path.open("rb") as pipe:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
        with Opening("-").opened() as source:
            assert (source.name, source.form) == ("standard input", "jsonl")
            assert list(iter(lambda: source.stream.readline(1 << 20), b"")) == LINES
        assert not pipe.closed
    until_no_thread_reads()


def test_what_ends_soon_is_read_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, also on standard input, and a stream of the caller's need no thread."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"row\n")
    for source in (io.BytesIO(b"row\n"), path.open("rb")):
        with Opening(source).opened() as opened:
            assert opened.stream.readline(10) == b"row\n"
            assert not readers()
        source.close()
    with path.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=file))
        for name in ("-", str(path)):
            with Opening(name).opened() as opened:
                assert opened.stream.readline(10) == b"row\n"
                assert not readers()


@pytest.mark.parametrize("when", ["before", "while it waits"])
def test_a_read_that_would_wait_for_ever_can_be_left(tmp_path: Path, when: str) -> None:
    """From another thread, also before it began."""
    path = tmp_path / "rows.jsonl"
    os.mkfifo(path)
    opening = Opening(str(path))
    leaving = threading.Timer(0 if when == "before" else 0.05, opening.leave)
    leaving.start()
    if when == "before":
        leaving.join()
    with opening.opened() as source, pytest.raises(ManifestError, match="was left"):
        source.stream.readline(10)
    leaving.join()
    fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # lets the thread go
    until_no_thread_reads()
    os.close(fifo)


def test_no_more_is_read_ahead_than_a_few_chunks(tmp_path: Path) -> None:
    """A manifest of any length does not gather in memory, and whoever left is not read for."""
    path = tmp_path / "rows.jsonl"
    os.mkfifo(path)
    fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    taken = 0
    with Opening(str(path)).opened() as source:
        os.write(fifo, b"row\n")
        assert source.stream.readline(10) == b"row\n"
        idle = 0
        while idle < 20:
            try:
                taken += os.write(fifo, bytes(4096))
                idle = 0
            except BlockingIOError:
                idle += 1
                time.sleep(0.01)  # the thread is no part of any loop
    os.close(fifo)
    assert taken <= (arriving._AHEAD + 2) * arriving._CHUNK


def test_what_cannot_be_opened_or_read_is_told_where_its_rows_are_read(tmp_path: Path) -> None:
    """A folder is neither a file nor a pipe."""
    folder = tmp_path / "rows.jsonl"
    folder.mkdir()
    for path in (folder, tmp_path / "none.jsonl"):
        with pytest.raises(ManifestError):
            with Opening(str(path)).opened() as source:
                source.stream.readline(10)
