"""Where the commands remember how long jobs take: the user's state directory."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from seedance_async.credentials import is_loopback
from seedance_async.history import Lasted, read_history

__all__ = ["durations_of", "history_file", "state_folder"]


def history_file(base_url: str) -> Path | None:
    """Return the file for the jobs of one service; None for a simulator, which teaches nothing.

    Args:
        base_url: The service; what listens on this machine is taken for a simulator.
    """
    parts = urlsplit(base_url)
    if parts.hostname is None or is_loopback(parts.hostname):
        return None
    try:
        folder = state_folder(os.environ, Path.home(), sys.platform)
    except RuntimeError:  # nobody's home
        return None
    name = re.sub(r"[^a-z0-9.-]+", "_", f"{parts.netloc}{parts.path.rstrip('/')}".lower())
    return folder / "durations" / f"{name[:100]}.jsonl"


def durations_of(base_url: str | None) -> list[Lasted]:
    """Return how long the last jobs of a service took; none of a simulator's. Blocks."""
    file = None if base_url is None else history_file(base_url)
    return [] if file is None else read_history(file)


def state_folder(environment: Mapping[str, str], home: Path, system: str) -> Path:
    """Return the folder for what programs remember of the user's; it may not exist.

    Args:
        environment: The environment variables.
        home: The user's home.
        system: As `sys.platform` says it.
    """
    if system == "win32":
        local = environment.get("LOCALAPPDATA", "")
        root = Path(local) if local else home / "AppData" / "Local"
    elif system == "darwin":
        root = home / "Library" / "Application Support"
    else:
        given = Path(environment.get("XDG_STATE_HOME", ""))
        root = given if given.is_absolute() else home / ".local" / "state"
    return root / "seedance-async"
