"""Commands that begin at the same instant, each a process of its own.

`python -m` this imports everything once and forks the commands of each order, a line of JSON on
its standard input; they wait at a gate until all are there. Their words are in files.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

from seedance_async import (
    FileJournal,
    FixedPolling,
    ProFastTextToVideo,
    Session,
    batch,
    cli,
)
from seedance_async.cli import app
from tests.cli.processes import Finished

__all__ = ["Twins", "twins"]


class Twins:
    """Sends orders to the process that forks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self, folder: Path, *commands: Sequence[str], **environment: str
    ) -> list[tuple[int, Finished]]:
        """Run commands in a folder at the same instant, and return their ids and their ends."""
        order = {"folder": str(folder), "commands": commands, "environment": environment}
        pipes = self._process.stdin, self._process.stdout
        assert pipes[0] is not None
        assert pipes[1] is not None
        pipes[0].write(f"{json.dumps(order)}\n")
        pipes[0].flush()
        told: list[tuple[int, int]] = json.loads(pipes[1].readline())
        return [
            (
                pid,
                Finished(code, *(_words(folder, number, of).read_text() for of in ("out", "err"))),
            )
            for number, (pid, code) in enumerate(told)
        ]


@contextmanager
def twins() -> Iterator[Twins]:
    """Start the process that forks, and end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.torture.twins"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    # Not guarded: it lives as long as its test, and each of its children ends by itself.
    try:
        yield Twins(process)
    finally:
        process.communicate(timeout=20)


def _read(folder: Path, number: int, of: str) -> str:
    return _words(folder, number, of).read_text()


def _words(folder: Path, number: int, of: str) -> Path:
    return folder / f"twin-{number}.{of}"


# --- the process that forks ------------------------------------------------------------------

_AFRESH = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def _import_all() -> None:
    """Import what commands import when they are called, once for all children."""
    for package in (cli, batch):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    importlib.import_module("seedance_async.http")


def _serve(orders: IO[str]) -> None:
    for line in orders:
        order = json.loads(line)
        gate, opener = os.pipe()
        pids = [
            _fork(order, number, command, (gate, opener))
            for number, command in enumerate(order["commands"])
        ]
        os.close(gate)
        os.close(opener)  # the gate opens for all
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        print(json.dumps(list(zip(pids, codes, strict=True))), flush=True)


def _fork(
    order: Mapping[str, Any], number: int, command: Sequence[str], gate: tuple[int, int]
) -> int:
    pid = os.fork()
    if pid == 0:
        os.close(gate[1])
        _live(order, number, command, gate[0])
    return pid


def _live(order: Mapping[str, Any], number: int, command: Sequence[str], gate: int) -> NoReturn:
    """Be one of the commands, from the gate to its end."""
    code = 99
    try:
        folder = Path(order["folder"])
        os.chdir(folder)
        os.environ |= order["environment"]
        for stream, of in ((1, "out"), (2, "err")):
            os.dup2(
                os.open(_words(folder, number, of), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream
            )
        sys.argv = ["seedance-async", *command]
        os.read(gate, 1)  # until all have come, and the gate is opened
        code = _keep_a_journal(*command[1:]) if command[0] == "journal" else app.run(command)
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001  a child must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(code)


def _keep_a_journal(path: str, name: str, number: str) -> int:
    """Generate videos in a session that journals to a file which others write as well."""

    async def main() -> None:
        requests = (ProFastTextToVideo(text=f"{name} {take}") for take in range(int(number)))
        async with (
            Session(journal=FileJournal(path), polling=FixedPolling(0.05)) as session,
            session.map(requests, key=lambda request: str(request.text)) as results,
        ):
            async for _ in results:
                pass

    asyncio.run(main())
    return 0


if __name__ == "__main__":
    _import_all()
    _serve(sys.stdin)
