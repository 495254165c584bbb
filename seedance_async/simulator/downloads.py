"""Serving a video file, with ranges (RFC 9110, section 14) and a strong entity tag."""

import re
from collections.abc import Mapping
from typing import Final

from .media import Video
from .reply import Reply

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)\Z")


def serve_video(method: str, headers: Mapping[str, str], video: Video) -> Reply:
    """Answer GET or HEAD for a video; header names come in lower case.

    One range is served; several, an unreadable one, one on HEAD, or one whose If-Range does not
    name these very bytes are ignored, as the RFC allows: the whole file comes.
    """
    size = len(video.content)
    base = {"Content-Type": "video/mp4", "Accept-Ranges": "bytes", "ETag": video.etag}
    if method == "HEAD":
        return Reply(200, {**base, "Content-Length": str(size)}, b"")
    wanted = headers.get("range") if headers.get("if-range") in (None, video.etag) else None
    span = _span(wanted, size) if wanted else None
    if span is None:
        return Reply(200, {**base, "Content-Length": str(size)}, video.content)
    if not span:
        base |= {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
        return Reply(416, base, b"")
    base["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    base["Content-Length"] = str(len(span))
    return Reply(206, base, video.content[span.start : span.stop])


def _span(wanted: str, size: int) -> range | None:
    """Read a Range header: the bytes, an empty range if there are none, None if unreadable."""
    match = _RANGE.match(wanted.strip())
    if match is None or wanted.strip() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)
