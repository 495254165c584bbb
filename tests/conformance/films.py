"""Checks of a followed job's video: fetched without the token, whole and in part."""

from __future__ import annotations

from urllib.parse import urlsplit

from .lives import Film, Life
from .notes import Checks, Notes
from .service import Answer

FILMS: Checks[Life] = Checks()

_HOSTS = (".runcomfy.net", ".runcomfy.com")
_BOX = slice(4, 8)


@FILMS.rule("outputs", "videos lie on hosts below runcomfy.net or runcomfy.com")
def the_video_lies_on_a_host_of_the_services(life: Life, notes: Notes) -> None:
    """A double's lie on its own host."""
    if life.film is None:
        return
    host = urlsplit(life.film.url).hostname or ""
    own = host == urlsplit(life.base_url).hostname
    notes.observe("host of videos", "the base URL's own", "the base URL's own" if own else host)
    wanted = f"*{_HOSTS[0]}, *{_HOSTS[1]} or the base URL's own host"
    notes.must(own or host.endswith(_HOSTS), "host of the video", wanted, host)


@FILMS.rule("outputs", "the URL of a video is not signed: it is fetched as given, without a token")
def the_video_is_fetched_without_the_token(life: Life, notes: Notes) -> None:
    """An MP4 file says `ftyp` at its fifth byte."""
    if life.film is None:
        return
    answer = life.film.whole
    notes.same("video, HTTP status", 200, answer.status or str(answer))
    notes.same("video, Content-Type", "video/mp4", answer.kind)
    notes.must(answer.body[_BOX] == b"ftyp", "video, first bytes", "an MP4 file", answer.body[:12])
    length = answer.headers.get("Content-Length", "none")
    notes.same("video, Content-Length", str(len(answer.body)), length)


@FILMS.rule("outputs", "a video comes in part as well, and has a strong entity tag to go on with")
def the_video_comes_in_part(life: Life, notes: Notes) -> None:
    """If-Range with the tag gives the part, with another tag the whole."""
    if life.film is None:
        return
    film = life.film
    tag = film.whole.headers.get("ETag", "none")
    strong = tag.startswith('"') and tag.endswith('"')
    notes.must(strong, "video, ETag", "a strong entity tag", tag)
    notes.same("video, Accept-Ranges", "bytes", film.whole.headers.get("Accept-Ranges", "none"))
    _compare_part(notes, "video with Range", film.part, film)
    if strong:
        _compare_part(notes, "video with Range and If-Range of its tag", film.part_if_same, film)
    whole = film.part_if_other.status == 200 and len(film.part_if_other.body) > 4
    where = "video with Range and If-Range of another tag"
    notes.must(whole, where, "HTTP 200 with the whole file", film.part_if_other)


def _compare_part(notes: Notes, where: str, answer: Answer, film: Film) -> None:
    seen = answer.status, answer.headers.get("Content-Range"), answer.body
    if seen != (206, f"bytes 4-7/{len(film.whole.body)}", film.whole.body[_BOX]):
        span = answer.headers.get("Content-Range", "none")
        words = f"HTTP 206 with bytes 4-7/{len(film.whole.body)}"
        notes.differ(where, words, f"{answer}, Content-Range {span}")
