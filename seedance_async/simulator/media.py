"""The videos that the simulator serves: one small playable file for each look."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import attrs

FOLDER: Final = Path(__file__).parent / "media"

#: Width and height in pixels by resolution and aspect ratio, as Seedance 1.0 renders them
#: (ByteDance's own table; https://runware.ai/docs/models/bytedance-seedance-1-0-pro repeats it).
PIXELS: Final[dict[str, dict[str, tuple[int, int]]]] = {
    "480p": {
        "16:9": (864, 480),
        "4:3": (736, 544),
        "1:1": (640, 640),
        "3:4": (544, 736),
        "9:16": (480, 864),
        "21:9": (960, 416),
    },
    "720p": {
        "16:9": (1248, 704),
        "4:3": (1120, 832),
        "1:1": (960, 960),
        "3:4": (832, 1120),
        "9:16": (704, 1248),
        "21:9": (1504, 640),
    },
    "1080p": {
        "16:9": (1920, 1088),
        "4:3": (1664, 1248),
        "1:1": (1440, 1440),
        "3:4": (1248, 1664),
        "9:16": (1088, 1920),
        "21:9": (2176, 928),
    },
}

_FALLBACK_RESOLUTION: Final = "480p"
_FALLBACK_RATIO: Final = "16:9"


@attrs.frozen
class Video:
    """One MP4 file in memory, with the strong entity tag of its bytes."""

    name: str
    content: bytes = attrs.field(repr=False)
    etag: str


def file_name(resolution: str, ratio: str) -> str:
    """Name the file of a look: `("720p", "16:9")` is `720p-16x9.mp4`."""
    return f"{resolution}-{ratio.replace(':', 'x')}.mp4"


def video(resolution: str, ratio: str) -> Video:
    """Return the video of a look; what has none (`adaptive`, `4k`) looks like 16:9 and 480p."""
    looks = PIXELS.get(resolution)
    if looks is None:
        resolution, looks = _FALLBACK_RESOLUTION, PIXELS[_FALLBACK_RESOLUTION]
    return _load(file_name(resolution, ratio if ratio in looks else _FALLBACK_RATIO))


@cache
def _load(name: str) -> Video:
    content = (FOLDER / name).read_bytes()
    return Video(name, content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
