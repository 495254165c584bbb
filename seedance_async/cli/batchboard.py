"""A batch on the screen: a live block on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import re
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import PurePath
from types import TracebackType
from typing import Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from seedance_async.batch.edges import RowState
from seedance_async.batch.report import Glance, RowChange
from seedance_async.batch.stops import StopReason
from seedance_async.budget import shown
from seedance_async.cli.batchplan import rough_time
from seedance_async.cli.terminal import console, is_live, tell
from seedance_async.cli.words import seconds
from seedance_async.events import Event, RateLimited, RetryScheduled
from seedance_async.models import find_model

__all__ = ["Board", "Speed", "change_in_words", "glance_lines", "over", "total"]

_REDRAWS: Final = 5
"""A second; what happens in between is not drawn."""
_RECENT: Final = 6
_QUIET: Final = 10.0
"""Seconds in which the same trouble is told once, on plain lines."""
_WINDOW: Final = 60.0
"""Seconds whose rows the speed is reckoned from."""
_MOST_TROUBLE: Final = 50
"""Lines of trouble that stay above the live block; results.jsonl has all."""

_STYLES: Final = {
    RowState.IN_DOUBT: "yellow",
    RowState.TIMED_OUT: "yellow",
    RowState.CANCELLED: "yellow",
    RowState.DOWNLOADED: "green",
    RowState.FAILED: "red",
    RowState.LOST: "red",
}
_ENDS: Final = (RowState.DOWNLOADED, RowState.FAILED, RowState.CANCELLED, RowState.LOST)
_TROUBLE: Final = frozenset({RowState.IN_DOUBT, RowState.TIMED_OUT, RowState.FAILED, RowState.LOST})

_CONTROLS: Final = re.compile("[\0-\x1f\x7f-\x9f]")
"""What a stranger's text must not do to a terminal."""


# --- in words: pure ------------------------------------------------------------------------


def change_in_words(change: RowChange) -> str:
    """Say a step of a row in a few words."""
    state, detail = change.state, _CONTROLS.sub(" ", change.detail)
    why = f": {detail}" if detail else ""
    match state:
        case RowState.PLANNED:
            return f"not sent{why}" if detail else "planned again"
        case RowState.SUBMITTING:
            return "submitting"
        case RowState.SUBMITTED if not detail:
            return f"accepted: job {change.request_id}"
        case RowState.SUBMITTED | RowState.TIMED_OUT if detail == "attached":
            return f"attached: job {change.request_id}"
        case RowState.SUBMITTED:
            return detail
        case RowState.SUCCEEDED if detail.startswith("not downloaded"):
            return detail
        case RowState.SUCCEEDED:
            return "succeeded"
        case RowState.TIMED_OUT:
            return f"not over, but no longer tracked{why}"
        case _:
            return f"{state.value.replace('_', ' ')}{why}"


def over(glance: Glance, *, download: bool) -> int:
    """Return how many rows are at an end that this run brings them to."""
    counts = glance.counts
    done = sum(counts[state] for state in _ENDS)
    return done if download else done + counts[RowState.SUCCEEDED]


def total(glance: Glance) -> int:
    """Return how many rows there are, but for planned ones that are not selected."""
    return sum(glance.counts.values()) - glance.counts[RowState.PLANNED] + glance.left


class Speed:
    """Rows a second over the last minute, and what that makes of the rest."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, now: float, done: int) -> float | None:
        """Take note of a moment, and return the rows a second; None while nothing is known."""
        if not self._seen or now - self._seen[-1][0] >= 1.0:
            self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] > _WINDOW:
            self._seen.popleft()
        began, before = self._seen[0]
        return (done - before) / (now - began) if now > began and done > before else None


def glance_lines(
    glance: Glance, *, rate: float | None, limit: int | None, elapsed: float
) -> list[str]:
    """Return the numbers of a moment as lines; each says its most important thing first.

    Args:
        glance: The numbers.
        rate: Rows a second that come to their end; None: not known yet.
        limit: The budget in micro-dollars.
        elapsed: Seconds since the run began.
    """
    now = [
        (glance.in_flight, "in flight"),
        (glance.left, "to submit"),
        (glance.downloading, "downloading"),
    ]
    states = [
        (number, state.value.replace("_", " "))
        for state, number in glance.counts.items()
        if number and state not in {RowState.PLANNED, RowState.SUBMITTING, RowState.SUBMITTED}
    ]
    rest = glance.left + glance.in_flight + glance.downloading
    of = "" if limit is None else f" of {shown(limit)}"
    pace = [seconds(elapsed)]
    if rate is not None:
        pace.append(f"{60 * rate:.0f} a minute" if rate < 10 else f"{rate:.0f} a second")
        pace.append(f"about {rough_time(rest / rate)} left" if rest else "")
    lines = [
        ", ".join(f"{number:,} {what}" for number, what in now if number),
        ", ".join(f"{number:,} {what}" for number, what in states),
        f"{shown(glance.settled)} settled, {shown(glance.reserved)} reserved{of}",
        ", ".join(filter(None, pace)),
    ]
    if glance.stop is not None:
        why = _CONTROLS.sub(" ", glance.stop.message)
        lines.append(f"no more is submitted: {why}")
    return [line for line in lines if line]


# --- on the screen -------------------------------------------------------------------------


class Board:
    """Shows a run; on a terminal it redraws a few times a second, whatever happens.

    Args:
        download: Whether a row is over only with its file.
    """

    def __init__(self, *, download: bool) -> None:
        self.live = is_live()
        self._download = download
        self._limit: int | None = None
        self._console = console()
        self._began = time.monotonic()
        self._glance: Callable[[], Glance] | None = None
        self._speed = Speed()
        self._recent: deque[Text] = deque(maxlen=_RECENT)
        self._models: dict[str, str] = {}
        self._trouble = 0
        self._unsent: set[str] = set()
        self._said: dict[str, float] = {}
        self._display = Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=_REDRAWS,
            transient=True,
            redirect_stdout=False,
            vertical_overflow="crop",
        )

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def bind(self, glance: Callable[[], Glance], limit: int | None) -> None:
        """Begin: take the numbers from there.

        Args:
            glance: Called a few times a second, on a terminal in a thread.
            limit: The budget in micro-dollars.
        """
        self._glance = glance
        self._limit = limit
        self._began = time.monotonic()

    def __enter__(self) -> Board:
        if self.live:
            self._display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._display.stop()

    def line(self, text: str, *, label: str = "", style: str = "") -> None:
        """Print a line that stays."""
        tell(text, label=label, style=style, on=self._console)

    def change(self, change: RowChange) -> None:
        """Show a step of a row; it is the run's `on_change`."""
        text = f"{self._name(change)}  {change_in_words(change)}"
        if not self.live:
            if self._is_news(change):
                _write(f"{seconds(self.elapsed):>6}  {self._counter()}  {text}\n")
            return
        style = _STYLES.get(change.state, "")
        self._recent.append(Text(text, style=style))
        if self._is_trouble(change):
            self._trouble += 1
            if self._trouble < _MOST_TROUBLE:
                self.line(text, style=style)
            elif self._trouble == _MOST_TROUBLE:
                self.line("more trouble is in results.jsonl at the end", style="yellow")

    def on_event(self, event: Event) -> None:
        """Show what submitting goes through as a whole; the session calls this for every event."""
        match event:
            case RateLimited(delay=delay):
                text = f"the service is busy (429): next try in {delay:.0f} s"
            case RetryScheduled(request_id=None, delay=delay, why=why):
                text = f"not sent: {_CONTROLS.sub(' ', why)}; next try in {delay:.0f} s"
            case _:
                return
        if self.live:
            self._recent.append(Text(text, style="yellow"))
        elif self._is_due(type(event).__name__):
            _write(f"{seconds(self.elapsed):>6}  {text}\n")

    def _is_news(self, change: RowChange) -> bool:
        """Tell whether a plain line is worth it: a row that tries again and again is not."""
        if change.state is RowState.SUBMITTING and change.key in self._unsent:
            return False
        if change.state is RowState.PLANNED:
            self._unsent.add(change.key)
            return self._is_due("not sent")
        self._unsent.discard(change.key)
        return True

    def _is_due(self, what: str) -> bool:
        now = self.elapsed
        if now - self._said.get(what, -_QUIET) < _QUIET:
            return False
        self._said[what] = now
        return True

    def _name(self, change: RowChange) -> str:
        """Return the key and the model; what is downloaded does not say its model any more."""
        model = self._models.get(change.key, "")
        if change.model_id:
            known = find_model(change.model_id)
            model = known.short_name if known else PurePath(change.model_id).name
            self._models[change.key] = model
        if change.state in _ENDS or (change.state is RowState.SUCCEEDED and not self._download):
            self._models.pop(change.key, None)
        return f"{change.key}  {model}" if model else change.key

    def _is_trouble(self, change: RowChange) -> bool:
        """Tell whether a person must hear of it; not of what he leaves by an interrupt."""
        if change.state is RowState.SUCCEEDED:
            return change.detail.startswith("not downloaded")
        if change.state is RowState.TIMED_OUT:
            stop = None if self._glance is None else self._glance().stop
            left = stop is not None and stop.reason is StopReason.INTERRUPTED
            return change.detail != "attached" and not left
        return change.state in _TROUBLE

    # --- drawing -------------------------------------------------------------------------

    def _counter(self) -> str:
        if self._glance is None:
            return ""
        glance = self._glance()
        rows = total(glance)
        return f"{over(glance, download=self._download):>{len(str(rows))}}/{rows}"

    def _render(self) -> RenderableType:
        if self._glance is None:
            return Text("")
        glance = self._glance()
        done, rows = over(glance, download=self._download), total(glance)
        rate = self._speed.update(self.elapsed, done)
        lines = glance_lines(glance, rate=rate, limit=self._limit, elapsed=self.elapsed)
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True)
        bar.add_row(ProgressBar(total=max(rows, 1), completed=done), f"{done:,} of {rows:,}")
        recent = tuple(self._recent)[-max(self._console.height - len(lines) - 3, 1) :]
        return Group(
            bar,
            *(_one_line(Text(line)) for line in lines),
            *(_one_line(Text.assemble(("  ", ""), line)) for line in recent),
        )


def _one_line(text: Text) -> Text:
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text


def _write(line: str) -> None:
    # Plain, for it must keep up with hundreds of lines a second.
    with suppress(OSError, ValueError):  # a reader that has gone must not end what runs
        sys.stderr.write(line)
        sys.stderr.flush()
