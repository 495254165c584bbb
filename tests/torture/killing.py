"""Kill -9: children that die at a point or at a moment, and tell all they did until then.

A zygote, started with `python -m tests.torture.killing`, imports everything once and forks a
child for each order, so that a kill costs a fork and not the start of an interpreter.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs

from seedance_async import FixedPolling, RetryPolicy, SeedanceError, Session
from seedance_async.batch.report import RowChange
from seedance_async.batch.running import run_batch
from seedance_async.cli import app
from tests.torture.points import Points, each_write, install, tell_of_posts

__all__ = ["Ending", "Zygote"]

_ROOT: Final = Path(__file__).parents[2]
_TOKEN: Final = "simulator-token"
_PATIENCE: Final = 60.0
"""Seconds after which a child counts as hanging."""


# --- in a child --------------------------------------------------------------------------------


async def _batch(order: dict[str, Any], points: Points) -> Any:
    """Run the batch; a refusal of the ledger is told as a text."""

    def reached(change: RowChange) -> None:
        news = change.detail if change.detail in ("in progress", "attached") else change.state
        points.reach(f"telling that a row is {news}")

    async with Session(
        _TOKEN,
        base_url=order["base_url"],
        max_in_flight=order["max_in_flight"],
        max_submitting=order["max_submitting"],
        polling=FixedPolling(0.02),
        retry=RetryPolicy(initial=0.02, maximum=0.05),
        max_in_doubt=1_000_000,
        exit_timeout=0.0,
        on_abort="detach",
    ) as session:
        try:
            report = await run_batch(
                order["manifest"],
                session=session,
                out=order["folder"],
                skip_invalid=True,
                on_change=reached,
            )
        except SeedanceError as error:
            return f"{type(error).__name__}: {error}"
    counts = {state.value: count for state, count in report.counts.items() if count}
    return {"counts": counts, "stop": None if report.stop is None else report.stop.message}


def _command(order: dict[str, Any]) -> int:
    os.environ |= {"RUNCOMFY_MODEL_API_BASE": order["base_url"], "RUNCOMFY_TOKEN": _TOKEN}
    return int(app.run(order["command"]))


def _work(order: dict[str, Any], points: Points) -> Any:
    if "command" in order:
        return _command(order)
    logging.basicConfig()
    return asyncio.run(_batch(order, points))


def _live(order: dict[str, Any], pipe: int, log: Path) -> NoReturn:
    """Be a child, from its first to its last step."""
    write = os.write  # points may stand before the writes of others

    def say(told: dict[str, Any]) -> None:
        write(pipe, f"{json.dumps(told)}\n".encode())

    code = 70
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        points = Points(say, at=order.get("at"), of=order.get("of", ""))
        install(points, order.get("checkpoint_pages"))
        tell_of_posts(say)
        if order.get("each_write"):
            with each_write(points, Path(order["folder"])):
                say({"told": _work(order, points)})
        else:
            say({"told": _work(order, points)})
        code = 0
    except BaseException:  # noqa: BLE001  the log tells, and nothing of the zygote may run on
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


# --- the zygote ----------------------------------------------------------------------------------


def _serve_orders(log: Path) -> None:
    """Fork a child for each order on standard input, and tell on standard output how it ended."""
    gc.freeze()  # a collection in a child would copy all that it shares with the zygote
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _live(order, writing, log)
        os.close(writing)
        ending = _watch(child, reading, order.get("after"))
        print(json.dumps({**ending, "log": log.read_text()}), flush=True)


def _watch(child: int, pipe: int, after: float | None) -> dict[str, Any]:
    """Read what a child tells until it ends, and kill it when its time is over."""
    deadline = time.monotonic() + (_PATIENCE if after is None else after)
    hung = False
    text = bytearray()
    while True:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            hung = after is None
            os.kill(child, signal.SIGKILL)  # it is not waited for yet, so the number is its own
            deadline = time.monotonic() + _PATIENCE
            continue
        piece = os.read(pipe, 1 << 16)
        if not piece:
            break
        text += piece
    os.close(pipe)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"code": code, "hung": hung, "events": [json.loads(line) for line in text.splitlines()]}


@attrs.frozen
class Ending:
    """How a child ended.

    Attributes:
        code: Its exit code; -9: killed.
        log: What it wrote on its outputs.
        hung: Whether it had to be ended because it never would.
        events: What it told, in order, each a word with what it is about.
    """

    code: int
    log: str = attrs.field(repr=False)
    hung: bool
    events: list[dict[str, Any]] = attrs.field(repr=False)

    def said(self, word: str) -> list[Any]:
        """Return what it told with one word."""
        return [event[word] for event in self.events if word in event]

    @property
    def killed(self) -> bool:
        """Whether it died by SIGKILL."""
        return self.code == -signal.SIGKILL

    @property
    def points(self) -> list[str]:
        """The names of the points that it reached."""
        return self.said("point")

    @property
    def point(self) -> str:
        """The last of them, where it died if it did; empty if there is none."""
        return (self.points or [""])[-1]

    @property
    def told(self) -> Any:
        """What its work returned, if it lived."""
        return (self.said("told") or [None])[-1]

    def under_way(self) -> list[frozenset[str]]:
        """Return the rows whose POST was begun and not settled, after each such change."""
        now: frozenset[str] = frozenset()
        course = [now]
        for event in self.events:
            if "begun" in event:
                now |= {event["begun"]}
            elif "settled" in event:
                now -= {event["settled"]}
            else:
                continue
            course.append(now)
        return course


class Zygote:
    """Forks children, one at a time."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.torture.killing", str(folder / "child.log")]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=_ROOT)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._answers = self._process.stdin, self._process.stdout
        assert self._answers.readline() == "ready\n"

    def start(self, **order: Any) -> None:
        """Let a child begin; `finish` must follow.

        The order says what it does (`folder`, `manifest`, `command`, ...), and when it dies: `at`
        so many points with `of` in their names, `after` so many seconds, or what comes first.
        """
        self._orders.write(f"{json.dumps(order)}\n")
        self._orders.flush()

    def finish(self) -> Ending:
        """Wait for the child's end; it must be its work's end, or a kill that was wanted."""
        answer = self._answers.readline()
        assert answer, "the zygote died"
        ending = Ending(**json.loads(answer))
        assert not ending.hung, ending.log
        assert ending.code in (0, -signal.SIGKILL), ending.log
        return ending

    def close(self) -> None:
        """End the zygote."""
        self._orders.close()
        self._answers.close()
        self._process.wait(_PATIENCE)


if __name__ == "__main__":
    _serve_orders(Path(sys.argv[1]))
