"""The double's process, as the benchmarks start and ask it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ask_books", "running_double"]


@contextmanager
def running_double(core: int | None, *options: str) -> Iterator[str]:
    """Start the double and give its address."""
    command = [sys.executable, "-m", "benchmarks.double", *options]
    if core is not None:
        command += ["--core", str(core)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def ask_books(url: str) -> dict[str, float]:
    """Return what the double counted, and the CPU seconds that it used."""
    with urllib.request.urlopen(f"{url}/books") as answer:
        books: dict[str, float] = json.loads(answer.read())
    return books
