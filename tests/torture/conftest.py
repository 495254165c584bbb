"""Collects the figures of the torture, prints them at the end, and keeps them if asked.

With `SEEDANCE_FIGURES=FILE` each test's figures are added to FILE as a line of JSON;
`python -m tests.torture.page FILE` makes the README's table of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from tests.torture.judge import Figures

_TOLD = pytest.StashKey[list[tuple[str, dict[str, object]]]]()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that reports a test's figures, with more of its own by name."""

    def report(figures: Figures, **more: object) -> None:
        name = request.node.name
        numbers = {**attrs.asdict(figures), **more}
        request.config.stash.setdefault(_TOLD, []).append((name, numbers))
        if path := os.environ.get("SEEDANCE_FIGURES"):
            with Path(path).open("a") as file:
                file.write(f"{json.dumps({'test': name, **numbers})}\n")

    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what the tests told."""
    if told := config.stash.get(_TOLD, []):
        terminalreporter.section("figures of the torture")
        for name, numbers in told:
            words = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in numbers.items())
            terminalreporter.line(f"{name}: {words}")
