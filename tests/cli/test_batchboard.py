"""The display of a batch: words for each step, and a block that stays light."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import attrs
import pytest
from rich.console import Console

from seedance_async.batch.edges import RowState
from seedance_async.batch.report import Glance, RowChange
from seedance_async.batch.stops import Stop, StopReason
from seedance_async.cli.batchboard import Board
from seedance_async.cli.boardwords import (
    Moment,
    Speed,
    change_in_words,
    flowing,
    moment_lines,
    over,
    total,
)
from seedance_async.cli.eventlines import progress_event
from seedance_async.cli.foresight import NOTHING_KNOWN, Prospect
from seedance_async.cli.standing import Standing, standing_of
from seedance_async.events import RateLimited, RetryScheduled
from seedance_async.models import ProFastTextToVideo

FAST = ProFastTextToVideo.model_id
STATES = {state.value for state in RowState}


def glance(**facts: Any) -> Glance:
    """Return a moment; names of states are counts."""
    counts = {RowState(name): facts.pop(name) for name in STATES & facts.keys()}
    numbers = ("left", "in_flight", "waiting", "downloading", "accepted")
    money = ("settled", "reserved", "unpriced", "unestimated")
    fields = {name: facts.get(name, 0) for name in (*numbers, *money)}
    return Glance(
        counts={state: counts.get(state, 0) for state in RowState},
        submitted=fields.pop("accepted"),
        stop=facts.get("stop"),
        **fields,
    )


@attrs.define
class Seen:
    """A view that shows what it is told to."""

    moment: Glance = attrs.field(factory=glance)
    limit: int | None = None
    expected: Prospect = NOTHING_KNOWN

    def take(self, change: RowChange) -> None:
        pass

    def glance(self) -> Glance:
        return self.moment

    def note(self) -> list[str]:
        return []

    def to_come(self) -> int | None:
        return 250_000

    def prospect(self) -> Prospect:
        return self.expected

    def standing(self) -> Standing:
        return standing_of(self.moment, waiting=3, to_come=250_000, budget=self.limit)


def change(state: str, detail: str = "", key: str = "fox", model: str = FAST) -> RowChange:
    return RowChange(key, 1, model, RowState(state), detail, "id-1")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (change("submitting"), "submitting"),
        (change("planned", "429"), "not sent: 429"),
        (change("submitted"), "accepted: job id-1"),
        (change("submitted", "in progress"), "in progress"),
        (change("submitted", "attached"), "attached: job id-1"),
        (change("timed_out", "attached"), "attached: job id-1"),
        (change("timed_out", "too late"), "not over, but no longer tracked: too late"),
        (change("succeeded", "https://x/v.mp4"), "succeeded"),
        (change("succeeded", "not downloaded: 404"), "not downloaded: 404"),
        (change("downloaded", "videos/fox.mp4"), "downloaded: videos/fox.mp4"),
        (change("failed", "too\nlong\x1b[2J"), "failed: too long [2J"),
        (change("in_doubt", "cut off"), "in doubt: cut off"),
        (change("cancelled"), "cancelled"),
        (change("lost", "forgotten"), "lost: forgotten"),
    ],
)
def test_each_step_in_words(step: RowChange, words: str) -> None:
    """What the service says cannot write over the terminal."""
    assert change_in_words(step) == words


def test_what_counts_as_over() -> None:
    """Without downloads a video's URL is enough; rows that are not selected are not counted."""
    seen = glance(planned=90, left=10, succeeded=2, downloaded=3, failed=1, in_doubt=1)
    assert over(seen, download=True) == 4
    assert over(seen, download=False) == 6
    assert total(seen) == 17


def test_the_numbers_of_a_moment() -> None:
    """Nothing that is zero or unknown, the money against the budget, and what stopped it."""
    seen = glance(
        left=6, in_flight=4, downloading=2, downloaded=8, in_doubt=1, settled=250_000,
        reserved=500_000,
    )  # fmt: skip
    known = Prospect(usual=(38.0, 61.0), left=(190.0, 290.0))
    moment = Moment(
        glance=seen, rate=0.5, limit=2_000_000, elapsed=12.0, to_come=600_000, prospect=known
    )
    assert moment_lines(moment) == [
        ["4 in flight", "6 to submit", "2 downloading"],
        ["1 in doubt", "8 downloaded"],
        ["$0.25 settled", "$0.50 reserved", "$0.60 to come", "budget $2.00"],
        ["3 to 5 min left", "12 s so far", "30 a minute", "a video takes 35 to 65 s"],
    ]
    stopped = attrs.evolve(seen, stop=Stop(StopReason.BUDGET, "it is used up"))
    said = moment_lines(attrs.evolve(moment, glance=stopped))
    assert said[-1] == ["no more is submitted: it is used up"]
    assert "to come" not in str(said)
    assert moment_lines(Moment(glance=glance(), elapsed=1.0)) == [
        ["$0.00 settled", "$0.00 reserved"],
        ["1.0 s"],
    ]


def test_money_that_is_not_known_is_no_amount() -> None:
    """Neither what runs without a price nor what ended without a cost reads as nothing."""
    seen = glance(left=6, in_flight=4, downloaded=3, unpriced=3, unestimated=4)
    said = moment_lines(Moment(glance=seen, elapsed=1.0))
    unknown = ["3 of unknown cost settled", "4 of unknown cost reserved", "unknown to come"]
    assert unknown in said
    some = attrs.evolve(seen, settled=1_250_000, reserved=500_000)
    assert [
        "$1.25 settled (3 of unknown cost)",
        "$0.50 reserved (4 of unknown cost)",
        "$0.60 to come",
    ] in moment_lines(Moment(glance=some, elapsed=1.0, to_come=600_000))


def test_a_sum_for_programs_tells_what_is_not_known() -> None:
    """The counts are those of the object at the end; a sum of nothing known is null."""
    seen = glance(in_flight=4, downloaded=3, unpriced=3, unestimated=4)
    told = progress_event(Moment(glance=seen, elapsed=1.0), download=True)["money"]
    assert told == {
        "settled_usd": None,
        "reserved_usd": None,
        "unpriced": 3,
        "unestimated": 4,
        "to_come_usd": None,
        "budget_usd": None,
    }
    some = attrs.evolve(seen, settled=1_250_000, unestimated=0)
    told = progress_event(Moment(glance=some, elapsed=1.0), download=True)["money"]
    assert (told["settled_usd"], told["unpriced"], told["reserved_usd"]) == (1.25, 3, 0.0)


def test_parts_flow_onto_as_many_lines_as_they_need() -> None:
    """On a narrow screen nothing is cut off."""
    parts = ["3 to 5 min left", "12 s so far", "30 a minute"]
    assert flowing(parts, 80) == ["3 to 5 min left, 12 s so far, 30 a minute"]
    assert flowing(parts, 30) == ["3 to 5 min left, 12 s so far,", "30 a minute"]
    assert flowing(parts, 1) == ["3 to 5 min left,", "12 s so far,", "30 a minute"]


def test_the_speed_is_that_of_the_last_minute() -> None:
    """A night's slow start is forgotten; nothing is guessed from nothing."""
    speed = Speed()
    assert speed.update(0.0, 5) is None
    assert speed.update(10.0, 5) is None
    assert speed.update(20.0, 15) == 0.5
    for second in range(30, 200, 10):
        rate = speed.update(float(second), 15 + 2 * (second - 20))
    assert rate == pytest.approx(2.0)


def test_elsewhere_a_line_for_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    """Elapsed, counter, key, model, what; a key is never read as markup."""
    board = Board(download=True)
    board.bind(Seen(glance(left=9, in_flight=1)))
    with board:
        board.change(change("submitting", key="[bold]fox[/bold]"))
        board.change(change("downloaded", "videos/x.mp4", key="[bold]fox[/bold]", model=""))
        board.change(change("submitting", model="vendor/new/model"))
        board.on_event(RateLimited(at=0.0, retry_after=None, delay=7.0))
        board.on_event(RetryScheduled(at=0.0, request_id=None, delay=2.0, why="refused"))
        board.on_event(RetryScheduled(at=0.0, request_id="id-1", delay=2.0, why="a poll's"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].split() == ["0.0", "s", "0/9", "[bold]fox[/bold]", "pro-fast", "submitting"]
    assert lines[1].endswith("[bold]fox[/bold]  pro-fast  downloaded: videos/x.mp4")
    assert lines[2].endswith("fox  model  submitting")
    assert lines[3].endswith("the service is busy (429): next try in 7 s")
    assert lines[4].endswith("not sent: refused; next try in 2 s")
    assert len(lines) == 5


@pytest.mark.parametrize("width", [20, 40, 200])
def test_the_block_fits_any_width(width: int) -> None:
    """No line is wrapped, whatever a key is called, and no number is cut off."""
    board = Board(download=True)
    board.voice.live = True
    board.voice.console = Console(file=io.StringIO(), width=width, height=24, force_terminal=True)
    seen = glance(left=90_000, in_flight=50, downloaded=10_000, settled=123)
    board.bind(Seen(seen, 9_000_000, Prospect((38.0, 61.0), (190.0, 290.0))))
    for number in range(20):
        board.change(change("submitting", key=f"[red]{'k' * 200}{number}"))
    screen = io.StringIO()
    Console(file=screen, width=width - 3, height=24, color_system=None).print(board._render())
    lines = screen.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert "3 to 5 min left" in screen.getvalue()
    assert width == 20 or "[red]k" in screen.getvalue()
    assert width == 20 or "budget $9.00" in screen.getvalue()
    assert len(lines) <= 24


def test_it_keeps_up_with_a_fast_batch() -> None:
    """200 steps a second cost a few per cent: the clock is read, with a wide margin."""
    board = Board(download=True)
    board.voice.live = True
    board.bind(Seen(glance(left=1, in_flight=1)))
    began = time.perf_counter()
    for number in range(2000):
        board.change(change("submitted", key=f"fox-{number}"))
    assert time.perf_counter() - began < 2.0  # 10 s of a batch; some 0.03 s here


def test_a_flood_of_trouble_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """Above a live block stay the first 50; results.jsonl has all."""
    board = Board(download=True)
    board.voice.live = True
    board.bind(Seen())
    for number in range(200):
        board.change(change("failed", "no", key=f"fox-{number}"))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 50
    assert "results.jsonl" in lines[-1]


def test_what_a_person_leaves_is_no_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    """He knows; a deadline that passed by itself is told."""
    stops: list[Stop | None] = [None, Stop(StopReason.INTERRUPTED, "interrupted")]
    for stop in stops:
        board = Board(download=True)
        board.voice.live = True
        board.bind(Seen(glance(stop=stop)))
        board.change(change("timed_out", "too late"))
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_elsewhere_the_numbers_come_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log of a night shows how far it is, and how long it will take."""
    board = Board(download=True)
    board.bind(Seen(glance(left=9, in_flight=1), None, Prospect(None, (190.0, 290.0))))
    board.tick()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(board.voice, "_began", board.voice._began - 31.0)
    board.tick()
    board.tick()
    (line,) = capsys.readouterr().err.splitlines()
    assert "0/9  1 in flight, 9 to submit" in line
    assert "3 to 5 min left" in line


def test_as_json_each_line_is_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    """Steps, sums, messages and interrupts, each an object with a name and a time."""
    seen = glance(left=9, in_flight=1, reserved=1)
    board = Board(download=True, as_json=True)
    board.bind(Seen(seen, None, Prospect((38.0, 61.0), (190.0, 290.0))))
    with board:
        board.change(change("submitting", key="fox\nhare"))
        board.on_event(RateLimited(at=0.0, retry_after=None, delay=7.0))
        board.voice.interrupted(1, "no more", standing_of(
            seen, waiting=9, to_come=None, budget=None), then="Again", again="go on"
        )  # fmt: skip
    last = board.voice.last_words("left", None, again="go on")
    lines = capsys.readouterr().err.splitlines()
    events = [json.loads(line) for line in [*lines, last]]
    names = ["row", "message", "interrupted", "progress", "interrupted"]
    assert [event["event"] for event in events] == names
    assert all(event["seconds"] >= 0 for event in events)
    row, _, stage, sums, third = events
    assert (row["key"], row["state"]) == ("fox\nhare", "submitting")
    assert (stage["stage"], stage["standing"]["waiting"], stage["next"]) == (1, 9, "go on")
    assert stage["standing"]["not_spent_usd"] is None
    assert (sums["left_seconds"], sums["to_submit"]) == ([190.0, 290.0], 9)
    assert (third["stage"], third["standing"]) == (3, None)
