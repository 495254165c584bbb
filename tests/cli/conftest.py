"""A clean place for commands: no token, no home of the developer's, a folder of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from seedance_async.credentials import BASE_URL_VARIABLE, TOKEN_VARIABLES

from .processes import Simulation, kill_leftovers, simulation


@pytest.fixture(autouse=True)
def clean_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_ends: None
) -> Iterator[None]:
    """Nothing of the developer's environment reaches a command, and no logging outlives it."""
    for name in (*TOKEN_VARIABLES, BASE_URL_VARIABLE, "RUNCOMFY_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    yield
    kill_leftovers()


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    """A simulator in a process of its own, which the environment points to."""
    with simulation("--speed", "60") as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running
