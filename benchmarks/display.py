"""What does the display of a batch cost with 1,000 generations in flight?

The same batch runs in a process of its own, once with its display on a pseudo-terminal and once
with nothing that looks at it; both in real time against the double in the same process. Measured is
the CPU that the display's thread and its `on_change` take in a window in which 1,000 are in flight,
in part of one core; and beside it the difference of the two processes' whole CPU, which holds what
else the display brings about, but is as noisy as the machine. Rounds alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import pty
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.batch.planning import plan_manifest
from seedance_async.batch.report import RowChange
from seedance_async.batch.runner import Batch, Wishes
from seedance_async.batch.running import account_of
from seedance_async.budget import Budget
from seedance_async.cli.batchboard import Board
from seedance_async.cli.batchview import BatchView
from seedance_async.models import ProFastTextToVideo
from seedance_async.session import Session
from seedance_async.simulator import Simulator
from seedance_async.testing import SimulatedTransport

WARM_UP = 45.0
"""Seconds in which the pool fills and the first jobs end."""


class TimedBoard(Board):
    """A board that knows what CPU its callback took."""

    took = 0.0

    def change(self, change: RowChange) -> None:
        """Show a step of a row."""
        began = time.thread_time()
        super().change(change)
        self.took += time.thread_time() - began

    def cpu(self) -> float:
        """Return the seconds of CPU that the display has taken so far."""
        threads = [thread for thread in threading.enumerate() if thread.name == BLOCK]
        clocks = [time.pthread_getcpuclockid(thread.ident or 0) for thread in threads]
        return self.took + sum(map(time.clock_gettime, clocks))


BLOCK = "seedance_async block"


async def measure(shown: bool, in_flight: int, window: float) -> None:
    """Run a batch for a while, print its CPU in part of a core, and what was seen, and leave."""
    # At this speed a job takes some 45 s, as real ones do.
    simulator = Simulator(capacity=in_flight, seed=7, speed=0.4)
    transport = SimulatedTransport(simulator, latency=0.01)
    budget = Budget(price_per_second=0.05)
    # Three lengths, so that there are several kinds to reckon with; none is over at once.
    rows = [
        (f"fox-{n}", ProFastTextToVideo(text=f"A red fox, take {n}", duration=3 + n % 3))
        for n in range(5 * in_flight)
    ]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        session = Session(
            transport=transport, max_in_flight=in_flight, max_submitting=64,
            on_abort="detach", exit_timeout=0.0,
        )  # fmt: skip
        async with await Ledger.open(folder, origin=SIMULATOR) as ledger, session:
            await plan_manifest(ledger, iter(rows), errors=None)
            account = await account_of(ledger, budget)
            board = TimedBoard(download=False)
            batch = Batch(
                ledger, session, folder, account=account, wishes=Wishes(download=False),
                on_change=board.change if shown else None,
            )  # fmt: skip
            shapes = dict(await ledger.shapes())
            view = BatchView(
                batch.glance, batch.under_way, lambda: in_flight, shapes=shapes, account=account
            )
            view.foresight.teach([(shape, 60.0 + n) for shape in shapes for n in range(20)])
            board.bind(view)
            running = asyncio.create_task(batch.run())
            if shown:
                board.__enter__()
            await asyncio.sleep(WARM_UP)
            before = session.statistics().submitted
            cpu, own, began = time.process_time(), board.cpu(), time.monotonic()
            await asyncio.sleep(window)
            took = time.monotonic() - began
            part = (time.process_time() - cpu) / took
            found = session.statistics()
            told = {
                "cpu": part,
                "own": (board.cpu() - own) / took,
                "in_flight": found.in_flight,
                "submitted_per_second": (found.submitted - before) / took,
            }
            assert not running.done()
            assert board.voice.live
            print(json.dumps(told), flush=True)
            os._exit(0)  # what runs is nobody's, and to let it go would take longer


def in_process(shown: bool, in_flight: int, window: float) -> dict[str, float]:
    """Measure in a new process whose stderr is a terminal of 100 columns and 30 lines."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    flags = ["--in-flight", str(in_flight), "--window", str(window), "--one"]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.display", *flags, "shown" if shown else "silent"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    threading.Thread(target=_drain, args=(ours,), daemon=True).start()
    out, _ = process.communicate()
    found: dict[str, float] = json.loads(out)
    return found


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # the other side is closed
        os.close(terminal)


def main() -> None:
    """Print the CPU with and without the display, and the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, default=1000)
    parser.add_argument("--window", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", choices=("shown", "silent"))
    given = parser.parse_args()
    if given.one:
        asyncio.run(measure(given.one == "shown", given.in_flight, given.window))
        return
    pairs = []
    for number in range(given.rounds):
        order = (True, False) if number % 2 else (False, True)
        found = {shown: in_process(shown, given.in_flight, given.window) for shown in order}
        pairs.append((found[False], found[True]))
        silent, shown = (100 * side["cpu"] for side in pairs[-1])
        own = 100 * pairs[-1][1]["own"]
        print(
            f"round {number + 1}: {own:.2f}%; {silent:.1f}% without, {shown:.1f}% with", flush=True
        )
    owns = [100 * shown["own"] for _, shown in pairs]
    differences = [100 * (shown["cpu"] - silent["cpu"]) for silent, shown in pairs]
    print(
        f"the display takes {statistics.median(owns):.2f}% of a core "
        f"({min(owns):.2f} to {max(owns):.2f}), its process "
        f"{statistics.median(differences):.1f}% more than one without "
        f"({min(differences):.1f} to {max(differences):.1f}), with "
        f"{statistics.median(side['in_flight'] for pair in pairs for side in pair):.0f} in flight "
        f"and {statistics.median(s['submitted_per_second'] for _, s in pairs):.1f} jobs a second"
    )


if __name__ == "__main__":
    main()
