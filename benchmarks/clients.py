"""The contenders: each runs `jobs` generations, two requests each, `concurrency` at a time.

Run by the benchmarks, each round in a fresh process; prints one line of JSON:

    python -m benchmarks.clients NAME URL --jobs 2000 --concurrency 50 [--loop uvloop] [--core N]

A warm-up through a client of its own comes first (imports, caches, the interpreter's specialised
bytecode); what is measured then begins with an empty client and ends with it closed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

from benchmarks.cores import pin

__all__ = ["CLIENTS", "MODEL", "TOKEN", "main", "make_input"]

Client: TypeAlias = Callable[[str, int, int], Awaitable[None]]

TOKEN: Final = "benchmark-token"
MODEL: Final = "bytedance/seedance-1-0/pro/fast/text-to-video"
# Above zero, as every real schedule's: the job sleeps on a timer of the loop before its poll. It is
# over when the loop next looks, so the client is never idle because of it.
_POLL_INTERVAL: Final = 1e-6


def make_input(number: int) -> dict[str, object]:
    return {
        "text": f"A red fox crosses a frozen lake at dawn, take {number}",
        "resolution": "480p",
        "ratio": "16:9",
        "duration": 5,
    }


async def aiohttp_loop(url: str, jobs: int, concurrency: int) -> None:
    """The floor: what a competent person writes in fifteen lines, aiohttp's defaults left alone."""
    import aiohttp

    gate = asyncio.Semaphore(concurrency)
    headers = {"Authorization": f"Bearer {TOKEN}"}

    async with aiohttp.ClientSession(url, headers=headers, raise_for_status=True) as session:

        async def generate(number: int) -> str:
            async with gate:
                async with session.post(f"/v1/models/{MODEL}", json=make_input(number)) as answer:
                    request_id = (await answer.json())["request_id"]
                while True:
                    async with session.get(
                        f"/v1/requests/{request_id}/result?include_cost=true"
                    ) as answer:
                        result = await answer.json()
                    if result["status"] == "completed":
                        return str(result["output"]["video"])
                    await asyncio.sleep(2)

        videos = await asyncio.gather(*(generate(number) for number in range(jobs)))
    _check(videos, jobs)


async def session(url: str, jobs: int, concurrency: int) -> None:
    """The whole `Session`: typed requests, `generate`, as many at once as the loop."""
    from seedance_async import FixedPolling, ProFastTextToVideo, Session

    async with Session(
        TOKEN,
        base_url=url,
        max_in_flight=concurrency,
        max_submitting=concurrency,
        polling=FixedPolling(_POLL_INTERVAL),
    ) as opened:

        async def generate(number: int) -> str:
            request = ProFastTextToVideo(**make_input(number))  # type: ignore[arg-type]
            return (await opened.generate(request)).video_url

        videos = await asyncio.gather(*(generate(number) for number in range(jobs)))
    _check(videos, jobs)


async def session_map(url: str, jobs: int, concurrency: int) -> None:
    """The same through `Session.map`, which reads its input lazily."""
    from seedance_async import FixedPolling, ProFastTextToVideo, Session, Succeeded

    videos = []
    requests = (ProFastTextToVideo(**make_input(number)) for number in range(jobs))  # type: ignore[arg-type]
    async with (
        Session(
            TOKEN,
            base_url=url,
            max_in_flight=concurrency,
            max_submitting=concurrency,
            polling=FixedPolling(_POLL_INTERVAL),
        ) as opened,
        opened.map(requests) as results,
    ):
        async for done in results:
            assert isinstance(done.outcome, Succeeded)
            videos.append(done.outcome.video_url)
    _check(videos, jobs)


async def batch(url: str, jobs: int, concurrency: int) -> None:
    """A manifest through `run_batch`: planned, every change durable, results written."""
    from seedance_async import FixedPolling, ProFastTextToVideo, RowState, Session, run_batch

    rows = (ProFastTextToVideo(**make_input(number)) for number in range(jobs))  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as out:
        async with Session(
            TOKEN,
            base_url=url,
            max_in_flight=concurrency,
            max_submitting=concurrency,
            polling=FixedPolling(_POLL_INTERVAL),
        ) as opened:
            report = await run_batch(rows, session=opened, out=out, download=False)
        lines = (Path(out) / "results.jsonl").read_text().splitlines()
    if report.counts[RowState.SUCCEEDED] != jobs:
        raise RuntimeError(f"not all of {jobs} rows succeeded: {report}")
    _check([json.loads(line)["video_url"] for line in lines], jobs)


async def httpx_loop(url: str, jobs: int, concurrency: int) -> None:
    """The aiohttp loop's twin on httpx."""
    import httpx

    gate = asyncio.Semaphore(concurrency)
    headers = {"Authorization": f"Bearer {TOKEN}"}

    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:

        async def generate(number: int) -> str:
            async with gate:
                answer = await client.post(f"/v1/models/{MODEL}", json=make_input(number))
                request_id = answer.raise_for_status().json()["request_id"]
                while True:
                    answer = await client.get(f"/v1/requests/{request_id}/result?include_cost=true")
                    result = answer.raise_for_status().json()
                    if result["status"] == "completed":
                        return str(result["output"]["video"])
                    await asyncio.sleep(2)

        videos = await asyncio.gather(*(generate(number) for number in range(jobs)))
    _check(videos, jobs)


CLIENTS: Final[dict[str, Client]] = {
    "loop": aiohttp_loop,
    "session": session,
    "map": session_map,
    "batch": batch,
    "httpx": httpx_loop,
}


def _check(videos: list[str], jobs: int) -> None:
    if len(set(videos)) != jobs:
        raise RuntimeError(f"{len(set(videos))} videos of {jobs}")


async def measure(client: Client, url: str, jobs: int, concurrency: int) -> dict[str, Any]:
    """Warm up, then run once; returns seconds of CPU (all threads, the loop's) and of wall time."""
    await client(url, max(concurrency, jobs // 10), concurrency)
    await asyncio.sleep(0.05)  # the warm-up's connections close
    gc.collect()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    loop_began = time.thread_time()
    await client(url, jobs, concurrency)
    loop_ended = time.thread_time()
    after, ended = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    return {
        "user": after.ru_utime - before.ru_utime,
        "system": after.ru_stime - before.ru_stime,
        "wall": ended - began,
        "loop_thread": loop_ended - loop_began,
        "preempted": after.ru_nivcsw - before.ru_nivcsw,
    }


def main() -> None:
    """Run one contender once."""
    parser = argparse.ArgumentParser(description="One contender, once.")
    parser.add_argument("name", choices=CLIENTS)
    parser.add_argument("url")
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--core", type=int)
    given = parser.parse_args()
    pin(given.core)
    work = measure(CLIENTS[given.name], given.url, given.jobs, given.concurrency)
    if given.loop == "uvloop":
        import uvloop

        found = uvloop.run(work)
    else:
        found = asyncio.run(work)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
