"""A script, tested as it stands: processes of their own, all on one simulator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from seedance_async.testing import SimulatorServer

SCRIPT = Path(__file__).with_name("make_video.py")


def test_the_script_makes_a_video_for_each_who_runs_it(
    seedance_simulator: SimulatorServer, tmp_path: Path
) -> None:
    """Real time, for these are processes; each waits 2 s before it asks for its video."""
    animals = ["fox", "hare"]
    scripts = [
        subprocess.Popen(
            [sys.executable, SCRIPT, f"A {animal}", f"{animal}.mp4"],
            cwd=tmp_path,
            env=seedance_simulator.environ,  # nothing in it leads to the paid service
            stdout=subprocess.PIPE,
            text=True,
        )
        for animal in animals
    ]
    said = [script.communicate(timeout=60)[0] for script in scripts]
    assert said == ["fox.mp4: 0.25 USD\n", "hare.mp4: 0.25 USD\n"]
    assert all((tmp_path / f"{animal}.mp4").stat().st_size > 1000 for animal in animals)
    assert seedance_simulator.books.billed_usd == 0.5
    assert not seedance_simulator.books.token_leaks
