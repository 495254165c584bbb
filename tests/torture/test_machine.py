"""The ledger beside its twin in memory: any order of words, crashes, owners and manifests.

After each step all that can be read of the ledger is compared.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from seedance_async import LedgerError, Outcome
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import StagedRow
from seedance_async.batch.folder import copy_ledger
from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.batch.resolving import Decision, look_up, problems_of, settle
from seedance_async.batch.results import write_results
from seedance_async.simulator import VirtualTimeLoop
from tests.batch.ledgers import (
    ORIGIN,
    cancelled,
    entries,
    failed,
    fox,
    lost,
    opened,
    staged,
    succeeded,
    timed_out,
)
from tests.torture.cutting import IS_LONG
from tests.torture.twin import ENDS, ESTIMATE, Line, Twin

T = TypeVar("T")

KEYS = "abcd"

keys = st.sampled_from(KEYS)
aims = st.integers(0, 11)
"""Two thirds at a row that stands where the word belongs, one third at any: see `aim`."""
costs = st.sampled_from([None, 0.0, 0.25])
attempts = st.tuples(
    aims, st.sampled_from([*ENDS, "succeeded", "in doubt", "in doubt", "refused"]), costs
)
ids = st.sampled_from(["new", "new", "new", "own", "given"])
lines = st.tuples(keys, st.sampled_from([0, 0, 0, 1]))
manifests = st.lists(lines, max_size=5) | st.permutations([(key, 0) for key in KEYS])
throughs = st.none() | st.integers(0, len(KEYS))
selections = st.none() | st.lists(keys)


_BEFORE: Final[Mapping[str, tuple[str, ...]]] = {
    "submitting": ("planned",),
    "not_sent": ("submitting",),
    "accepted": ("submitting",),
    "in_doubt": ("submitting",),
    "refused": ("submitting",),
    "finished": ("submitted", "timed_out"),
    "downloaded": ("succeeded",),
    "download_failed": ("succeeded",),
}
"""Where a row stands when it hears a word."""
WORDS: Final = (*_BEFORE, "submitting", "accepted", "finished", "downloaded")


class LedgerMachine(RuleBasedStateMachine):
    """Each rule says a word to both; where the twin says no, the ledger must raise."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="ledger-machine-"))
        self.folder = self.home / "0"
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.crashes = 0
        self.last_id = 0

    @initialize(origin=st.sampled_from([ORIGIN, ORIGIN, SIMULATOR]), past=st.lists(attempts))
    def begin(self, origin: str, past: list[tuple[int, str, float | None]]) -> None:
        self.origin = origin
        self.twin = Twin(simulated=origin == SIMULATOR)
        self.ledger = self.do(opened(self.folder, origin))
        self.another_manifest([(key, 0) for key in KEYS], skip=False)
        for attempt in past:
            self.an_attempt(*attempt)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def expect(self, work: Coroutine[Any, Any, object], *, ok: bool) -> None:
        if ok:
            self.do(work)
        else:
            with pytest.raises(LedgerError):
                self.do(work)

    def aim(self, at: int, *states: str) -> str:
        """Return the key of a row in these states, if there is one, or of any."""
        right = sorted(self.twin.in_state(*states))
        return right[at % len(right)] if right and at < 8 else KEYS[at % len(KEYS)]

    def new_id(self) -> str:
        self.last_id += 1
        return f"id-{self.last_id}"

    def some_id(self, key: str, which: str) -> str:
        """Return the row's own id, one that was given out, or a new one."""
        own = self.twin.row(key).request_id
        given = sorted(self.twin.ids() - {own})
        if which == "own" and own is not None:
            return own
        return given[0] if which == "given" and given else self.new_id()

    # --- manifests ---------------------------------------------------------------------------

    @rule(manifest=manifests, skip=st.booleans())
    def another_manifest(self, manifest: list[Line], skip: bool) -> None:
        """Longer, shorter, in another order, with changed requests and keys that come twice."""
        conflicts = self.twin.conflicts(manifest)
        found = self.do(self.ledger.draft.stage(_rows(manifest)))
        assert (found.rows, found.conflicts) == (len(manifest), len(conflicts))
        assert self.do(_lines_in_conflict(self.ledger)) == conflicts
        ok = self.twin.plan(manifest, skip=skip)
        self.expect(self.ledger.plan(skip_invalid=skip), ok=ok)

    # --- the journal -------------------------------------------------------------------------

    @rule(word=st.sampled_from(WORDS), at=aims, which=ids, end=st.sampled_from(ENDS), cost=costs)
    def a_word(self, word: str, at: int, which: str, end: str, cost: float | None) -> None:
        """One rule for all words: Hypothesis leaves out whole rules in most of its examples."""
        key = self.aim(at, *_BEFORE[word])
        match word:
            case "accepted":
                self.accepted(key, which)
            case "finished":
                self.finished(key, end, which, cost)
            case "downloaded":
                self.downloaded(key, size=1 + at % 3)
            case "download_failed":
                self.download_failed(key, final=at % 2 == 0)
            case _:
                getattr(self, word)(key)

    @rule(attempt=attempts)
    def a_whole_attempt(self, attempt: tuple[int, str, float | None]) -> None:
        self.an_attempt(*attempt)

    def an_attempt(self, at: int, end: str, cost: float | None) -> None:
        key = self.aim(at, "planned")
        self.submitting(key)
        if end == "in doubt":
            self.in_doubt(key)
        elif end == "refused":
            self.refused(key)
        else:
            self.accepted(key, "new")
            self.finished(key, end, "own", cost)

    def submitting(self, key: str) -> None:
        self.ledger.reserve(key, ESTIMATE)
        self.expect(self.ledger.submitting(key, fox()), ok=self.twin.submitting(key))

    def not_sent(self, key: str) -> None:
        self.expect(self.ledger.not_sent(key, "429"), ok=self.twin.not_sent(key))

    def accepted(self, key: str, which: str) -> None:
        request_id = self.some_id(key, which)
        word = self.ledger.accepted(key, request_id)
        self.expect(word, ok=self.twin.accepted(key, request_id))

    def in_doubt(self, key: str) -> None:
        self.expect(self.ledger.in_doubt(key, "no answer"), ok=self.twin.in_doubt(key))

    def refused(self, key: str) -> None:
        self.expect(self.ledger.finished(key, failed(None)), ok=self.twin.refused(key))

    def finished(self, key: str, end: str, which: str, cost: float | None) -> None:
        request_id = self.some_id(key, "own" if which == "new" else which)
        word = self.ledger.finished(key, _outcome(end, request_id, cost))
        self.expect(word, ok=self.twin.finished(key, end, request_id, cost))

    def downloaded(self, key: str, size: int) -> None:
        if self.twin.row(key).state in {"succeeded", "downloaded"}:
            (self.folder / f"{key}.mp4").write_bytes(b"x" * size)
        word = self.ledger.downloaded(key, f"{key}.mp4", size, "x")
        self.expect(word, ok=self.twin.downloaded(key, size))

    def download_failed(self, key: str, *, final: bool) -> None:
        word = self.ledger.download_failed(key, "gone", final=final)
        self.expect(word, ok=self.twin.download_failed(key, final=final))

    @rule(several=st.lists(keys, min_size=2, max_size=6))
    def submitting_together(self, several: list[str]) -> None:
        """Words of one commit: one that is refused takes none of the others along."""

        async def together() -> list[bool]:
            words = [self.ledger.submitting(key, fox()) for key in several]
            ends = await asyncio.gather(*words, return_exceptions=True)
            assert all(end is None or isinstance(end, LedgerError) for end in ends), ends
            return [end is None for end in ends]

        for key in several:
            self.ledger.reserve(key, ESTIMATE)
        assert self.do(together()) == [self.twin.submitting(key) for key in several]

    # --- videos ------------------------------------------------------------------------------

    @rule(several=st.sets(keys), torn=st.booleans())
    def files_are_lost(self, several: set[str], torn: bool) -> None:
        """Files are removed or cut short behind our back, then looked for."""
        gone = several & self.twin.in_state("downloaded")
        for key in gone:
            path = self.folder / f"{key}.mp4"
            path.write_bytes(b"") if torn else path.unlink()
        assert self.do(self.ledger.look_for_files(self.folder)) == len(gone)
        self.twin.lose_files(gone)

    def forget_videos(self) -> None:
        self.expect(self.ledger.forget_videos(), ok=self.twin.forget_videos())

    # --- what a person decides ---------------------------------------------------------------

    @rule(at=aims, which=st.sampled_from(["new", "own", "given", "not billed"]))
    def resolve(self, at: int, which: str) -> None:
        """What `resolve` says beforehand is what the ledger does."""
        key = self.aim(at, "in_doubt")
        twin = self.twin
        request_id = None if which == "not billed" else self.some_id(key, which)
        elsewhere = twin.ids() - twin.current_ids()
        decision = Decision(key, request_id)
        known = self.do(look_up(self.ledger, [decision]))
        problems = problems_of([decision], *known)
        ok = twin.not_billed(key) if request_id is None else twin.adopt(key, request_id)
        self.expect(settle(self.ledger, [decision]), ok=ok)
        assert not problems if ok else problems or request_id in elsewhere

    @rule(
        wanted=st.sets(st.sampled_from([*ENDS, "in_doubt"]), max_size=2),
        through=throughs,
        only=selections,
    )
    def retry(self, wanted: set[str], through: int | None, only: list[str] | None) -> None:
        word = self.ledger.retry({RowState(state) for state in wanted}, through=through, keys=only)
        self.expect(word, ok=self.twin.retry(wanted, through, only))

    # --- lives and owners --------------------------------------------------------------------

    @rule(what=st.sampled_from(["restart", "crash", "another_owner", "a_reader", "forget_videos"]))
    def from_outside(self, what: str) -> None:
        """Do one of these; the words keep the upper hand."""
        getattr(self, what)()

    def restart(self) -> None:
        self.do(self.ledger.aclose())
        self.ledger = self.do(opened(self.folder, self.origin))
        self.twin.restart()

    def crash(self) -> None:
        """The files as they lie there without any closing: every word is in them."""
        self.crashes += 1
        after = self.home / f"{self.crashes}"
        shutil.copytree(self.folder, after, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
        self.do(self.ledger.aclose())
        self.folder = after
        self.ledger = self.do(opened(self.folder, self.origin))
        self.twin.restart()

    def another_owner(self) -> None:
        """A second runner is told who is there; one of another service is sent elsewhere."""
        with pytest.raises(LedgerError, match="is in use by process"):
            self.do(opened(self.folder, self.origin))

    def a_reader(self) -> None:
        """Who reads meanwhile, or reads a copy of it, reads the same; so do the results."""
        mine = self.do(entries(self.ledger))
        copy = self.home / "copy"
        assert self.do(copy_ledger(self.folder, copy))
        for folder in (self.folder, copy):
            reader = self.do(Ledger.read(folder))
            assert self.do(entries(reader)) == mine
            self.do(reader.aclose())
        self.do(write_results(self.ledger, self.folder))
        text = (self.folder / "results.jsonl").read_text()
        told = [json.loads(line) for line in text.splitlines()]
        rows = [line for line in told if line["state"] != "invalid"]
        assert {line["key"]: line["state"] for line in rows} == {
            key: row.state for key, row in self.twin.rows.items()
        }
        assert len(told) - len(rows) == len(self.twin.invalid)

    # --- what is compared --------------------------------------------------------------------

    @invariant()
    def the_rows_agree(self) -> None:
        twin, found = self.twin, self.do(entries(self.ledger))
        assert found.keys() == twin.rows.keys()
        for key, row in twin.rows.items():
            entry = found[key]
            sent = sum(attempt.state != "planned" for attempt in row.attempts)
            assert (entry.state.value, entry.line) == (row.state, row.line), key
            assert (entry.attempts, entry.request_id) == (sent, row.request_id), key
            assert (entry.cost, entry.bytes) == (row.cost, row.size), key

    @invariant()
    def the_lists_agree(self) -> None:
        twin, ledger = self.twin, self.ledger
        counts = twin.counts()
        assert self.do(ledger.counts()) == {state: counts[state] for state in RowState}
        assert self.do(ledger.invalid_lines()) == len(twin.invalid)
        assert self.do(_keys(ledger.open_jobs())) == twin.in_state("submitted", "timed_out")
        assert self.do(_keys(ledger.doubts())) == twin.in_state("in_doubt")
        for final in (False, True):
            assert self.do(_keys(ledger.ready_videos(final=final))) == twin.ready(final=final)
        planned = self.do(ledger.next_planned(100))
        assert [(row.key, row.line) for row in planned] == twin.planned()

    @invariant()
    def the_money_agrees(self) -> None:
        attempts = list(self.twin.attempts())
        money = self.do(self.ledger.money())
        assert money.settled == sum(attempt.settled() for attempt in attempts)
        assert money.reserved == sum(attempt.reserved() for attempt in attempts)
        paid = sum(attempt.paid() for attempt in attempts)
        assert self.do(self.ledger.paid_attempts()) == paid
        costs = [attempt.cost for attempt in attempts if attempt.cost is not None]
        assert list(self.do(self.ledger.dearest()).values()) == ([max(costs)] if costs else [])

    @rule(through=throughs, only=selections)
    def asked_of_some(self, through: int | None, only: list[str] | None) -> None:
        """What is told of a selection, by the last line, by keys, or by both."""
        ask, planned = self.ledger, self.twin.planned(through, only)
        found = self.do(ask.shapes(through=through, keys=only))
        assert sum(n for _, n in found) == len(planned)
        counts = self.do(ask.counts(through=through, keys=only))
        assert counts[RowState.PLANNED] == len(planned)
        if only is None:
            rows = self.do(ask.next_planned(100, through=through))
            assert [(row.key, row.line) for row in rows] == planned
        elif through is None:
            rows = self.do(ask.planned(only))
            assert [(row.key, row.line) for row in rows] == planned
            known = set(only) & self.twin.rows.keys()
            assert self.do(ask.known(only)) == known
            unlisted = {key for key in known if self.twin.rows[key].line is None}
            assert sum(counts.values()) == len(known - (unlisted & self.twin.in_state("planned")))
        if through is not None:
            assert sum(counts.values()) == len(self.twin.selected(through, only))

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.do(self.ledger.aclose())
        self.runner.close()
        shutil.rmtree(self.home)


def _rows(manifest: Iterable[Line]) -> Iterable[StagedRow]:
    for number, (key, request) in enumerate(manifest, 1):
        yield staged(number, key, take=10 * ord(key) + request)


async def _lines_in_conflict(ledger: Ledger) -> set[int]:
    return {conflict.line async for conflict in ledger.draft.conflicts()}


async def _keys(found: Any) -> set[str]:
    return {item.key async for item in found}


def _outcome(end: str, request_id: str, cost: float | None) -> Outcome:
    match end:
        case "succeeded":
            return succeeded(request_id, cost)
        case "failed":
            return failed(request_id, cost)
        case "cancelled":
            return cancelled(request_id, cost)
        case "timed_out":
            return timed_out(request_id)
        case _:
            return lost(request_id)


TestNeverLiesAboutWhatItWasTold = LedgerMachine.TestCase
# No deadline: each step waits for a real disk.
TestNeverLiesAboutWhatItWasTold.settings = settings(
    max_examples=1000 if IS_LONG else 25,
    stateful_step_count=60 if IS_LONG else 40,
    derandomize=not IS_LONG,
    deadline=None,
    phases=list(Phase) if IS_LONG else [Phase.explicit, Phase.generate],  # shrinking takes minutes
    suppress_health_check=[HealthCheck.too_slow],
)
