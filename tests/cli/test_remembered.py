"""What the commands remember of durations: where, and for which services."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedance_async import FixedPolling, LearnedPolling
from seedance_async.cli.patience import Patience
from seedance_async.cli.remembered import history_file, state_folder

HOME = Path("/home/fox")


@pytest.mark.parametrize(
    ("system", "environment", "folder"),
    [
        ("linux", {}, HOME / ".local" / "state" / "seedance-async"),
        ("linux", {"XDG_STATE_HOME": "/var/fox"}, Path("/var/fox/seedance-async")),
        ("linux", {"XDG_STATE_HOME": "not/absolute"}, HOME / ".local" / "state" / "seedance-async"),
        ("darwin", {}, HOME / "Library" / "Application Support" / "seedance-async"),
        ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/seedance-async")),
        ("win32", {}, HOME / "AppData" / "Local" / "seedance-async"),
    ],
)
def test_state_stands_where_the_system_keeps_it(
    system: str, environment: dict[str, str], folder: Path
) -> None:
    """The XDG rules pass over a path that is not absolute."""
    assert state_folder(environment, HOME, system) == folder


def test_each_service_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one takes says nothing of another; no address leaves the folder."""
    monkeypatch.setenv("HOME", "/home/fox")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    addresses = ["https://a.example", "https://b.example:8443/v1", "https://c.example/../../x"]
    files = [history_file(address) for address in addresses]
    assert [None if file is None else file.name for file in files] == [
        "a.example.jsonl",
        "b.example_8443_v1.jsonl",
        "c.example_.._.._x.jsonl",
    ]
    assert len({None if file is None else file.parent for file in files}) == 1


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8765", "http://localhost:1", "http://[::1]:2"]
)
def test_a_simulator_teaches_nothing(address: str) -> None:
    """Whatever listens on this machine is one; its durations are invented."""
    assert history_file(address) is None


def test_the_flags_decide_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """On for a service, off with --no-history, and where a fixed interval needs no history."""
    monkeypatch.setenv("XDG_STATE_HOME", "/var/fox")
    here = "https://a.example"

    def polling(patience: Patience, base_url: str | None = here) -> object:
        return patience.session_options(base_url=base_url)["polling"]

    kept = Path("/var/fox/seedance-async/durations/a.example.jsonl")
    assert polling(Patience()) == LearnedPolling(history=kept)
    assert polling(Patience(no_history=True)) == LearnedPolling()
    assert polling(Patience(), None) == LearnedPolling()
    assert polling(Patience(poll_interval=3.0)) == FixedPolling(3.0)
