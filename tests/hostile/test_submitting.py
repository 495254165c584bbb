"""Every answer to a submission meets the session, one session a row."""

import pytest

from .meeting import Row, Stage, ask, ids_of, matches
from .submit_rows import SUBMIT_ROWS


@pytest.mark.parametrize("row", SUBMIT_ROWS, ids=ids_of)
def test_never_pays_twice_whatever_a_submission_is_answered(stage: Stage, row: Row) -> None:
    """Right end, right number of POSTs, each id kept, the token nowhere else, nothing left."""

    async def scene() -> None:
        async with stage.meet({row.word: row.plan}) as meeting:
            request = ask(row.word, early=row.plan.early)
            end = await meeting.end_of(request, tag="row")
            assert matches(row, end), repr(end)
            (posts,) = meeting.server.posts.values()
            assert posts == row.posts
            ids = [one for each in meeting.server.accepted.values() for one in each]
            assert len(ids) == row.accepted
            meeting.assert_told("row", end, ids)

    stage.run(scene)
