"""A run that is looked after: interrupts in stages, each with a table of rows and money."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.cli.batchboard import Board
from seedance_async.cli.batchview import View
from seedance_async.cli.interrupts import Interrupts
from seedance_async.counting import counted
from seedance_async.shell import quoted

__all__ = ["Watch"]

R = TypeVar("R", covariant=True)
_TICK: Final = 1.0


class _Run(Protocol[R]):
    """What can be told to stop: a batch, a benchmark."""

    def run(self) -> Coroutine[Any, Any, R]: ...
    def stop(self, message: str) -> None: ...
    def leave(self) -> None: ...


@attrs.frozen
class Watch(Generic[R]):
    """Brings a run to its end, and tells whoever interrupts it what that means.

    Attributes:
        work: The run.
        view: What is seen of it.
        board: Where it is shown.
        folder: Of the ledger.
        again: The command that goes on.
        simulated: Whether nothing of it costs money.
        loop_is_real: Whether the loop's seconds are seconds.
    """

    work: _Run[R]
    view: View
    board: Board
    folder: str
    again: str
    simulated: bool
    loop_is_real: bool = True

    async def follow(self, interrupts: Interrupts) -> R | None:
        """Run it, and return what it returns; None: interrupted before it began."""
        interrupts.bind(self._last_words)
        if interrupts.came:  # until now nobody waited for a stage
            return None
        with self.board:
            ticking = asyncio.create_task(self._tick())
            try:
                work = asyncio.create_task(self.work.run())
                await interrupts.follow(work, self._interrupted)
                return work.result()
            finally:
                ticking.cancel()
                await asyncio.wait({ticking})

    async def _tick(self) -> None:
        """Let the board sum up now and then, where it is not redrawn."""
        while not self.board.voice.live and self.loop_is_real:
            await asyncio.sleep(_TICK)
            self.board.tick()

    async def _interrupted(self, stage: int) -> None:
        if stage == 1:
            self._stop()
        else:
            self._leave()

    def _stop(self) -> None:
        self.work.stop("interrupted; what runs is waited for")
        bill = "" if self.simulated else ", and may be billed whether or not anybody waits"
        self.board.voice.interrupted(
            1,
            f"no more is submitted. What runs is waited for{bill}.",
            self.view.standing(),
            then="Again: cancel what is still queued and leave the rest running. It goes on with",
            again=self.again,
        )

    def _leave(self) -> None:
        self.work.leave()
        self.board.voice.interrupted(
            2,
            "cancelling what is still queued and leaving the rest, as soon as the POSTs under way "
            "are answered. The ledger has it all.",
            self.view.standing(),
            then="A third time: leave at once, those POSTs in doubt. It goes on with",
            again=self.again,
        )

    def _last_words(self) -> str:
        sending = 0 if self.simulated else self.view.glance().counts[RowState.SUBMITTING]
        resolve = f"`seedance-async resolve {quoted(self.folder)}`"
        posts = counted(sending, "POST was under way and is", "POSTs were under way and are")
        doubt = f" {posts} in doubt: {resolve}." if sending else ""
        return self.board.voice.last_words(
            f"left at once, the ledger is intact.{doubt}",
            self.view.standing().doubting(sending),
            then=f"`{self.again}` goes on",
            again=self.again,
        )
