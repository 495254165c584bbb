"""The display of a batch: words for each step, and a block that stays light."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from rich.console import Console

from seedance_async.batch.edges import RowState
from seedance_async.batch.report import Glance, RowChange
from seedance_async.batch.stops import Stop, StopReason
from seedance_async.cli.batchboard import Board, Speed, change_in_words, glance_lines, over, total
from seedance_async.events import RateLimited, RetryScheduled
from seedance_async.models import ProFastTextToVideo

FAST = ProFastTextToVideo.model_id
STATES = {state.value for state in RowState}


def glance(**facts: Any) -> Glance:
    """Return a moment; names of states are counts."""
    counts = {RowState(name): facts.pop(name) for name in STATES & facts.keys()}
    numbers = ("left", "in_flight", "waiting", "downloading", "settled", "reserved", "accepted")
    fields = {name: facts.get(name, 0) for name in numbers}
    return Glance(
        counts={state: counts.get(state, 0) for state in RowState},
        submitted=fields.pop("accepted"),
        stop=facts.get("stop"),
        **fields,
    )


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
    """Nothing that is zero, the money against the budget, and what stopped it."""
    seen = glance(
        left=6, in_flight=4, downloading=2, downloaded=8, in_doubt=1, settled=250_000,
        reserved=500_000, stop=Stop(StopReason.BUDGET, "it is used up"),
    )  # fmt: skip
    lines = glance_lines(seen, rate=0.5, limit=2_000_000, elapsed=12.0)
    assert lines == [
        "4 in flight, 6 to submit, 2 downloading",
        "1 in doubt, 8 downloaded",
        "$0.25 settled, $0.50 reserved of $2.00",
        "12 s, 30 a minute, about 24 s left",
        "no more is submitted: it is used up",
    ]
    assert glance_lines(glance(), rate=None, limit=None, elapsed=1.0) == [
        "$0.00 settled, $0.00 reserved",
        "1.0 s",
    ]


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
    board.bind(lambda: glance(left=9, in_flight=1), None)
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
    """Each line is cut, none is wrapped, whatever a key is called."""
    board = Board(download=True)
    board.live = True
    board._console = Console(file=io.StringIO(), width=width, height=24, force_terminal=True)
    board.bind(lambda: glance(left=90_000, in_flight=50, downloaded=10_000, settled=123), 9_000_000)
    for number in range(20):
        board.change(change("submitting", key=f"[red]{'k' * 200}{number}"))
    screen = io.StringIO()
    Console(file=screen, width=width, height=24, color_system=None).print(board._render())
    lines = screen.getvalue().splitlines()
    assert len(lines) == 1 + 4 + 6
    assert all(len(line) <= width for line in lines)
    assert width == 20 or "[red]k" in screen.getvalue()


def test_it_keeps_up_with_a_fast_batch() -> None:
    """200 steps a second cost a few per cent: the clock is read, with a wide margin."""
    board = Board(download=True)
    board.live = True
    board.bind(lambda: glance(left=1, in_flight=1), None)
    began = time.perf_counter()
    for number in range(2000):
        board.change(change("submitted", key=f"fox-{number}"))
    assert time.perf_counter() - began < 2.0  # 10 s of a batch; some 0.03 s here


def test_a_flood_of_trouble_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """Above a live block stay the first 50; results.jsonl has all."""
    board = Board(download=True)
    board.live = True
    board.bind(lambda: glance(), None)
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
        board.live = True
        board.bind(lambda stop=stop: glance(stop=stop), None)  # type: ignore[misc]
        board.change(change("timed_out", "too late"))
    assert len(capsys.readouterr().err.splitlines()) == 1
