"""The ground on which trials are held: folders in memory, a zygote, and a thread that serves."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs

from seedance_async import ProFastTextToVideo
from seedance_async.simulator import Simulator
from tests.torture.killing import Zygote
from tests.torture.loopback import Loopback
from tests.torture.trial import Trial

__all__ = ["Ground", "open_ground"]

_MEMORY: Final = Path("/dev/shm")


@attrs.define
class Ground:
    """What trials share; made by `open_ground`."""

    folder: Path
    _zygote: Zygote
    _loopback: Loopback
    _trials: int = 0

    @contextmanager
    def trial(
        self,
        *,
        rows: int = 3,
        service: Mapping[str, Any] = MappingProxyType({}),
        resolution: str = "480p",
        padding: str = "",
        max_in_flight: int = 3,
        max_submitting: int = 2,
        **settings: Any,
    ) -> Iterator[Trial]:
        """Make a trial with a service of its own.

        Args:
            rows: Of the manifest, beside one that is invalid.
            service: How the simulator differs from one that is fast and has no faults.
            resolution: Of the videos; the higher, the larger.
            padding: Makes prompts long.
            max_in_flight: The session's.
            max_submitting: The session's.
            settings: More for each child: `checkpoint_pages`, `each_write`.
        """
        self._trials += 1
        folder = self.folder / f"trial-{self._trials}"
        simulator = Simulator(**{"seed": self._trials, "speed": 3000.0, **service})
        folder.mkdir()
        lines = [_line(f"fox-{n}", padding, resolution) for n in range(1, rows + 1)]
        lines.insert(1, {"key": "no fox"})  # invalid, so that there is an errors.jsonl
        (folder / "foxes.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        with self._loopback.serve(simulator):
            yield Trial(
                folder,
                self._zygote,
                self._loopback,
                simulator,
                rows=rows,
                max_in_flight=max_in_flight,
                max_submitting=max_submitting,
                **settings,
            )
        shutil.rmtree(folder)


@contextmanager
def open_ground() -> Iterator[Ground]:
    """Make what trials share.

    The folders are in memory where there is such a place: SIGKILL takes nothing from the system's
    cache, so that a real disk would only be waited for.
    """
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        zygote, loopback = Zygote(folder), Loopback()
        try:
            yield Ground(folder, zygote, loopback)
        finally:
            zygote.close()
            loopback.close()


def _line(key: str, padding: str, resolution: str) -> dict[str, Any]:
    fields = {"model": ProFastTextToVideo.model_id, "duration": 5, "resolution": resolution}
    return {"key": key, "text": f"{key}{padding}", **fields}
