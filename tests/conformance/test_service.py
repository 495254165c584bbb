"""The service, fact by fact: what is free first, then what is paid for once and judged often."""

from __future__ import annotations

import pytest

from .conftest import Stage
from .examination import FOR_NOTHING, OF_A_FOLLOWED_JOB, OF_A_WITHDRAWN_JOB
from .lives import Life
from .notes import Check
from .service import Service


def _name(check: Check[object]) -> str:
    return check.name


@pytest.mark.parametrize("check", FOR_NOTHING, ids=_name)
def test_for_nothing(check: Check[Service], stage: Stage) -> None:
    """What costs no money, for it is refused or only looked at."""
    stage.judge(check, stage.examination.service)


@pytest.mark.parametrize("check", OF_A_FOLLOWED_JOB, ids=_name)
def test_of_a_job_followed_to_its_end(check: Check[Life], stage: Stage, followed: Life) -> None:
    """One generation is paid for, whatever the number of facts."""
    stage.judge(check, followed)


@pytest.mark.parametrize("check", OF_A_WITHDRAWN_JOB, ids=_name)
def test_of_a_job_cancelled_at_once(check: Check[Life], stage: Stage, withdrawn: Life) -> None:
    """A second one, which may be billed where the cancel comes too late."""
    stage.judge(check, withdrawn)
