"""What benchmarks share: alternating rounds, quartiles, and a file with machine and versions."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

__all__ = [
    "RESULTS",
    "Quartiles",
    "alternating",
    "as_dicts",
    "conditions",
    "keep",
    "quartiles",
    "save",
]

_Name = TypeVar("_Name", str, int)

RESULTS: Final = Path(__file__).parent / "results"
_PACKAGES: Final = ("seedance-async", "aiohttp", "attrs", "cattrs", "anyio", "uvloop", "httpx")


class Quartiles(NamedTuple):
    """The middle of a few values and how far they spread."""

    low: float
    median: float
    high: float


def quartiles(values: Sequence[float]) -> Quartiles:
    """Return the quartiles of at least one value."""
    if len(values) == 1:
        return Quartiles(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Quartiles(low, median, high)


def alternating(names: Iterable[str], rounds: int) -> Iterator[tuple[str, ...]]:
    """Yield the contenders in the order of each round: as named, then backwards, and so on."""
    order = tuple(names)
    for _ in range(rounds):
        yield order
        order = order[::-1]


def conditions() -> dict[str, Any]:
    """Return what a number depends on besides the code: versions, machine, load."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
        "commit": _commit(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def as_dicts(
    summaries: Mapping[_Name, Mapping[str, Quartiles]],
) -> dict[_Name, dict[str, dict[str, float]]]:
    """Return the quartiles of each contender as they are written down."""
    return {
        name: {key: value._asdict() for key, value in found.items()}
        for name, found in summaries.items()
    }


def keep(
    question: str,
    options: Mapping[str, Any],
    summaries: Mapping[_Name, Mapping[str, Quartiles]],
    rounds: Sequence[Mapping[_Name, Any]],
    **more: Any,
) -> None:
    """Write what all rounds came to, with the conditions and what else is told; say where."""
    about = {"options": options, "conditions": conditions(), **more}
    path = save(question, {**about, "summary": as_dicts(summaries), "rounds": rounds})
    print(f"All numbers: {path}")


def save(question: str, report: dict[str, Any]) -> Path:
    """Write a report to `results/QUESTION-TIME.json` and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{question}-{datetime.now(UTC):%Y%m%dT%H%M%S}.json"
    path.write_text(json.dumps({"command": sys.argv, **report}, indent=1) + "\n")
    return path


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit of the working tree, `-dirty` behind it if it was edited since."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
