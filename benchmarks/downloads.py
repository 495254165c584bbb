"""Do downloads fill the link, with sha256 and fsync on, and how do they compare with curl?

100 videos of 10 MB from a server of its own, `--at-once` at a time: once through a link of 1 Gbit/s
(125 MB/s for all connections together), once as fast as it goes. `curl` fetches the same files
beside it, as many at once, where it is installed; it neither hashes nor syncs. The disk's own speed
is told too: the same bytes written and synced by one thread, no network.

    python -m benchmarks.downloads [--rounds 3] [--files 100] [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.cores import choose, pin
from benchmarks.report import Quartiles, alternating, as_dicts, conditions, quartiles, save
from seedance_async import Session

_GIGABIT: Final = 125e6
_LINKS: Final[dict[str, float | None]] = {"1 Gbit/s": _GIGABIT, "unshaped": None}
_PIECE: Final = 1 << 20


@contextmanager
def _server(size: int, link: float | None, core: int | None) -> Iterator[str]:
    """Start a server of files and give its address."""
    command = [sys.executable, "-m", "benchmarks.fileserver", "--bytes", str(size)]
    command += [] if link is None else ["--link", str(link)]
    command += [] if core is None else ["--core", str(core)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


async def _download(url: str, folder: Path, files: int, at_once: int) -> None:
    """Download as the batch does: so many at once, each hashed, synced and renamed."""
    bound = asyncio.Semaphore(at_once)
    async with Session("benchmark-token", base_url=url) as session:

        async def fetch(number: int) -> None:
            async with bound:
                await session.download_file(f"{url}/{number}.mp4", folder / f"{number}.mp4")

        await asyncio.gather(*(fetch(number) for number in range(files)))


def _curl(url: str, folder: Path, files: int, at_once: int) -> None:
    """Let one curl fetch all files."""
    command = ["curl", "--silent", "--fail", "--parallel", "--parallel-max", str(at_once)]
    command += ["--output", str(folder / "#1.mp4"), f"{url}/[0-{files - 1}].mp4"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)  # its progress


def _disk(folder: Path, files: int, size: int) -> None:
    """Write and sync as many bytes, and nothing else."""
    piece = os.urandom(_PIECE)
    for number in range(files):
        with (folder / f"{number}.mp4").open("wb", buffering=0) as file:
            for start in range(0, size, _PIECE):
                file.write(piece[: size - start])
            os.fsync(file.fileno())


def _once(name: str, url: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Run one contender; its seconds of wall time and of CPU, curl's included."""
    importlib.import_module("seedance_async.http")  # what a session imports when it is opened
    before, began = _cpu(), time.perf_counter()
    if name == "session":
        asyncio.run(_download(url, folder, options.files, options.at_once))
    elif name == "curl":
        _curl(url, folder, options.files, options.at_once)
    else:
        _disk(folder, options.files, options.size)
    found = {"seconds": time.perf_counter() - began, "cpu_seconds": _cpu() - before}
    sizes = {path.stat().st_size for path in folder.glob("*.mp4")}
    if sizes != {options.size} or len(list(folder.iterdir())) != options.files:
        raise RuntimeError(f"{name} left files of {sizes} bytes")
    return found


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def _run_once(
    name: str, url: str, options: argparse.Namespace, core: int | None
) -> dict[str, float]:
    """Run one contender in a fresh process and a fresh folder."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        command = [sys.executable, "-m", "benchmarks.downloads", "--once", name, url, folder]
        command += ["--files", str(options.files), "--size", str(options.size)]
        command += ["--at-once", str(options.at_once)]
        command += [] if core is None else ["--core", str(core)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(told.stdout)
    found["mb_per_second"] = options.files * options.size / found["seconds"] / 1e6
    return found


def _print_table(link: str, summaries: dict[str, dict[str, Quartiles]]) -> None:
    print(f"{link:14}{'MB/s':>8}{'quartiles':>16}{'seconds':>9}{'CPU s':>8}")
    for name, found in summaries.items():
        rate = found["mb_per_second"]
        print(
            f"{name:14}{rate.median:8.1f}{f'{rate.low:.1f}..{rate.high:.1f}':>16}"
            f"{found['seconds'].median:9.2f}{found['cpu_seconds'].median:8.2f}"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--size", type=int, default=10_000_000, help="bytes of a file")
    parser.add_argument("--at-once", type=int, default=4, help="the batch's own bound")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="on the disk that is meant; else a temporary one"
    )
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run the rounds, print a table for each link, keep the numbers."""
    options = _parse()
    if options.once:
        pin(options.core)
        name, url, folder = options.once
        print(json.dumps(_once(name, url, Path(folder), options)))
        return
    names = ["session", *["curl"] * (shutil.which("curl") is not None), "disk"]
    server_core, client_core = choose()
    found: dict[str, Any] = {}
    for link, speed in _LINKS.items():
        with _server(options.size, speed, server_core) as url:
            rounds = [
                {name: _run_once(name, url, options, client_core) for name in order}
                for order in alternating(names, options.rounds)
            ]
        summaries = {
            name: {key: quartiles([one[name][key] for one in rounds]) for key in rounds[0][name]}
            for name in names
        }
        _print_table(link, summaries)
        found[link] = {"summary": as_dicts(summaries), "rounds": rounds}
    if "curl" not in names:
        print("curl is not installed: nothing to compare with.")
    given = {key: getattr(options, key) for key in ("files", "size", "at_once", "rounds")}
    print(
        f"All numbers: {save('downloads', {'options': given, 'conditions': conditions(), **found})}"
    )


if __name__ == "__main__":
    main()
