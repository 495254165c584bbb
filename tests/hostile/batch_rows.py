"""Each behaviour of the service, and where it must leave a batch's row (wire.md; design, 5 and 6).

Submissions that are accepted, then polls and videos that misbehave; `batch_posts.py` has the
answers to submissions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from seedance_async.batch import RowState, StopReason

from .acts import (
    CANARY,
    HTML,
    answer,
    cut,
    drop,
    echo,
    error,
    hang,
    html,
    redirect,
    result,
    state,
    until_well,
)
from .server import Act, Call, Plan, completion
from .video_rows import FILE, MP4, OTHER, serve

__all__ = ["POLLED_ROWS", "VIDEO_ROWS", "BatchRow"]

_S = RowState


@attrs.frozen(kw_only=True)
class BatchRow:
    """One behaviour and what must come of a row that meets it.

    Attributes:
        word: Its name, the row's key and the first word of its prompt.
        plan: What the server does.
        state: Where the first run leaves it.
        again: Where the same command leaves it when the trouble is over; None: where it was.
        posts: Submissions that the server sees in the first run.
        posts_again: And in all runs; None: no more than in the first.
        accepted: Jobs that the server has on its books for it in the end.
        files: What its videos hold when they are downloaded.
        left: What its files hold when not all could be downloaded.
        url: How its video's URL ends.
        says: What the results say of its error.
        code: The service's error code in the results.
        stop: Why the batch submits no more.
        denied: Whether the service would not tell of the job.
        helpless: Whether the video cannot be had without a person, so that no run tries it again.
        gets: Requests for its videos in the first run, if that is known.
        pause: Seconds that must pass between its first two submissions.
        asked_once: A request id whose result may be asked for once in all runs.
    """

    word: str
    plan: Plan
    state: RowState = _S.DOWNLOADED
    again: RowState | None = None
    posts: int = 1
    posts_again: int | None = None
    accepted: int = 1
    files: tuple[bytes, ...] = (FILE,)
    left: tuple[bytes, ...] = ()
    url: str = "out_%3D7.mp4"
    says: str = ""
    code: int | None = None
    stop: StopReason | None = None
    denied: bool = False
    helpless: bool = False
    gets: int | None = None
    pause: float = 0.0
    asked_once: str | None = None

    @property
    def final(self) -> RowState:
        """Where the row is left in the end."""
        return self.again or self.state


def _polled(word: str, *acts: Act, last: Act = completion, **more: Any) -> BatchRow:
    return BatchRow(word=word, plan=Plan(polls=(*acts, last), video=(serve(),)), **more)


def _filmed(word: str, *acts: Act, last: Act = completion, **more: Any) -> BatchRow:
    return BatchRow(word=word, plan=Plan(polls=(last,), video=acts), **more)


def _successes() -> Iterator[BatchRow]:
    for word in ("completed", "succeeded", "COMPLETED"):
        yield _polled(f"done-{word}", last=result(word), gets=1)

    yield _polled("videos-only", last=_made_of(videos=["a.mp4"]), url="a.mp4", gets=1)
    both = _by_name(a=serve(), b=serve(OTHER), c=serve())
    two = {"url": "a.mp4", "files": (FILE, OTHER), "gets": 2}
    yield _filmed("both", both, last=_made_of(video="a.mp4", videos=["b.mp4"]), **two)
    yield _filmed("overlap", both, last=_made_of(video="a.mp4", videos=["a.mp4", "b.mp4"]), **two)
    yield _filmed("two", both, last=_made_of(videos=["a.mp4", "b.mp4"]), **two)
    three = _made_of(video="a.mp4", videos=["b.mp4", "c.mp4"])
    files = (FILE, OTHER, FILE)
    yield _filmed("three", both, last=three, url="a.mp4", files=files, gets=3)
    yield _polled("other-id", last=result(request_id="job-of-another"), gets=1)
    yield _polled("both-2", gets=1)  # a key like the name of another row's second video


def _made_of(**names: str | list[str]) -> Act:
    def output(call: Call) -> dict[str, object]:
        return {
            kind: call.video_url(name)
            if isinstance(name, str)
            else [call.video_url(each) for each in name]
            for kind, name in names.items()
        }

    return result(output=output)


def _by_name(**acts: Act) -> Act:
    """Meet the request for a video by the file's name."""

    async def act(call: Call) -> None:
        await acts[call.received.path.rpartition("/")[2].removesuffix(".mp4")](call)

    return act


def _waits() -> Iterator[BatchRow]:
    """What is no verdict is polled on, and the success behind it is found."""
    told: dict[str, Act] = {
        "not-ready-400005": error(400, 400005),
        "html-502": html(502),
        "html-504": html(504),
        "html-404": html(404),
        "resets": drop(reset=True),
        "drops": drop(),
        "200-500001": error(200, 500001),
        "500001": error(500, 500001),
        "cut-json": cut(lambda c: {"request_id": c.request_id, "status": "failed"}),
        "half-json": answer(200, b'{"status": "fail'),
        "unknown-state": state("melting"),
        "429": answer(429, headers=[("Retry-After", "0")]),
        "redirect": redirect(302),
        "echo": echo(500, 500001),
    }
    for word, act in told.items():
        yield _polled(f"wait-{word}", act, act, state("in_progress"), act)
    yield _polled("wait-hang", hang())
    yield _polled("wait-404001", error(404, 404001))
    endless = until_well(state("in_queue"), completion)
    yield _polled("endless", last=endless, state=_S.TIMED_OUT, again=_S.DOWNLOADED)
    endless = until_well(state("melting"), completion)
    yield _polled("endless-unknown", last=endless, state=_S.TIMED_OUT, again=_S.DOWNLOADED)


def _verdicts() -> Iterator[BatchRow]:
    failed = {"state": _S.FAILED}
    yield _polled("failed-text", last=state("failed", error="nsfw words"), says="nsfw", **failed)
    shown = {"code": "E1", "message": "nsfw words"}
    yield _polled("failed-object", last=state("failed", error=shown), says="nsfw", **failed)
    yield _polled("failed-upper", last=state("FAILED"), **failed)
    shown = {"code": CANARY, "message": f"Bearer {CANARY}"}
    yield _polled("failed-echo", last=state("failed", error=shown), **failed)
    yield _polled("no-video", last=result(output={"video": None, "videos": []}), **failed)
    yield _polled("no-output", last=state("completed"), **failed)
    # it is paid for: what cannot be read must be kept for a person
    odd = result(output={"video": {"url": "https://a.runcomfy.net/odd.mp4"}})
    says = "https://a.runcomfy.net/odd.mp4"
    yield _polled("odd-output", last=odd, says=says, **failed)
    for word in ("cancelled", "canceled"):
        yield _polled(f"over-{word}", state("in_queue"), last=state(word), state=_S.CANCELLED)
    lost: dict[str, Any] = {"state": _S.LOST, "code": 404001}
    yield _polled("lost", last=error(404, 404001), **lost)
    yield _polled("lost-later", *[state("in_queue")] * 3, last=error(404, 404001), **lost)
    denied: dict[str, Any] = {"state": _S.SUBMITTED, "denied": True, "again": _S.DOWNLOADED}
    for status, code in ((403, 403001), (400, 403003)):
        not_yours = until_well(error(status, code), completion)
        yield _polled(f"denied-{status}-{code}", state("in_queue"), last=not_yours, **denied)


def _films() -> Iterator[BatchRow]:
    whole, half = serve(), serve(until=50_000)
    yield _filmed("film-cut", half, whole, gets=2)
    yield _filmed("film-cut-twice", half, drop(reset=True), whole, gets=3)
    yield _filmed("film-cut-no-etag", serve(etag=None, until=50_000), serve(etag=None), gets=2)
    yield _filmed("film-short", _length(len(FILE) + 10), whole)
    yield _filmed("film-new-etag", half, serve(OTHER, '"v2"'), files=(OTHER,), gets=2)
    yield _filmed("film-stalls", _stall, whole, gets=2)
    yield _filmed("film-404", answer(404), answer(404), whole, gets=3)
    yield _filmed("film-redirect-home", redirect(302, lambda c: c.video_url("home.mp4")), whole)
    kept: dict[str, Any] = {"state": _S.SUCCEEDED}
    yield _filmed("film-short-for-ever", _length(len(FILE) + 10), **kept)
    yield _filmed("film-stalls-for-ever", _stall, **kept)
    yield _filmed("film-html", html(200), **kept)
    yield _filmed("film-html-as-video", answer(200, HTML, headers=[MP4]), **kept)
    yield _filmed("film-empty", answer(200, headers=[MP4]), **kept)
    yield _filmed("film-500-for-ever", html(500), **kept)
    for status in (403, 404, 410):
        yield _filmed(f"film-gone-{status}", html(status), helpless=True, gets=3, **kept)
    more = _made_of(video="a.mp4", videos=["b.mp4"])
    left: dict[str, Any] = {"url": "a.mp4", "left": (FILE,), "helpless": True, "gets": 4, **kept}
    yield _filmed("film-second-gone", _by_name(a=serve(), b=html(404)), last=more, **left)

    def elsewhere(call: Call) -> dict[str, str]:
        return {"video": call.server.foreign.replace("http", "https") + "/videos/x/far.mp4"}

    refused: dict[str, Any] = {"helpless": True, "gets": 0, **kept}
    yield _filmed("film-foreign", last=result(output=elsewhere), url="/videos/x/far.mp4", **refused)
    plain = result(output={"video": "http://a.runcomfy.net/plain.mp4"})
    yield _filmed("film-plain-http", last=plain, url="/plain.mp4", **refused)
    yield _filmed("film-redirect-away", redirect(302), **kept)


async def _stall(call: Call) -> None:
    await call.answer(200, FILE[:60_000], headers=[MP4], length=len(FILE))
    await hang()(call)


def _length(length: int) -> Act:
    async def act(call: Call) -> None:
        await call.answer(200, FILE, headers=[MP4], length=length)
        call.close()

    return act


POLLED_ROWS = [*_successes(), *_waits(), *_verdicts()]
VIDEO_ROWS = list(_films())
