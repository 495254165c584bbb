"""Decisions about doubts: how a file of them is read, and which of them can be true."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from seedance_async import (
    Cancelled,
    ErrorInfo,
    Failed,
    InProgress,
    InQueue,
    LedgerError,
    Lost,
    PermissionDeniedError,
)
from seedance_async.batch.dialect import MAX_LINE, ManifestError, Source
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import RowEntry
from seedance_async.batch.resolving import (
    Decision,
    DecisionsError,
    Problem,
    look_up,
    problems_of,
    read_decisions,
    refusal_of,
    settle,
)
from seedance_async.jobs import State
from tests.batch.ledgers import ERROR, fox, opened, plan, states, submit, succeeded
from tests.session.scene import run

OTHER_MODEL = "bytedance/seedance-1-0/lite/image-to-video"


def read(text: str | bytes) -> list[Decision]:
    raw = text if isinstance(text, bytes) else text.encode()
    return read_decisions(Source(io.BytesIO(raw), "found.csv", "csv"))


def row(key: str, state: RowState = RowState.IN_DOUBT, request_id: str | None = None) -> RowEntry:
    return RowEntry(
        key=key,
        line=1,
        model_id=fox().model_id,
        state=state,
        request_id=request_id,
        video_url=None,
        file=None,
        bytes=None,
        sha256=None,
        cost=None,
        attempts=1,
        error=None,
        submitted_at=None,
        finished_at=None,
    )


# --- files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "key,request_id\na,one\nb,two\n",
        "\ufeffkey,request_id\r\na,one\r\n\r\nb,two",
        " Request_ID ,KEY,note\n one ,a,x\ntwo,b,\n , ,\n",
        'key,request_id,not_billed\n"a",one,\nb,two,No\n',
    ],
)
def test_the_same_file_in_many_dresses(text: str) -> None:
    """Order, case and further columns do not matter; blank rows are passed by."""
    assert [(one.key, one.request_id) for one in read(text)] == [("a", "one"), ("b", "two")]


@pytest.mark.parametrize("word", ["yes", "TRUE", " 1 "])
def test_words_for_yes(word: str) -> None:
    """As people and spreadsheets write it."""
    assert read(f"key,not_billed\na,{word}\n") == [Decision("a", None, 2)]


def test_lines_are_those_of_the_file() -> None:
    """Also behind a cell that spans lines."""
    found = read('key,request_id,note\na,one,"two\nlines"\n\nb,two,\n')
    assert [one.line for one in found] == [2, 5]


def test_all_bad_rows_are_told_at_once() -> None:
    """Each with its line."""
    with pytest.raises(DecisionsError) as caught:
        read("key,request_id,not_billed\na,,\nb,one,yes\n,one,\nc,,maybe\nd,e,one,\n")
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4, 5, 6]
    told = str(caught.value)
    assert "found.csv has errors, so nothing was changed" in told
    assert "line 2: give either request_id or not_billed=yes for 'a'; neither is there" in told
    assert "line 3: give either request_id or not_billed=yes for 'b'; both are there" in told
    assert "line 4: there is no key" in told
    assert "line 5: not_billed must be yes or empty (given: 'maybe')" in told
    assert "line 6: must have 3 cells like the header, not 4" in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no row"),
        ("key,request_id\n", "there is no row"),
        ("key\na\n", "must name key, and request_id or not_billed"),
        ("a,one\n", "it is 'a,one'"),
        ("key;not_billed\na;yes\n", "separated by commas"),
        ("key,key,request_id\n", "the header has key twice"),
        ('key,request_id\na,"one\n', "line 2: this is no CSV with commas"),
        (b"key,request_id\n\xe9,one\n", "is not UTF-8"),
        (b"key,request_id\n" + b"x" * (MAX_LINE + 2), "line 2: the line has more than"),
    ],
)
def test_a_file_that_is_none(text: str | bytes, says: str) -> None:
    """One error, with the line where there is one."""
    with pytest.raises(ManifestError, match="found") as caught:
        read(text)
    assert says in str(caught.value)


# --- the ledger's view -----------------------------------------------------------------------


def test_what_the_ledger_can_tell() -> None:
    """Every impossible decision has its problem; the possible ones have none."""
    rows = {
        "a": row("a"),
        "b": row("b", RowState.PLANNED),
        "c": row("c"),
        "d": row("d"),
        "e": row("e", RowState.SUBMITTED, "told-again"),
        "f": row("f", RowState.SUBMITTED, "its-job"),
    }
    decisions = [
        Decision("a", "one", 2),
        Decision("b", "two", 3),
        Decision("c", "one", 4),
        Decision("d", "its-job", 5),
        Decision("a", None, 6),
        Decision("x", None, 7),
        Decision("e", "told-again", 8),
        Decision("f", "another", 9),
    ]
    problems = problems_of(decisions, rows, {"told-again": "e", "its-job": "f"})
    assert [str(problem) for problem in problems] == [
        "line 3: row 'b' is planned, not in doubt: there is nothing to settle",
        "line 4: the id one is given twice (first on line 2): a job belongs to one row",
        "line 5: job its-job belongs to row 'f', so it cannot be that of row 'd': check the id",
        "line 6: row 'a' is named twice (first on line 2): keep one",
        "line 7: there is no row 'x' in this ledger: `resolve` without a key lists the doubts",
        "line 9: row 'f' is submitted, not in doubt: there is nothing to settle",
    ]
    assert str(Problem(None, "why")) == "why"


def test_look_up_finds_rows_and_owners(tmp_path: Path) -> None:
    """What the pure decision needs, from a real ledger."""

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "abc")
            await submit(ledger, "a")
            rows, owners = await look_up(ledger, [Decision("b", "id-a"), Decision("z")])
            assert list(rows) == ["b"]
            assert owners == {"id-a": "a"}

    run(main)


def test_settling_says_where_it_ended(tmp_path: Path) -> None:
    """An id of an earlier attempt is known to `Ledger.resolve` alone."""

    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "abc")
            await submit(ledger, "a", "old")
            await ledger.finished("a", Failed(error=ERROR, request_id="old"))
            await ledger.retry([RowState.FAILED])
            for key in "bc":
                await ledger.submitting(key, fox())
                await ledger.in_doubt(key, "no answer")
            with pytest.raises(LedgerError, match="The decisions before it"):
                await settle(ledger, [Decision("b"), Decision("c", "old")])
            with pytest.raises(LedgerError, match="belongs to row 'a'") as caught:
                await settle(ledger, [Decision("c", "old")])
            assert "before it" not in str(caught.value)
            assert await states(ledger) == {"a": "planned", "b": "planned", "c": "in_doubt"}

    run(main)


# --- the service's view ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        InQueue(),
        InProgress(),
        succeeded("one"),
        Failed(error=ERROR, request_id="one"),
        Cancelled(request_id="one"),
        Cancelled(request_id="one", model_id=fox().model_id),
    ],
)
def test_a_job_in_any_state_may_be_the_rows(state: State) -> None:
    """How it ended is written down by the next run."""
    assert refusal_of(state, row("a")) is None


def test_what_shows_that_a_job_is_not_the_rows() -> None:
    """Unknown, another account's, or of another model."""
    error = ErrorInfo("NotFoundError", "no such id", code=404001)
    lost = refusal_of(Lost(request_id="one", error=error), row("a"))
    assert lost is not None
    assert lost.startswith("row 'a' stays in doubt: the service knows no job one (no such id).")
    other = refusal_of(Cancelled(request_id="one", model_id=OTHER_MODEL), row("a"))
    assert other is not None
    assert f"the job is one of {OTHER_MODEL}" in other
    denied = refusal_of(PermissionDeniedError("not yours", status=403), row("a"))
    assert denied is not None
    assert "Use the token of the account that submitted the job" in denied
