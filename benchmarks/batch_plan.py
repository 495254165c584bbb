"""How fast is a manifest read, checked and planned, and how much memory does that take?

A manifest of `--rows` different rows goes through `plan_manifest` into a new ledger, then once more
unchanged, each in a process of its own.

    python -m benchmarks.batch_plan [--rows 1000000] [--csv]
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
from pathlib import Path
from typing import Any

from benchmarks.report import conditions, save
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.planning import plan_manifest

_TEXT = "A red fox crosses a frozen lake at dawn, seen from above, take {}"


def _write(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        if path.suffix == ".csv":
            file.write("prompt,duration,ratio\n")
        for row in range(rows):
            text = _TEXT.format(row)
            if path.suffix == ".csv":
                file.write(f'"{text}",{2 + row % 11},16:9\n')
            else:
                file.write(json.dumps({"prompt": text, "duration": 2 + row % 11}) + "\n")


async def _plan(manifest: Path, folder: Path) -> bool:
    async with await Ledger.open(folder, origin="simulator") as ledger:
        plan = await plan_manifest(ledger, manifest, model="pro-fast", errors=None)
    return plan.unchanged


def _measure(manifest: Path, folder: Path) -> dict[str, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    unchanged = asyncio.run(_plan(manifest, folder))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return {
        "unchanged": unchanged,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": kilobytes * 1024 / 1e6,
    }


def _in_a_fresh_process(manifest: Path, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.batch_plan", "--once", str(manifest), str(folder)]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, Any] = json.loads(told.stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--csv", action="store_true")
    parser.add_argument("--once", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(_measure(*options.once)))
        return
    with tempfile.TemporaryDirectory() as place:
        manifest = Path(place) / ("rows.csv" if options.csv else "rows.jsonl")
        _write(manifest, options.rows)
        first = _in_a_fresh_process(manifest, Path(place) / "out")
        again = _in_a_fresh_process(manifest, Path(place) / "out")
    assert again["unchanged"], "the second plan read the manifest again"
    rate = options.rows / first["seconds"]
    print(f"{options.rows:,} rows of {manifest.suffix}: {rate:,.0f} rows a second")
    print(f"  planned    {first['seconds']:6.2f} s  {first['peak_mb']:6.1f} MB at its peak")
    print(f"  unchanged  {again['seconds']:6.2f} s  {again['peak_mb']:6.1f} MB at its peak")
    where = save(
        "batch_plan", {"rows": options.rows, "first": first, "again": again, **conditions()}
    )
    print(where)


if __name__ == "__main__":
    main()
