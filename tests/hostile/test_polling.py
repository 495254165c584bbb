"""Every answer to a poll meets the session, one session a row."""

import pytest

from .meeting import Row, Stage, ask, ids_of, matches
from .poll_rows import POLL_ROWS


@pytest.mark.parametrize("row", POLL_ROWS, ids=ids_of)
def test_a_poll_kills_no_job_and_invents_no_end(stage: Stage, row: Row) -> None:
    """Right end, one POST, the id kept, the token nowhere else, nothing left."""

    async def scene() -> None:
        async with stage.meet({row.word: row.plan}, job_timeout=row.job_timeout) as meeting:
            end = await meeting.end_of(ask(row.word), tag="row")
            assert matches(row, end), repr(end)
            assert list(meeting.server.posts.values()) == [1]
            (ids,) = meeting.server.accepted.values()
            meeting.assert_told("row", end, ids)

    stage.run(scene)
