"""A batch on the screen: a live block on a terminal, a line for each change elsewhere."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from seedance_async.batch.edges import RowState
from seedance_async.batch.report import RowChange
from seedance_async.batch.stops import StopReason
from seedance_async.cli.batchview import View
from seedance_async.cli.block import Block
from seedance_async.cli.boardwords import (
    Moment,
    Speed,
    change_in_words,
    ends,
    flowing,
    moment_lines,
    over,
    short_model,
    total,
)
from seedance_async.cli.cleaning import one_line
from seedance_async.cli.eventlines import (
    progress_event,
    row_event,
)
from seedance_async.cli.voice import Voice
from seedance_async.events import Event, RateLimited, RetryScheduled

__all__ = ["Board"]

_REDRAWS: Final = 4
"""A second; what happens in between is not drawn."""
_RECENT: Final = 6
_QUIET: Final = 10.0
"""Seconds in which the same trouble is told once, on plain lines."""
_NOW_AND_THEN: Final = 30.0
_OFTEN: Final = 5.0
"""Seconds between two sums: on plain lines, and as JSON."""
_MOST_TROUBLE: Final = 50
"""Lines of trouble that stay above the live block; results.jsonl has all."""
_WIDEST: Final = 100

_STYLES: Final = {
    RowState.IN_DOUBT: "yellow",
    RowState.TIMED_OUT: "yellow",
    RowState.CANCELLED: "yellow",
    RowState.DOWNLOADED: "green",
    RowState.FAILED: "red",
    RowState.LOST: "red",
}
_TROUBLE: Final = frozenset({RowState.IN_DOUBT, RowState.TIMED_OUT, RowState.FAILED, RowState.LOST})


class Board:
    """Shows a run; on a terminal it redraws a few times a second, whatever happens.

    Args:
        download: Whether a row is over only with its file.
        as_json: Whether what is no terminal gets JSON Lines instead of words.
        each: Whether it gets each step of a row, too.

    Attributes:
        voice: Says what stays.
    """

    def __init__(self, *, download: bool, as_json: bool = False, each: bool = True) -> None:
        self.voice = Voice(as_json=as_json)
        self._download = download
        self._ends = ends(download=download)
        self._each = each
        self._view: View | None = None
        self._speed = Speed()
        self._recent: deque[Text] = deque(maxlen=_RECENT)
        self._models: dict[str, str] = {}
        self._trouble = 0
        self._unsent: set[str] = set()
        self._said: dict[str, float] = {}
        self._summed = 0.0
        self._block = Block(self._render, self.voice.console, redraws=_REDRAWS)

    def bind(self, view: View) -> None:
        """Begin: take the numbers from there, on a terminal in a thread."""
        self._view = view
        self.voice.begin()

    def __enter__(self) -> Board:
        if self.voice.live:
            self._block.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._block.stop()
        self.tick(at_last=True)

    def begin(self, note: str) -> None:
        """Say what begins now, where nothing is redrawn."""
        if self.voice.as_json:
            self.tick(at_last=True)
        elif not self.voice.live:
            self.voice.note(note)

    def change(self, change: RowChange) -> None:
        """Show a step of a row; it is the run's `on_change`."""
        if self._view is not None:
            self._view.take(change)
        if not (self.voice.live or self._each):
            return
        if self.voice.as_json:
            self.voice.event(row_event(change))
            return
        text = f"{one_line(self._name(change))}  {change_in_words(change)}"
        if not self.voice.live:
            if self._is_news(change):
                self.voice.note(f"{self._counter()}  {text}")
            return
        style = _STYLES.get(change.state, "")
        self._recent.append(Text(text, style=style))
        if self._is_trouble(change):
            self._trouble += 1
            if self._trouble < _MOST_TROUBLE:
                self.voice.line(text, style=style)
            elif self._trouble == _MOST_TROUBLE:
                self.voice.line("more trouble is in results.jsonl at the end", style="yellow")

    def on_event(self, event: Event) -> None:
        """Show what submitting goes through as a whole; the session calls this for every event."""
        match event:
            case RateLimited(delay=delay):
                text = f"the service is busy (429): next try in {delay:.0f} s"
            case RetryScheduled(request_id=None, delay=delay, why=why):
                text = f"not sent: {one_line(why)}; next try in {delay:.0f} s"
            case _:
                return
        if self.voice.live:
            self._recent.append(Text(text, style="yellow"))
        elif self._is_due(type(event).__name__):
            if self.voice.as_json:
                self.voice.line(text)
            else:
                self.voice.note(text)

    def tick(self, *, at_last: bool = False) -> None:
        """Sum up, where nothing is redrawn and some time has passed; call it now and then.

        Args:
            at_last: As JSON it is done in any case.
        """
        if self.voice.live or self._view is None:
            return
        last = at_last and self.voice.as_json
        pause = _OFTEN if self.voice.as_json else _NOW_AND_THEN
        if not last and self.voice.elapsed - self._summed < pause:
            return
        self._summed = self.voice.elapsed
        moment = self._moment(self._view)
        if self.voice.as_json:
            self.voice.event(progress_event(moment, download=self._download))
            return
        numbers = "; ".join(", ".join(group) for group in moment_lines(moment))
        self.voice.note(f"{self._counter()}  {numbers}")

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
        now = self.voice.elapsed
        if now - self._said.get(what, -_QUIET) < _QUIET:
            return False
        self._said[what] = now
        return True

    def _name(self, change: RowChange) -> str:
        """Return the key and the model; what is downloaded does not say its model any more."""
        model = self._models.get(change.key, "")
        if change.model_id:
            model = self._models[change.key] = short_model(change.model_id)
        if change.state in self._ends:
            self._models.pop(change.key, None)
        return f"{change.key}  {model}" if model else change.key

    def _is_trouble(self, change: RowChange) -> bool:
        """Tell whether a person must hear of it; not of what he leaves by an interrupt."""
        if change.state is RowState.SUCCEEDED:
            return change.detail.startswith("not downloaded")
        if change.state is RowState.TIMED_OUT:
            stop = None if self._view is None else self._view.glance().stop
            left = stop is not None and stop.reason is StopReason.INTERRUPTED
            return change.detail != "attached" and not left
        return change.state in _TROUBLE

    # --- drawing -------------------------------------------------------------------------

    def _counter(self) -> str:
        if self._view is None:
            return ""
        glance = self._view.glance()
        rows = total(glance)
        return f"{over(glance, download=self._download):>{len(str(rows))}}/{rows}"

    def _moment(self, view: View) -> Moment:
        glance, elapsed = view.glance(), self.voice.elapsed
        return Moment(
            glance=glance,
            elapsed=elapsed,
            note=view.note(),
            rate=self._speed.update(elapsed, over(glance, download=self._download)),
            limit=view.limit,
            to_come=view.to_come(),
            prospect=view.prospect(),
        )

    def _render(self) -> RenderableType:
        if self._view is None:
            return Text("")
        moment = self._moment(self._view)
        done, rows = over(moment.glance, download=self._download), total(moment.glance)
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True)
        bar.add_row(ProgressBar(total=max(rows, 1), completed=done), f"{done:,} of {rows:,}")
        width = min(self.voice.console.width - 4, _WIDEST)
        lines = [line for group in moment_lines(moment) for line in flowing(group, width)]
        recent = tuple(self._recent)[-max(self.voice.console.height - len(lines) - 3, 1) :]
        return Group(
            bar,
            *(_cut(Text(line)) for line in lines),
            *(_cut(Text.assemble(("  ", ""), line)) for line in recent),
        )


def _cut(text: Text) -> Text:
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text
