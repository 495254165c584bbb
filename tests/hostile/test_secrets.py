"""The token shows nowhere, and hiding it spoils no answer."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from seedance_async import FixedPolling, Session, Succeeded

from .acts import CANARY, accept, answer, polls, submits
from .meeting import RETRY, TIMES, Stage, ask
from .server import Act, HostileServer, Plan

ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in CANARY)
"""The same token as JSON may spell it; servers spell `/`, `+`, `=` and quotes so by themselves."""


def _answer(http: int, /, **fields: Any) -> Act:
    shown = json.dumps(fields).replace(CANARY, ESCAPED).encode()
    return answer(http, shown)


def _said(code: int) -> dict[str, Any]:
    said = f"not you, Bearer {CANARY}"
    return {"error_code": code, "error_message": said, "detail": [{"msg": said}], "error": said}


ECHOES: dict[str, Plan] = {
    "refused": submits(_answer(400, **_said(400001))),
    "unauthorized": submits(_answer(401, **_said(401001))),
    "validation": submits(_answer(422, **_said(422001))),
    "doubt": submits(accept(_answer(500, **_said(500001)))),
    "limited": submits(_answer(429, **_said(429)), accept()),
    "unreadable": submits(accept(_answer(200, status=CANARY))),
    "poll-trouble": polls(_answer(500, **_said(500001))),
    "denied": polls(last=_answer(403, **_said(403001))),
    "lost": polls(last=_answer(404, **_said(404001))),
    "failed": polls(last=_answer(200, status="failed", error={"message": f"Bearer {CANARY}"})),
    "unknown-state": polls(_answer(200, status=CANARY)),
    "no-video": polls(last=_answer(200, status="completed", output={"video": None, "x": CANARY})),
    "no-output": polls(last=_answer(200, status="completed", output=CANARY)),
}


@pytest.mark.parametrize("word", ECHOES)
def test_the_token_goes_nowhere_else_if_an_answer_spells_it_in_escapes(
    stage: Stage, word: str
) -> None:
    """A server that echoes the token as JSON escapes puts it into no log, error or journal."""

    async def scene() -> None:
        async with stage.meet({word: ECHOES[word]}) as meeting:
            await meeting.end_of(ask(word), tag="row")

    stage.run(scene)


@pytest.mark.parametrize("token", ["job", "completed", "video", "1", "request_id", "test"])
def test_hiding_a_short_token_spoils_no_answer(stage: Stage, token: str) -> None:
    """A token such as people use against a simulator may be a part of ids, states and URLs."""

    async def scene() -> None:
        async with HostileServer({}) as server:
            session = Session(
                token, base_url=server.url, polling=FixedPolling(0.01), retry=RETRY, job_timeout=0.5
            )
            session._settings = attrs.evolve(session._settings, **TIMES)
            async with session:
                job = await session.submit(ask("test"))
                end = await job.wait()
                assert isinstance(end, Succeeded)
                assert [job.request_id] == server.accepted["test 0"]
                assert end.video_url == f"{server.url}/videos/test/out_%3D7.mp4"

    stage.run(scene)
