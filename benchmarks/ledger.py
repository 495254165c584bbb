"""How many durable changes a second does the ledger take, how many share a commit, and how long
does each wait?

So many writers at once bring rows through the three words of a generation: `submitting`,
`accepted`, `finished`; each word is awaited until it is on the disk. A change's delay is counted in
commits, those under way included: one that comes while nothing is being written is acknowledged by
the first. What the loop is held up by is the lateness of a timer that is set every 2 ms.

    python -m benchmarks.ledger [--changes 30000] [--rounds 3] [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.report import Quartiles, keep, quartiles
from seedance_async import ProFastTextToVideo, Succeeded
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.planning import plan_manifest
from seedance_async.jobs import Output

_WRITERS: Final = (1, 4, 50, 200)
_WORDS: Final = 3
_BEAT: Final = 0.002
_URL: Final = "https://playgrounds-storage-public.runcomfy.net/b/output/{}.mp4"
_COLUMNS: Final = {
    "rate": "changes/s",
    "a_commit": "a commit",
    "delay": "delay",
    "longest_delay": "longest",
    "cpu_us": "CPU us",
    "wait_ms": "wait ms",
    "held_ms": "loop ms",
}


def _request(number: int) -> ProFastTextToVideo:
    return ProFastTextToVideo(text=f"A red fox crosses a frozen lake, take {number}", duration=5)


class _Meter:
    """Times each word, in seconds and in commits."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.delays: list[int] = []
        self.waits: list[float] = []

    async def write(self, word: Any) -> None:
        """Wait until a word is on the disk."""
        (made, _), began = self._ledger.commits, time.perf_counter()
        await word
        self.delays.append(self._ledger.commits[1] - made)
        self.waits.append(time.perf_counter() - began)


async def _write_rows(ledger: Ledger, meter: _Meter, numbers: Iterator[int]) -> None:
    """Bring rows to their ends, one after the other, until none is left."""
    for number in numbers:
        key, request_id = f"fox-{number}", f"6f21c6f0-4a25-49ee-b720-{number:012x}"
        url = _URL.format(request_id)
        end = Succeeded(request_id=request_id, video_url=url, output=Output(url), cost_usd=0.05)
        await meter.write(ledger.submitting(key, _request(number)))
        await meter.write(ledger.accepted(key, request_id))
        await meter.write(ledger.finished(key, end))


async def _beat(late: list[float]) -> None:
    """Note by how much a timer is late, every 2 ms."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _BEAT
        await asyncio.sleep(_BEAT)
        late.append(loop.time() - due)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _measure(folder: Path, writers: int, changes: int) -> dict[str, float]:
    rows = max(writers, changes // _WORDS)
    async with await Ledger.open(folder, origin="simulator") as ledger:
        plan = ((f"fox-{number}", _request(number)) for number in range(rows))
        await plan_manifest(ledger, plan, errors=None)
        meter, late = _Meter(ledger), list[float]()
        heart = asyncio.ensure_future(_beat(late))
        numbers = iter(range(rows))
        (made, _), began, used = ledger.commits, time.perf_counter(), _cpu()
        await asyncio.gather(*(_write_rows(ledger, meter, numbers) for _ in range(writers)))
        seconds = time.perf_counter() - began
        cpu = _cpu() - used
        heart.cancel()
        commits, changes = ledger.commits[1] - made, len(meter.waits)
        return {
            "rate": changes / seconds,
            "a_commit": changes / commits,
            "delay": sum(meter.delays) / changes,
            "longest_delay": max(meter.delays),
            "cpu_us": 1e6 * cpu / changes,
            "wait_ms": 1e3 * quartiles(meter.waits).median,
            "held_ms": 1e3 * sorted(late)[int(0.99 * len(late))],
        }


def _run_once(writers: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure in a fresh process and a fresh folder."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        command = [sys.executable, "-m", "benchmarks.ledger", "--once", folder]
        command += ["--writers", str(writers), "--changes", str(options.changes)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(told.stdout)
    return found


def _print_table(summaries: dict[int, dict[str, Quartiles]]) -> None:
    print(f"{'writers':>8}" + "".join(f"{title:>11}" for title in _COLUMNS.values()))
    for writers, found in summaries.items():
        digits = {"rate": 0, "longest_delay": 0, "cpu_us": 0}
        cells = (f"{found[key].median:>11,.{digits.get(key, 1)}f}" for key in _COLUMNS)
        print(f"{writers:>8}" + "".join(cells))


def main() -> None:
    """Run the rounds, print the table, keep the numbers."""
    parser = argparse.ArgumentParser(description="What the ledger takes.")
    parser.add_argument("--changes", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="on the disk that is meant; else a temporary one"
    )
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--writers", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(asyncio.run(_measure(options.once, options.writers, options.changes))))
        return
    rounds = [
        {writers: _run_once(writers, options) for writers in _WRITERS}
        for _ in range(options.rounds)
    ]
    summaries = {
        writers: {key: quartiles([one[writers][key] for one in rounds]) for key in _COLUMNS}
        for writers in _WRITERS
    }
    _print_table(summaries)
    given = {"changes": options.changes, "rounds": options.rounds}
    keep("ledger", given, summaries, rounds)


if __name__ == "__main__":
    main()
