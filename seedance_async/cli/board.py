"""A fan-out on the screen: a line for each change, saying which request it is about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seedance_async.cli import words
from seedance_async.cli.progress import Progress
from seedance_async.events import Event, StatusChanged
from seedance_async.jobs import Outcome, Succeeded
from seedance_async.models import Request, find_model

__all__ = ["Board"]

_PROMPT_WIDTH = 44


class Board:
    """The journal and the ear of a fan-out; only the journal knows which tag is which request."""

    def __init__(self, requests: Sequence[Request], progress: Progress) -> None:
        self._requests = list(requests)
        self._progress = progress
        self._index_of_tag: dict[str, int] = {}
        self._index_of_job: dict[str, int] = {}
        self._over = 0

    async def submitting(self, tag: str, request: Request) -> None:
        """Learn the tag and show the request."""
        index = next(i for i, known in enumerate(self._requests) if known is request)
        self._index_of_tag[tag] = index
        said = request.input()
        prompt = str(said.get("prompt", said.get("text", "")))
        if len(prompt) > _PROMPT_WIDTH:
            prompt = f"{prompt[: _PROMPT_WIDTH - 3]}..."
        self._line(index, f"submitting: {prompt}")

    async def not_sent(self, tag: str, why: str) -> None:
        """Show it."""
        self._line(self._index_of_tag[tag], f"not accepted yet: {why}")

    async def accepted(self, tag: str, request_id: str) -> None:
        """Show it, with the id."""
        index = self._index_of_job[request_id] = self._index_of_tag[tag]
        self._line(index, f"in the queue: job {request_id}")

    async def in_doubt(self, tag: str, why: str) -> None:
        """Show it."""
        self._finish(self._index_of_tag[tag], f"in doubt: {why}", "yellow")

    async def finished(self, tag: str, outcome: Outcome) -> None:
        """Show how it ended."""
        style = "green" if isinstance(outcome, Succeeded) else "red"
        self._finish(self._index_of_tag[tag], words.describe(outcome), style)

    def on_event(self, event: Event) -> None:
        """Show a change of state."""
        if isinstance(event, StatusChanged):
            index = self._index_of_job.get(event.request_id)
            if index is not None:
                self._line(index, words.describe(event.status))

    def downloaded(self, index: int, file: Path) -> None:
        """Show that a video is on disk."""
        self._line(index, f"downloaded: {file}", "green")

    def _finish(self, index: int, text: str, style: str) -> None:
        self._over += 1
        self._line(index, text, style)

    def _line(self, index: int, text: str, style: str = "") -> None:
        known = find_model(self._requests[index].model_id)
        model = known.short_name if known else self._requests[index].model_id
        elapsed = words.seconds(self._progress.elapsed)
        self._progress.line(f"{elapsed:>6}  {index + 1}  {model:<8}  {text}", style=style)
        if self._progress.live:
            self._progress.change(f"{self._over} of {len(self._requests)} are over")
