"""A disk in memory, dice that can be thrown again, and the figures of the torture.

The figures are collected for the end of the run, and kept if asked:
with `SEEDANCE_FIGURES=FILE` each test's figures are added to FILE as a line of JSON, and
`python -m tests.torture.page FILE` makes the README's table of it.
"""

from __future__ import annotations

import inspect
import json
import os
import platform
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from tests.torture.diskbatch import in_memory
from tests.torture.judge import Figures
from tests.torture.summary import note_figures

_WHEN_AND_WHERE = {
    "date": datetime.now(UTC).date().isoformat(),
    "python": platform.python_version(),
    "platform": platform.system(),
    "form": "long" if "SEEDANCE_LONG" in os.environ else "short",
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where there is such a disk."""
    with in_memory(tmp_path) as folder:
        yield folder


@pytest.fixture
def chance() -> random.Random:
    """This run's dice; `SEEDANCE_SEED` throws another run's again."""
    seed = int(os.environ.get("SEEDANCE_SEED") or random.SystemRandom().getrandbits(48))
    print(f"SEEDANCE_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that reports a test's figures, with more of its own by name."""

    def report(figures: Figures, **more: object) -> None:
        name = request.node.name
        numbers = {**attrs.asdict(figures), **more}
        how = inspect.getdoc(request.function) or ""
        note_figures(request.node, numbers)
        if path := os.environ.get("SEEDANCE_FIGURES"):
            with Path(path).open("a") as file:
                line = {"test": name, "how": how.partition("\n")[0], **_WHEN_AND_WHERE, **numbers}
                file.write(f"{json.dumps(line)}\n")

    return report
