"""The ledger beside a model of it in memory: any order of words, restarts and manifests."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from seedance_async import LedgerError, Outcome
from seedance_async.batch.edges import RowState
from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.simulator import VirtualTimeLoop
from tests.batch.ledgers import (
    ORIGIN,
    cancelled,
    entries,
    failed,
    fox,
    lost,
    opened,
    plan,
    succeeded,
    timed_out,
)

T = TypeVar("T")

KEYS = "abcd"
ESTIMATE = 300_000
OPEN = {"submitted", "timed_out"}
ENDS = {"succeeded", "failed", "cancelled", "timed_out", "lost"}

keys = st.sampled_from(KEYS)
costs = st.sampled_from([None, 0.0, 0.25])


@attrs.define
class Attempt:
    """What the model knows of one submission."""

    state: str = "submitting"
    request_id: str | None = None
    cost: int | None = None

    def paid(self) -> bool:
        refused = self.state == "failed" and self.request_id is None
        return self.state not in {"planned", "not_billed"} and not refused

    def settled(self) -> int:
        if self.cost is not None:
            return self.cost
        return ESTIMATE if self.state == "succeeded" else 0

    def reserved(self) -> int:
        released = self.state in {"planned", "not_billed", "succeeded"}
        refused = self.state == "failed" and self.request_id is None
        return 0 if released or refused or self.cost is not None else ESTIMATE


@attrs.define
class Row:
    """What the model knows of one row: its last attempt is current unless it was put away."""

    state: str = "planned"
    line: int | None = None
    final: bool = False
    attempts: list[Attempt] = attrs.field(factory=list)
    current: Attempt | None = None

    def go(self, state: str) -> None:
        self.state = state
        if self.current is not None:
            self.current.state = state

    def again(self, state: str | None = None) -> None:
        if state is not None and self.current is not None:
            self.current.state = state
        self.state, self.current = "planned", None


class LedgerMachine(RuleBasedStateMachine):
    """Each rule says a word to both; where the model says no, the ledger must raise."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-machine-"))
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.rows: dict[str, Row] = {}
        self.ids = 0

    @initialize(origin=st.sampled_from([ORIGIN, SIMULATOR]), manifest=st.sets(keys, min_size=1))
    def begin(self, origin: str, manifest: set[str]) -> None:
        self.origin = origin
        self.ledger = self.do(opened(self.folder, origin))
        self.replan("".join(sorted(manifest)))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def expect(self, work: Coroutine[Any, Any, object], *, ok: bool) -> bool:
        """Return whether it was done, having checked that it was right to do or refuse it."""
        if ok:
            self.do(work)
        else:
            with pytest.raises(LedgerError):
                self.do(work)
        return ok

    def row(self, key: str) -> Row:
        return self.rows.get(key, Row(state="unknown"))

    def replan(self, manifest: str) -> None:
        self.do(plan(self.ledger, manifest))
        for row in self.rows.values():
            row.line = None
        for line, key in enumerate(manifest, 1):
            self.rows.setdefault(key, Row()).line = line

    @rule(manifest=st.permutations(KEYS), length=st.integers(0, len(KEYS)))
    def another_manifest(self, manifest: list[str], length: int) -> None:
        self.replan("".join(manifest[:length]))

    @rule(key=keys)
    def submitting(self, key: str) -> None:
        row = self.row(key)
        self.ledger.reserve(key, ESTIMATE)
        ok = row.state == "planned" and row.line is not None
        if self.expect(self.ledger.submitting(key, fox()), ok=ok):
            if row.current is None:
                row.current = Attempt()
                row.attempts.append(row.current)
            row.go("submitting")

    @rule(key=keys)
    def not_sent(self, key: str) -> None:
        row = self.row(key)
        ok = row.state in {"submitting", "planned"}
        if self.expect(self.ledger.not_sent(key, "429"), ok=ok):
            row.go("planned")

    @rule(key=keys, reuse=st.booleans())
    def accepted(self, key: str, reuse: bool) -> None:
        """With a new id, or with one that may be its own or another row's."""
        row = self.row(key)
        self.ids += not reuse
        request_id = f"id-{self.ids}"
        own = row.current is not None and row.current.request_id == request_id
        taken = any(
            attempt.request_id == request_id
            for other in self.rows.values()
            for attempt in other.attempts
        )
        ok = own or (row.state == "submitting" and not taken)
        if self.expect(self.ledger.accepted(key, request_id), ok=ok) and not own:
            assert row.current is not None
            row.current.request_id = request_id
            row.go("submitted")

    @rule(key=keys)
    def in_doubt(self, key: str) -> None:
        row = self.row(key)
        ok = row.state in {"submitting", "in_doubt"}
        if self.expect(self.ledger.in_doubt(key, "no answer"), ok=ok):
            row.go("in_doubt")

    @rule(key=keys)
    def refused(self, key: str) -> None:
        row = self.row(key)
        without_id = row.current is not None and row.current.request_id is None
        ok = row.state == "submitting" or (row.state == "failed" and without_id)
        if self.expect(self.ledger.finished(key, failed(None)), ok=ok):
            row.go("failed")

    @rule(key=keys, end=st.sampled_from(sorted(ENDS)), cost=costs)
    def finished(self, key: str, end: str, cost: float | None) -> None:
        row = self.row(key)
        request_id = None if row.current is None else row.current.request_id
        if row.state == "submitting":  # its id could not be written
            self.ids += 1
            request_id = f"id-{self.ids}"
        same = row.state == end or (row.state, end) == ("downloaded", "succeeded")
        has_id = request_id is not None
        ok = has_id and (same or row.state in OPEN | {"submitting"})
        word = self.ledger.finished(key, outcome(end, request_id or "id-0", cost))
        if not self.expect(word, ok=ok):
            return
        assert row.current is not None
        row.current.request_id = request_id
        if row.current.cost is None and end in {"succeeded", "failed", "cancelled"}:
            row.current.cost = None if cost is None else round(cost * 1_000_000)
        if not same:
            row.go(end)

    @rule(key=keys)
    def downloaded(self, key: str) -> None:
        row = self.row(key)
        ok = row.state in {"succeeded", "downloaded"}
        if self.expect(self.ledger.downloaded(key, "f.mp4", 1, "x"), ok=ok):
            row.state, row.final = "downloaded", False

    @rule(key=keys, final=st.booleans())
    def download_failed(self, key: str, final: bool) -> None:
        row = self.row(key)
        word = self.ledger.download_failed(key, "gone", final=final)
        if self.expect(word, ok=row.state == "succeeded"):
            row.final = final

    @rule()
    def forget_videos(self) -> None:
        if self.expect(self.ledger.forget_videos(), ok=self.origin == SIMULATOR):
            for row in self.rows.values():
                if row.state == "succeeded" and row.line is not None:
                    row.final = False
                    row.again("not_billed")

    @rule(key=keys, adopt=st.booleans())
    def resolve(self, key: str, adopt: bool) -> None:
        row = self.row(key)
        self.ids += 1
        if adopt:
            word = self.ledger.resolve(key, request_id=f"id-{self.ids}")
        else:
            word = self.ledger.resolve(key, not_billed=True)
        if not self.expect(word, ok=row.state == "in_doubt"):
            return
        if adopt:
            assert row.current is not None
            row.current.request_id = f"id-{self.ids}"
            row.go("submitted")
        else:
            row.again("not_billed")

    @rule(
        wanted=st.sets(st.sampled_from(["failed", "cancelled", "lost", "timed_out"])),
        through=st.none() | st.integers(0, len(KEYS)),
        only=st.none() | st.lists(keys),
    )
    def retry(self, wanted: set[str], through: int | None, only: list[str] | None) -> None:
        asked = {RowState(state) for state in wanted}
        word = self.ledger.retry(asked, through=through, keys=only)
        if self.expect(word, ok="timed_out" not in wanted):
            for key, row in self.rows.items():
                if row.state in wanted and self.selected(key, through, only):
                    row.again()

    def selected(self, key: str, through: int | None, only: list[str] | None) -> bool:
        """Return whether a row is listed, and asked for."""
        line = self.rows[key].line
        if line is None or (only is not None and key not in only):
            return False
        return through is None or line <= through

    @rule()
    def restart(self) -> None:
        """As after a crash: closing adds nothing to what is written."""
        self.do(self.ledger.aclose())
        self.ledger = self.do(opened(self.folder, self.origin))
        for row in self.rows.values():
            if self.origin == SIMULATOR and row.state in OPEN | {"submitting"}:
                row.again("not_billed")
            elif row.state == "submitting":
                row.go("in_doubt")

    @invariant()
    def both_agree(self) -> None:
        if not self.rows:
            return
        found = self.do(entries(self.ledger))
        assert {key: entry.state.value for key, entry in found.items()} == {
            key: row.state for key, row in self.rows.items()
        }
        for key, row in self.rows.items():
            current = row.current
            sent = [attempt for attempt in row.attempts if attempt.state != "planned"]
            assert found[key].line == row.line
            assert found[key].attempts == len(sent)
            assert found[key].request_id == (current.request_id if current else None)
            assert found[key].cost == (current.cost if current else None)
        counts = Counter(
            row.state
            for row in self.rows.values()
            if row.state != "planned" or row.line is not None
        )
        assert self.do(self.ledger.counts()) == {state: counts[state] for state in RowState}
        for final in (False, True):
            ready = {
                key
                for key, row in self.rows.items()
                if row.state == "succeeded" and (final or not row.final)
            }
            assert self.do(ready_keys(self.ledger, final=final)) == ready
        attempts = [attempt for row in self.rows.values() for attempt in row.attempts]
        money = self.do(self.ledger.money())
        assert money.settled == sum(attempt.settled() for attempt in attempts)
        assert money.reserved == sum(attempt.reserved() for attempt in attempts)
        paid = sum(attempt.paid() for attempt in attempts)
        assert self.do(self.ledger.paid_attempts()) == paid
        planned = sorted(
            (row.line, key)
            for key, row in self.rows.items()
            if row.state == "planned" and row.line is not None
        )
        listed = self.do(self.ledger.next_planned(100))
        assert [(row.line, row.key) for row in listed] == planned
        assert sum(n for _, n in self.do(self.ledger.shapes())) == len(planned)

    @rule(through=st.none() | st.integers(0, len(KEYS)), only=st.none() | st.lists(keys))
    def asked_of_some(self, through: int | None, only: list[str] | None) -> None:
        """What is told of a selection, by the last line, by keys, or by both."""
        planned = [
            (row.line, key)
            for key, row in self.rows.items()
            if row.state == "planned" and self.selected(key, through, only)
        ]
        ask = self.ledger
        found = self.do(ask.shapes(through=through, keys=only))
        assert sum(n for _, n in found) == len(planned)
        counts = self.do(ask.counts(through=through, keys=only))
        assert counts[RowState.PLANNED] == len(planned)
        if only is None:
            rows = self.do(ask.next_planned(100, through=through))
            assert [(row.line, row.key) for row in rows] == sorted(planned)
        elif through is None:
            rows = self.do(ask.planned(only))
            assert [(row.line, row.key) for row in rows] == sorted(planned)
            assert self.do(ask.known(only)) == set(only) & self.rows.keys()
            everywhere = {key for key in only if key in self.rows} - {
                key for key, row in self.rows.items() if row.state == "planned" and not row.line
            }
            assert sum(counts.values()) == len(everywhere)
        if through is not None:
            listed = [key for key in self.rows if self.selected(key, through, only)]
            assert sum(counts.values()) == len(listed)

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.do(self.ledger.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)


async def ready_keys(ledger: Ledger, *, final: bool) -> set[str]:
    return {video.key async for video in ledger.ready_videos(final=final)}


def outcome(end: str, request_id: str, cost: float | None) -> Outcome:
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


TestLedgerMachine = LedgerMachine.TestCase
# No deadline: each step waits for a real disk.
TestLedgerMachine.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
