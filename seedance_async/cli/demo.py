"""`demo`: eight real requests of all three models on an embedded simulator."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from seedance_async.cli.exits import CommandError, Exit
from seedance_async.cli.output import check_writable
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.terminal import print_json, tell
from seedance_async.cli.words import seconds, usd

if TYPE_CHECKING:
    from seedance_async.cli.board import Board
    from seedance_async.models import Request
    from seedance_async.session import Session
    from seedance_async.simulator import Simulator

__all__ = ["demo"]

_SPEED = 20.0
_POOL = 4
_CAPACITY = 3  # fewer than the pool, so that a queue is seen
_IMAGE = "https://images.example.com/first-frames"  # believed, never fetched

_REQUESTS: tuple[tuple[str, dict[str, object]], ...] = (
    ("pro-fast", {"text": "A red fox crosses a frozen lake at dawn", "seed": 7}),
    ("lite", {"prompt": "The lantern begins to glow", "first_frame_image_url": "lantern.png"}),
    (
        "v15-pro",
        {
            "prompt": "Rain drums on a tin roof, thunder far away",
            "first_frame_image_url": "roof.jpg",
            "ratio": "21:9",
        },
    ),
    ("pro-fast", {"text": "A paper boat in a gutter stream", "ratio": "1:1", "duration": 3}),
    (
        "lite",
        {
            "prompt": "The flower opens",
            "first_frame_image_url": "bud.png",
            "last_frame_image_url": "flower.png",
            "resolution": "720p",
        },
    ),
    ("pro-fast", {"text": "A lighthouse at night, from above", "ratio": "9:16", "duration": 4}),
    (
        "v15-pro",
        {
            "prompt": "She turns and smiles",
            "first_frame_image_url": "portrait.jpg",
            "ratio": "3:4",
            "duration": 4,
            "generate_audio": False,
        },
    ),
    ("pro-fast", {"text": "A train of ants carries a leaf", "ratio": "4:3", "resolution": "720p"}),
)


def demo(
    *,
    out: Annotated[
        Path, Parameter(name=["--out", "-o"], metavar="FOLDER", help="Where the videos go.")
    ] = Path("demo"),
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Generate eight videos with all three models on an embedded simulator, four at a time.

    Needs no token and costs nothing. Videos of an earlier demo are replaced.
    """
    reporting.start()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise CommandError(f"cannot make the folder {out}: {why}", Exit.UNWRITABLE) from error
    check_writable(out / "1", overwrite=True)
    report = asyncio.run(_run(out))
    if reporting.json:
        print_json(report)
    else:
        _print(report, out)
    return Exit.OK if report["succeeded"] == len(_REQUESTS) else Exit.FAILED


def _print(report: dict[str, Any], out: Path) -> None:
    for video in report["videos"]:
        print(video["file"] or f"(no video of request {video['number']})")
    tell(
        f"{report['succeeded']} of {report['requests']} videos in {out}, "
        f"{seconds(report['seconds'])}, {usd(report['cost_usd'])} simulated (real: $0.00), "
        f"paid twice: {report['paid_twice'] or 'nothing'}",
        style="bold",
    )


def _requests() -> "list[Request]":
    from seedance_async.models import build_request

    requests = []
    for model, fields in _REQUESTS:
        urls = {k: f"{_IMAGE}/{v}" for k, v in fields.items() if k.endswith("_image_url")}
        requests.append(build_request(model, {**fields, **urls}))
    return requests


async def _run(out: Path) -> dict[str, Any]:
    from seedance_async.cli.board import Board
    from seedance_async.cli.connection import embed_simulator, scaled_polling
    from seedance_async.cli.progress import Progress
    from seedance_async.simulator import Simulator

    simulator = Simulator(speed=_SPEED, capacity=_CAPACITY, seed=7)
    requests = _requests()
    tell(
        f"{len(requests)} requests on a simulator inside this process, {_SPEED:g} times faster "
        f"than real jobs, at most {_POOL} in flight: no token, no money",
        style="cyan",
    )
    began = time.monotonic()
    with Progress() as progress:
        board = Board(requests, progress)
        async with (
            embed_simulator(simulator) as service,
            service.session(
                journal=board,
                on_event=board.on_event,
                max_in_flight=_POOL,
                polling=scaled_polling(_SPEED),
            ) as session,
        ):
            videos = await _fan_out(session, board, requests, out)
    return _report(videos, time.monotonic() - began, simulator)


async def _fan_out(
    session: "Session", board: "Board", requests: "list[Request]", out: Path
) -> list[dict[str, Any]]:
    from seedance_async.jobs import Succeeded

    videos: list[dict[str, Any]] = []
    async with session.map(requests) as results:
        async for done in results:
            file = None
            if isinstance(done.outcome, Succeeded):
                model = _REQUESTS[done.index][0]
                file = await session.download(done.outcome, out / f"{done.index + 1}-{model}.mp4")
                board.downloaded(done.index, file)
            videos.append(
                {
                    "number": done.index + 1,
                    "model": done.request.model_id,
                    "request_id": done.outcome.request_id,
                    "cost_usd": done.outcome.cost_usd if isinstance(done.outcome, Succeeded) else 0,
                    "file": None if file is None else str(file),
                }
            )
    return sorted(videos, key=lambda video: video["number"])


def _report(
    videos: list[dict[str, Any]], wall_seconds: float, simulator: "Simulator"
) -> dict[str, Any]:
    return {
        "requests": len(_REQUESTS),
        "succeeded": sum(video["file"] is not None for video in videos),
        "seconds": round(wall_seconds, 3),
        "cost_usd": round(sum(video["cost_usd"] or 0 for video in videos), 6),
        "paid_twice": len(simulator.books.paid_twice()),
        "simulated": True,
        "videos": videos,
    }
