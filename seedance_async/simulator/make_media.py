"""Draws the videos of `media/` with ffmpeg: `python -m seedance_async.simulator.make_media`.

The colour tells the aspect ratio, the number of moving bars the resolution: one at 480p, two
at 720p, three at 1080p. Needed only to change the looks; the files are part of the package.
"""

import subprocess
from pathlib import Path
from typing import Final

from .media import FOLDER, PIXELS, file_name

SECONDS: Final = 1
FRAMES_PER_SECOND: Final = 24

_COLOURS: Final = {
    "16:9": "0x1D3557",
    "4:3": "0x2A9D8F",
    "1:1": "0x8D3B72",
    "3:4": "0xB5651D",
    "9:16": "0xA4243B",
    "21:9": "0x3A5A40",
}
_BARS: Final = {"480p": 1, "720p": 2, "1080p": 3}
_BAR_COLOUR: Final = "0xF1FAEE"


def main() -> None:
    """Write all the files anew.

    Raises:
        FileNotFoundError: ffmpeg is not on the path.
        subprocess.CalledProcessError: ffmpeg could not draw a file.
    """
    FOLDER.mkdir(exist_ok=True)
    for resolution, looks in PIXELS.items():
        for ratio, (width, height) in looks.items():
            graph = _graph(width, height, _COLOURS[ratio], _BARS[resolution])
            _encode(graph, FOLDER / file_name(resolution, ratio))


def _graph(width: int, height: int, colour: str, bars: int) -> str:
    """Describe flat colour that short bars cross once, one behind the other.

    Bars start on whole macroblocks (16 pixels): a file is a third of what it is otherwise.
    """
    bar_width, bar_height = width // 256 * 32, height // 64 * 16
    source = f"r={FRAMES_PER_SECOND}:d={SECONDS}"
    steps = [f"color=c={colour}:s={width}x{height}:{source}[stage0]"]
    middle = height // 32 * 16 - bar_height // 32 * 16
    for number in range(bars):
        x = f"floor(mod(W*t/{SECONDS}+{number}*W/{bars},W)/16)*16-w/2"
        steps += [
            f"color=c={_BAR_COLOUR}:s={bar_width}x{bar_height}:{source}[bar{number}]",
            f"[stage{number}][bar{number}]overlay=x='{x}':y={middle}[stage{number + 1}]",
        ]
    return ";".join([*steps, f"[stage{bars}]format=yuv420p[out]"])


def _encode(graph: str, path: Path) -> None:
    arguments = ["ffmpeg", "-v", "error", "-y", "-filter_complex", graph, "-map", "[out]"]
    arguments += ["-c:v", "libx264", "-preset", "veryslow", "-tune", "animation", "-crf", "32"]
    # Without the encoder's note to itself (SEI, 700 bytes) and without versions in the metadata.
    arguments += ["-bsf:v", "filter_units=remove_types=6", "-map_metadata", "-1"]
    arguments += ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart"]
    subprocess.run([*arguments, str(path)], check=True)  # noqa: S603 - our own arguments


if __name__ == "__main__":
    main()
