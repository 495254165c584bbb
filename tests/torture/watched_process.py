"""The command line under watch: `python -X dev -m` this, a folder for what is seen, a command.

It notes each file that is opened for writing, each process that is started and each address that
is gone to; every logger speaks at DEBUG, every callback counts as slow, and the stacks of all
threads are dumped now and then. `CANARY_BUG=1` lets the command run into a bug of ours that
holds the token in its text and its locals.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

_TOLD = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect")


def _note_what_leaves(folder: Path) -> None:
    """Write down what audit events tell of files, processes and addresses."""
    notes = os.open(folder / f"audit-{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _TOLD:
            os.write(notes, f"{event} {arguments[1:]!r}\n".encode())
        elif event == "open" and arguments[2] and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            os.write(notes, f"writes {arguments[0]!r}\n".encode())
        elif event == "sqlite3.connect":
            os.write(notes, f"database {arguments[0]!r}\n".encode())

    sys.addaudithook(note)


def _let_all_speak(folder: Path) -> None:
    file = folder / f"everything-{os.getpid()}.log"
    logging.basicConfig(level=logging.DEBUG, filename=file)
    set_debug = asyncio.BaseEventLoop.set_debug

    def set_debug_and_slowness(loop: asyncio.BaseEventLoop, enabled: bool) -> None:
        loop.slow_callback_duration = 0.0
        set_debug(loop, enabled)

    asyncio.BaseEventLoop.set_debug = set_debug_and_slowness  # type: ignore[assignment,method-assign]
    stacks = os.open(folder / f"stacks-{os.getpid()}.log", os.O_WRONLY | os.O_CREAT)
    faulthandler.enable(stacks)

    def dump() -> None:
        while True:  # with the interpreter held: `dump_traceback_later` may crash on a busy stack
            faulthandler.dump_traceback(stacks)
            time.sleep(0.1)

    threading.Thread(target=dump, daemon=True).start()


def _run_into_a_bug() -> None:
    """Let the first request of a session fail as no code of ours should."""
    from seedance_async.http import HttpTransport

    async def send(transport: HttpTransport, method: str, path: str, *_: Any, **__: Any) -> Any:
        secret = transport._secret
        raise KeyError(f"{method} {path} with {transport._posting._head} and {secret}")

    HttpTransport.send = send  # type: ignore[assignment,method-assign]


def _let_images_be_near() -> None:
    """Let an image's host be on this machine, where the test listens without TLS."""
    from seedance_async import http, images

    http.is_private_host = lambda _host: False  # type: ignore[assignment,attr-defined]
    images._address_problem = lambda _url: None  # type: ignore[assignment]


def main() -> None:
    """Watch, then be the command."""
    folder = Path(sys.argv[1])
    sys.argv = ["seedance-async", *sys.argv[2:]]
    _note_what_leaves(folder)
    _let_all_speak(folder)
    from seedance_async.__main__ import main as command
    from tests.hostile.batch_process import _be_quick

    _be_quick()
    _let_images_be_near()
    if os.environ.get("CANARY_BUG"):
        _run_into_a_bug()
    command()


if __name__ == "__main__":
    main()
