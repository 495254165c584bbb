"""Journals: what any store owes a session, and what `FileJournal` owes a disk."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

from seedance_async import (
    Cancelled,
    ErrorInfo,
    Failed,
    FileJournal,
    Journal,
    JournalEntry,
    LedgerError,
    Lost,
    Outcome,
    Output,
    Succeeded,
    TimedOut,
)
from seedance_async.journal import SilentJournal

from .session.scene import RecordingJournal, fox, run

VIDEO = "https://x.runcomfy.net/fox%3D.mp4"
ERROR = ErrorInfo("RejectedError", "too long", code=422001, status=422)
STRANGE = 'line\nbreak "quote" \u2028 \\ é 狐 🦊 \ud800 \x00'


def succeeded(request_id: str) -> Succeeded:
    return Succeeded(request_id=request_id, video_url=VIDEO, output=Output(video=VIDEO))


# --- what any store owes -------------------------------------------------------------------


@attrs.frozen
class Shelf:
    """A journal, and its way to say what it holds: (word, tag, id of the job or reason)."""

    journal: Journal
    read: Callable[[], list[tuple[str, str, str | None]]]


def file_shelf(folder: Path) -> Shelf:
    def read() -> list[tuple[str, str, str | None]]:
        lines = path.read_bytes().splitlines() if path.exists() else []
        records = [json.loads(line) for line in lines]
        return [(r["state"], r["tag"], r.get("request_id") or r.get("why")) for r in records]

    path = folder / "journal.jsonl"
    return Shelf(FileJournal(path), read)


def recording_shelf(_folder: Path) -> Shelf:
    def read() -> list[tuple[str, str, str | None]]:
        return [(word, tag, told(value)) for word, tag, value in journal.words]

    def told(value: Any) -> str | None:
        return value if isinstance(value, str) else getattr(value, "request_id", None)

    journal = RecordingJournal()
    return Shelf(journal, read)


SHELVES: list[Callable[[Path], Shelf]] = [file_shelf, recording_shelf]
"""To put another store through these tests, add how it is made and read."""


async def keeps_each_word_in_order(shelf: Shelf) -> None:
    """What was awaited is written, in the order in which it was told."""
    journal = shelf.journal
    await journal.submitting("a", fox())
    assert shelf.read() == [("submitting", "a", None)]
    await journal.not_sent("a", "refused for now")
    await journal.submitting("a", fox())
    await journal.accepted("a", "id-1")
    assert shelf.read()[-1] == ("accepted", "a", "id-1")
    await journal.submitting("b", fox(2))
    await journal.in_doubt("b", "no answer")
    await journal.finished("a", succeeded("id-1"))
    assert shelf.read() == [
        ("submitting", "a", None),
        ("not_sent", "a", "refused for now"),
        ("submitting", "a", None),
        ("accepted", "a", "id-1"),
        ("submitting", "b", None),
        ("in_doubt", "b", "no answer"),
        ("finished", "a", "id-1"),
    ]


async def takes_every_outcome(shelf: Shelf) -> None:
    """Also that of a refusal, which has no id, and of a job that was finished before."""
    for outcome in OUTCOMES:
        await shelf.journal.finished("t", outcome)
    assert [value for _word, _tag, value in shelf.read()] == [o.request_id for o in OUTCOMES]


async def takes_any_text(shelf: Shelf) -> None:
    """Line breaks, quotes, all of Unicode and what is none of it, in tags and reasons."""
    await shelf.journal.submitting(STRANGE, fox())
    await shelf.journal.in_doubt(STRANGE, STRANGE)
    assert shelf.read() == [("submitting", STRANGE, None), ("in_doubt", STRANGE, STRANGE)]


async def serves_fifty_at_once(shelf: Shelf) -> None:
    """No word is lost or mixed up, and those of each submission keep their order."""

    async def one(number: int) -> None:
        await shelf.journal.submitting(f"t{number}", fox(number))
        await shelf.journal.accepted(f"t{number}", f"id-{number}")
        await shelf.journal.finished(f"t{number}", succeeded(f"id-{number}"))

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(one(number))
    read = shelf.read()
    assert len(read) == 150
    for number in range(50):
        words = [(word, value) for word, tag, value in read if tag == f"t{number}"]
        job = f"id-{number}"
        assert words == [("submitting", None), ("accepted", job), ("finished", job)]


async def a_cancelled_word_is_there_or_not(shelf: Shelf) -> None:
    """Whoever was cancelled while he told it: no half of it is left, and the next is taken."""
    for number in range(5):
        task = asyncio.ensure_future(shelf.journal.accepted(f"t{number}", f"id-{number}"))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        written = len(shelf.read())
        await shelf.journal.not_sent("next", "why")
        assert shelf.read()[written:] == [("not_sent", "next", "why")]


CONFORMANCE: list[Callable[[Shelf], Awaitable[None]]] = [
    keeps_each_word_in_order,
    takes_every_outcome,
    takes_any_text,
    serves_fifty_at_once,
    a_cancelled_word_is_there_or_not,
]
OUTCOMES: list[Outcome] = [
    succeeded("id"),
    Failed(error=ERROR),
    Failed(error=ERROR, request_id="id", cost_usd=0.0),
    Cancelled(request_id="id"),
    TimedOut(request_id="id", reason="its deadline passed"),
    Lost(request_id="id", error=ERROR),
]


@pytest.mark.parametrize("rule", CONFORMANCE, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("make", SHELVES, ids=lambda make: make.__name__)
def test_any_store_keeps_the_rules(
    make: Callable[[Path], Shelf], rule: Callable[[Shelf], Awaitable[None]], tmp_path: Path
) -> None:
    """The one list of tests that doubles and real stores are held to."""

    async def main() -> None:
        await rule(make(tmp_path))

    run(main)


def test_the_silent_journal_is_a_journal() -> None:
    """It takes every word and leaves no trace but the log."""
    journal: Journal = SilentJournal()

    async def main() -> None:
        await journal.submitting("t", fox())
        await journal.not_sent("t", "why")
        await journal.accepted("t", "id")
        await journal.in_doubt("t", "why")
        await journal.finished("t", succeeded("id"))

    run(main)


# --- the file ------------------------------------------------------------------------------


def told(path: Path, *words: Callable[[FileJournal], Awaitable[None]]) -> FileJournal:
    """Return a journal that was told so much."""

    async def main() -> FileJournal:
        journal = FileJournal(path, clock=lambda: 1_767_225_600.0)
        for word in words:
            await word(journal)
        return journal

    return run(main)


def submitting(tag: str) -> Callable[[FileJournal], Awaitable[None]]:
    return lambda journal: journal.submitting(tag, fox())


def accepted(tag: str, request_id: str) -> Callable[[FileJournal], Awaitable[None]]:
    return lambda journal: journal.accepted(tag, request_id)


def finished(tag: str, outcome: Outcome) -> Callable[[FileJournal], Awaitable[None]]:
    return lambda journal: journal.finished(tag, outcome)


def test_a_line_says_what_a_person_would_ask(tmp_path: Path) -> None:
    """When, what, whose, the whole input, the id, the outcome with its URL: plain JSON Lines."""
    path = tmp_path / "deep" / "journal.jsonl"
    told(path, submitting("a"), accepted("a", "id-1"), finished("a", succeeded("id-1")))
    first, second, third = [json.loads(line) for line in path.read_text("ascii").splitlines()]
    assert first == {
        "at": 1_767_225_600.0,
        "state": "submitting",
        "tag": "a",
        "model_id": fox().model_id,
        "input": fox().input(),
    }
    assert second["request_id"] == "id-1"
    assert (third["outcome"], third["value"]["video_url"]) == ("Succeeded", VIDEO)


def test_each_line_is_on_disk_before_the_session_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync comes after the line and before the return; a new file's name is made durable too."""
    path = tmp_path / "journal.jsonl"
    synced: list[tuple[bool, int]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        is_folder = os.path.samestat(os.fstat(descriptor), tmp_path.stat())
        synced.append((is_folder, path.stat().st_size))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    sizes: list[int] = []

    async def main() -> None:
        journal = FileJournal(path)
        for word in (submitting("a"), accepted("a", "id-1")):
            await word(journal)
            sizes.append(path.stat().st_size)

    run(main)
    folder = [(True, sizes[0])] if os.name == "posix" else []
    assert synced == [(False, sizes[0]), *folder, (False, sizes[1])]
    assert sizes[0] < sizes[1]


def test_what_is_left_to_do_is_told_by_the_last_word(tmp_path: Path) -> None:
    """Doubts, ids and deadlines that passed are left to do; verdicts and refusals are over."""
    journal = told(
        tmp_path / "j",
        *(submitting(tag) for tag in "abcdefgh"),
        lambda journal: journal.not_sent("b", "429"),
        accepted("c", "id-c"),
        lambda journal: journal.in_doubt("d", "no answer"),
        finished("e", Failed(error=ERROR)),
        accepted("f", "id-f"),
        finished("f", TimedOut(request_id="id-f", reason="its deadline passed")),
        accepted("g", "id-g"),
        finished("g", Lost(request_id="id-g", error=ERROR)),
        accepted("h", "id-h"),
        finished("h", succeeded("id-h")),
    )
    entry = partial(JournalEntry, model_id=fox().model_id)
    assert journal.entries() == [
        entry("a", "submitting"),
        entry("b", "not_sent", over=True),
        entry("c", "accepted", "id-c"),
        entry("d", "in_doubt"),
        entry("e", "finished", over=True),
        entry("f", "finished", "id-f"),
        entry("g", "finished", "id-g", over=True),
        entry("h", "finished", "id-h", over=True),
    ]
    assert [entry.tag for entry in journal.unfinished()] == ["a", "c", "d", "f"]
    assert FileJournal(tmp_path / "not there").entries() == []


def test_a_job_attached_without_its_tag_ends_the_submission_that_brought_its_id(
    tmp_path: Path,
) -> None:
    """`attach(id)` tells the journal by the id: the paid job is not left to do for ever."""
    journal = told(
        tmp_path / "j",
        submitting("a"),
        accepted("a", "id-a"),
        finished("id-a", TimedOut(request_id="id-a", reason="its deadline passed")),
        finished("id-a", succeeded("id-a")),
        finished("elsewhere", succeeded("elsewhere")),
    )
    assert [(entry.tag, entry.over) for entry in journal.entries()] == [
        ("a", True),
        ("elsewhere", True),
    ]


def test_a_torn_last_line_costs_that_line_only(tmp_path: Path) -> None:
    """A crash tears a line; whoever goes on writes a whole one after it, in the same file."""
    path = tmp_path / "j"
    told(path, submitting("a"), accepted("a", "id-a"))
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(last + 1, len(whole)):
        path.write_bytes(whole[:cut])
        complete = cut == len(whole) - 1
        assert [entry.state for entry in FileJournal(path).entries()] == [
            "accepted" if complete else "submitting"
        ]
        journal = told(path, submitting("b"), accepted("b", "id-b"))
        assert [(entry.tag, entry.request_id) for entry in journal.unfinished()] == [
            ("a", "id-a" if complete else None),
            ("b", "id-b"),
        ]


@pytest.mark.parametrize(
    "torn", [b'{"at": 1, "state": "acc', b"\xff\xfe\x00", b"[1, 2]", b"{}", b"", b'"tag"', b"7"]
)
def test_a_torn_line_in_the_middle_hides_no_other(torn: bytes, tmp_path: Path) -> None:
    """What cannot be read is passed over; lines before and after it count."""
    path = tmp_path / "j"
    told(path, submitting("a"))
    path.write_bytes(path.read_bytes() + torn + b"\n")
    journal = told(path, accepted("a", "id-a"), submitting("b"))
    assert [(entry.tag, entry.state) for entry in journal.entries()] == [
        ("a", "accepted"),
        ("b", "submitting"),
    ]


def test_a_second_journal_on_the_same_file_goes_on(tmp_path: Path) -> None:
    """After a restart nothing is overwritten, and two sessions of one process may share a file."""
    path = tmp_path / "j"
    first = told(path, submitting("a"))
    second = told(path, accepted("a", "id-a"))

    async def main() -> None:
        await asyncio.gather(
            *(journal.submitting(f"{n}", fox(n)) for n, journal in enumerate([first, second] * 20))
        )

    run(main)
    assert len(path.read_bytes().splitlines()) == 42
    assert first.entries() == second.entries()
    assert first.entries()[0].request_id == "id-a"


def test_an_unwritable_journal_says_what_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder, rights or space: LedgerError with path, reason and way out; then it goes on."""
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "j", tmp_path / "folder"):
        with pytest.raises(LedgerError, match=r"cannot write the journal .*mend the rights") as no:
            told(path, submitting("a"))
        assert str(path) in str(no.value)
        assert isinstance(no.value.__cause__, OSError)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(LedgerError, match=r"No space left on device\. Free space"):
            told(tmp_path / "j", submitting("a"))
    assert told(tmp_path / "j", accepted("a", "id-a")).entries()[0].request_id == "id-a"
