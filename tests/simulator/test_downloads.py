"""Video files over HTTP: ranges, entity tags, exact paths; and the files themselves."""

import shutil
import subprocess

import pytest

from seedance_async.simulator import Simulator
from seedance_async.simulator.downloads import serve_video
from seedance_async.simulator.media import FOLDER, PIXELS, file_name, video

from .asking import FAST, LATER, PRO, Asking

VIDEO = video("480p", "16:9")
SIZE = len(VIDEO.content)


def test_the_whole_file() -> None:
    """200 with length, strong tag and the offer of ranges; HEAD the same without a body."""
    reply = serve_video("GET", {}, VIDEO)
    assert (reply.status, reply.body) == (200, VIDEO.content)
    assert reply.headers == {
        "Content-Type": "video/mp4",
        "Accept-Ranges": "bytes",
        "ETag": VIDEO.etag,
        "Content-Length": str(SIZE),
    }
    assert VIDEO.etag.startswith('"')
    head = serve_video("HEAD", {"range": "bytes=0-1"}, VIDEO)
    assert (head.status, head.headers, head.body) == (200, reply.headers, b"")


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=10-", 10, SIZE - 1),
        ("bytes=0-999999999", 0, SIZE - 1),
        ("bytes=-5", SIZE - 5, SIZE - 1),
        ("bytes=-999999999", 0, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
    ],
)
@pytest.mark.parametrize("guard", [{}, {"if-range": VIDEO.etag}])
def test_a_range(wanted: str, first: int, last: int, guard: dict[str, str]) -> None:
    """206 with just these bytes."""
    reply = serve_video("GET", {"range": wanted, **guard}, VIDEO)
    assert reply.status == 206
    assert reply.body == VIDEO.content[first : last + 1]
    assert reply.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert reply.headers["Content-Length"] == str(last + 1 - first)


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"])
def test_a_range_beyond_the_end(wanted: str) -> None:
    """416 tells the size."""
    reply = serve_video("GET", {"range": wanted}, VIDEO)
    assert (reply.status, reply.body) == (416, b"")
    assert reply.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "headers",
    [
        {"range": "bytes=-"},
        {"range": "bytes=9-5"},
        {"range": "bytes=0-1,3-4"},
        {"range": "items=0-1"},
        {"range": "bytes=a-b"},
        {"range": "bytes=0-1", "if-range": '"another"'},
        {"range": "bytes=0-1", "if-range": f"W/{VIDEO.etag}"},
        {"range": "bytes=0-1", "if-range": "Wed, 21 Oct 2026 07:28:00 GMT"},
    ],
)
def test_a_range_that_is_ignored(headers: dict[str, str]) -> None:
    """What is unreadable, multiple or guarded by another tag brings the whole file."""
    assert serve_video("GET", headers, VIDEO).status == 200


def test_a_path_is_served_exactly_as_it_was_given() -> None:
    """`%3D` stays `%3D`: whoever unquotes or quotes again gets 404; so does who comes early."""
    asking = Asking(Simulator())
    request_id = asking.accept()
    job = asking.simulator._jobs[request_id]
    assert asking.send("GET", job.video_paths[0], headers={}).status == 404
    asking.now = LATER
    path = asking.video_path(request_id)
    assert "%3D" in path
    assert asking.send("GET", path, headers={}).status == 200
    assert asking.send("GET", path.replace("%3D", "="), headers={}).status == 404
    assert asking.send("GET", path.replace("%3D", "%253D"), headers={}).status == 404
    assert asking.send("POST", path, headers={}).status == 405


def test_the_look_follows_the_request() -> None:
    """Resolution and ratio choose the file; adaptive looks like 16:9."""
    asking = Asking(Simulator())
    tall = asking.accept({"text": "a", "resolution": "1080p", "ratio": "9:16"}, FAST)
    frame = "https://example.com/a.png"
    free = asking.accept({"prompt": "a", "first_frame_image_url": frame}, PRO)
    asking.now = LATER
    got = asking.send("GET", asking.video_path(tall), headers={})
    assert got.body == (FOLDER / "1080p-9x16.mp4").read_bytes()
    assert asking.send("GET", asking.video_path(free), headers={}).body == VIDEO.content


def test_what_has_no_look_gets_the_usual_one() -> None:
    """4k and strange ratios still play."""
    assert video("4k", "16:9") is VIDEO
    assert video("720p", "2:1").name == "720p-16x9.mp4"


LOOKS = [(r, ratio) for r, ratios in PIXELS.items() for ratio in ratios]


@pytest.mark.parametrize(("resolution", "ratio"), LOOKS)
def test_files_are_small_and_ready_to_stream(resolution: str, ratio: str) -> None:
    """18 files of at most 12 KB, each of its own, with the index before the pictures."""
    content = video(resolution, ratio).content
    assert 1000 < len(content) < 12_000
    assert content[4:8] == b"ftyp"
    assert content.index(b"moov") < content.index(b"mdat")
    assert len({video(*look).etag for look in LOOKS}) == 18


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
@pytest.mark.parametrize(("resolution", "ratio"), LOOKS)
def test_files_play(resolution: str, ratio: str) -> None:
    """H.264, 8 bits, one second, the pixels of their look, by ffprobe's word."""
    fields = "stream=codec_name,width,height,pix_fmt,duration"
    command = ["ffprobe", "-v", "error", "-show_entries", fields, "-of", "csv=p=0"]
    path = FOLDER / file_name(resolution, ratio)
    run = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)
    width, height = PIXELS[resolution][ratio]
    assert run.stdout.strip() == f"h264,{width},{height},yuv420p,1.000000"
