"""Makes the README's pictures anew: `python .pictures/make.py`, with the extra dev installed.

Everything is a capture of the real thing: the page of a batch and the plots of a benchmark in the
system's Chromium, and a terminal of tmux in which a batch runs and is interrupted. All of it is
simulated, so it costs nothing; the clips are the simulator's test pictures.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from seedance_async.cli.batch import carry_out
from seedance_async.cli.batchflags import ALL_ROWS, ALL_VIDEOS, Pace
from seedance_async.cli.batchrun import Order
from seedance_async.cli.commandline import CommandLine
from seedance_async.cli.patience import USUAL
from seedance_async.cli.prices import UNBOUNDED
from seedance_async.simulator import FaultPlan, Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

HERE = Path(__file__).parent
MANIFEST = HERE.parent / "seedance_async" / "cli" / "demo.jsonl"
PROGRAM = f"{shlex.quote(sys.executable)} -m seedance_async"
COLUMNS, LINES = 92, 30
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LARGEST = 150_000
"""Bytes of a picture; all together stay below 400,000."""


def main() -> None:
    """Make all pictures and say how large they are."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        page, plots, screen = night(folder), benchmark(folder), interrupted(folder)
        with browser() as chromium:
            gallery(chromium, page)
            plot(chromium, plots)
            terminal(chromium, screen)
    for picture in sorted(HERE.glob("*.png")):
        size = picture.stat().st_size
        print(f"{picture.name}: {size:,} bytes{' - too large' if size > LARGEST else ''}")


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the system's Chromium."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


def night(folder: Path) -> Path:
    """Run a batch of which a few jobs fail, and return its page."""
    out = folder / "one-night"
    faults = FaultPlan.parse(["failed=0.08"])
    order = Order(
        manifest=str(MANIFEST),
        folder=out,
        base_url=None,
        simulator=Simulator(speed=12, seed=4, capacity=6, faults=faults),
        choice=ALL_ROWS,
        retry=(),
        pace=Pace(max_in_flight=8),
        patience=USUAL,
        bounds=UNBOUNDED,
        prices=UNBOUNDED.check(),
        downloading=ALL_VIDEOS,
        command=CommandLine(("batch", "rows.csv", "--out", "one-night")),
    )
    carry_out(order, yes=True, as_json=False)
    return out / "report.html"


def benchmark(folder: Path) -> Path:
    """Run the README's benchmark, and return its page."""
    out = folder / "bench"
    flags = ["--jobs", "96", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "seedance_async", "bench", *flags], check=True)
    return out / "benchmark.html"


def gallery(chromium: Browser, batch: Path) -> None:
    """Take the top of a batch's page."""
    page = chromium.new_page(viewport={"width": 1280, "height": 1230}, color_scheme="light")
    page.goto(batch.as_uri())
    page.wait_for_timeout(1000)
    # A frame in which the bars are on their way shows that these are videos.
    page.evaluate("document.querySelectorAll('video').forEach(v => { v.currentTime = 0.4 })")
    page.wait_for_timeout(1000)
    page.screenshot(path=HERE / "gallery.png")
    page.close()


def plot(chromium: Browser, benchmark: Path) -> None:
    """Take the first plots of a benchmark's page."""
    page = chromium.new_page(viewport={"width": 1000, "height": 724}, color_scheme="light")
    page.goto(benchmark.as_uri())
    page.wait_for_timeout(300)
    page.screenshot(path=HERE / "benchmark.png")
    page.close()


def interrupted(folder: Path) -> str:
    """Interrupt a batch in a terminal of tmux, and return what is on the screen then."""
    tmux = ["tmux", "-L", "seedance-pictures"]
    shell = ["env", "PS1=$ ", "bash", "--norc", "--noprofile"]
    size = ["-x", str(COLUMNS), "-y", str(LINES)]
    subprocess.run([*tmux, "new-session", "-d", "-c", folder, *size, *shell], check=True)
    try:
        alias = f'seedance-async() {{ {PROGRAM} "$@"; }}; clear'
        for keys, pause in ((alias, 0.5), ("seedance-async demo", 12.0)):
            subprocess.run([*tmux, "send-keys", keys, "Enter"], check=True)
            time.sleep(pause)
        subprocess.run([*tmux, "send-keys", "C-c"], check=True)
        time.sleep(0.7)
        shown = subprocess.run(
            [*tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True
        ).stdout
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    return shown.rstrip().replace(f"{MANIFEST.parent}/", "")


def terminal(chromium: Browser, screen: str) -> None:
    """Draw what a terminal showed as a window."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(screen))
    drawing = console.export_svg(title="seedance-async", theme=MONOKAI)
    drawing = re.sub(r"@font-face \{.*?\}", "", drawing, flags=re.DOTALL)  # from elsewhere
    page = chromium.new_page(viewport={"width": 1000, "height": 800})
    page.set_content(f"<style>body {{ margin: 0 }} svg {{ width: 860px }}</style>{drawing}")
    page.locator("svg").first.screenshot(path=HERE / "terminal.png", omit_background=True)
    page.close()


if __name__ == "__main__":
    main()
