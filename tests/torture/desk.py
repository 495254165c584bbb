"""A person at a desk: commands in processes of their own, and all that they leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from seedance_async.credentials import TOKEN_VARIABLES
from tests.cli.processes import Finished, finish, guard, until

from .canary import Evidence

__all__ = ["Desk"]

ROOT = Path(__file__).parents[2]
_WATCHED = ("-X", "dev", "-m", "tests.torture.watched_process")


class Desk:
    """Runs commands in a folder, with a token in a variable or in the official file.

    Args:
        folder: Holds `work`, where the commands run, `home` and `seen`.
        base_url: The service.
        token: The secret.
        in_file: It is in the official command line's file instead of a variable.
        evidence: Takes what the commands print, and what they were called.
    """

    def __init__(
        self, folder: Path, base_url: str, token: str, *, in_file: bool, evidence: Evidence
    ) -> None:
        self.work, self.home, self.seen = (folder / name for name in ("work", "home", "seen"))
        for place in (self.work, self.home, self.seen):
            place.mkdir()
        self.evidence = evidence
        self.commands: set[str] = set()
        self._token_file = self.home / "runcomfy" / "token.json"
        bare = {name: value for name, value in os.environ.items() if name not in TOKEN_VARIABLES}
        self._environment = {
            **bare,
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "RUNCOMFY_MODEL_API_BASE": base_url,
        }
        if in_file:
            self._token_file.parent.mkdir()
            self._token_file.write_text(json.dumps({"access_token": token}))
            self._token_file.chmod(0o600)
        else:
            self._environment[TOKEN_VARIABLES[0]] = token

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command under watch."""
        process = subprocess.Popen(
            [sys.executable, *_WATCHED, str(self.seen), *command],
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self._environment, **environment},
        )
        guard(process)
        self.commands.add(command[0])
        self.evidence.add("command lines", _command_line(process))
        return process

    def end(self, process: subprocess.Popen[str]) -> Finished:
        """Wait for a command's end, and keep what it printed."""
        ended = finish(process)
        self.evidence.add("stdout", ended.out)
        self.evidence.add("stderr", ended.err)
        return ended

    def run(self, *command: str, code: int, **environment: str) -> Finished:
        """Run a command that is to end with that code."""
        ended = self.end(self.start(*command, **environment))
        assert ended.code == code, f"{command}: {ended.code}\n{ended.out}\n{ended.err[-3000:]}"
        return ended

    def run_all(self, commands: Sequence[tuple[int, Sequence[str]]]) -> None:
        """Run commands that do not touch one another, a few at a time."""
        with ThreadPoolExecutor(3) as pool:
            for future in [pool.submit(self.run, *words, code=code) for code, words in commands]:
                future.result()

    def collect(self) -> None:
        """Keep all files: of the work, of the home but for the token's own, of the watch."""
        self._token_file.unlink(missing_ok=True)
        for place in (self.work, self.home, self.seen):
            self.evidence.add_files(place)

    def audit(self) -> list[str]:
        """Return what the commands did: files, databases, addresses, processes."""
        return [line for log in self.seen.glob("audit-*") for line in log.read_text().splitlines()]


def _command_line(process: subprocess.Popen[str]) -> bytes:
    """Return what `ps` shows of a process to everybody, as soon as there is something."""
    path = Path(f"/proc/{process.pid}/cmdline")
    if not path.exists():
        return b"(not to be had here)"
    until(lambda: path.read_bytes() != b"" or process.poll() is not None)
    return path.read_bytes()
