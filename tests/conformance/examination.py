"""An examination: the service, the purse, what was found, and what was paid."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import attrs

from . import lives
from .catalog import CATALOG
from .films import FILMS
from .followed import FOLLOWED
from .free import FREE
from .lives import Life
from .notes import Check, Difference, Notes, Observation
from .purse import Paid, Purse, estimate
from .service import Answer, Service, accepted_id, connect, is_doubt
from .settings import Settings
from .withdrawn import WITHDRAWN

S = TypeVar("S")

FOR_NOTHING: list[Check[Service]] = [*FREE, *CATALOG]
OF_A_FOLLOWED_JOB: list[Check[Life]] = [*FOLLOWED, *FILMS]
OF_A_WITHDRAWN_JOB: list[Check[Life]] = [*WITHDRAWN]

GENERATIONS = {lives.FOLLOWED: lives.follow, lives.WITHDRAWN: lives.withdraw}
"""What is paid for, by its purpose; the first one is the more telling."""


class NotPaid(Exception):
    """A generation does not fit the budget; says what it would cost."""


@attrs.define
class Report:
    """What was found and paid, whatever became of the run."""

    base_url: str = ""
    model: str = ""
    differences: list[Difference] = attrs.field(factory=list)
    observations: list[Observation] = attrs.field(factory=list)
    paid: list[Paid] = attrs.field(factory=list)
    doubts: list[str] = attrs.field(factory=list)
    not_paid: list[str] = attrs.field(factory=list)
    slowest: str = ""

    def add(self, notes: Notes) -> None:
        """Take in the notes of one check; what is known already is not repeated."""
        known = {(d.where, d.expected, d.seen) for d in self.differences}
        for one in notes.differences:
            if (one.where, one.expected, one.seen) not in known:
                self.differences.append(one)
        self.observations += [o for o in notes.observations if o not in self.observations]


@attrs.define
class Examination:
    """Runs checks against one service and keeps the report."""

    service: Service
    purse: Purse
    report: Report

    async def judge(self, check: Check[S], subject: S) -> Notes:
        """Run one check."""
        notes = check.notes()
        if isinstance(subject, Life) and not subject.request_id:
            notes.differ("submit", "accepted", subject.submitted)
        elif inspect.isawaitable(judging := check.judge(subject, notes)):
            await judging
        self.report.add(notes)
        slowest = self.service.slowest
        self.report.slowest = f"{slowest.seconds:.2f} s for {slowest.asked}"
        return notes

    async def live(self, purpose: str) -> Life:
        """Pay for one generation and record it.

        Raises:
            NotPaid: the budget does not allow it.
        """
        if why_not := self.purse.admit(purpose):
            self.report.not_paid.append(f"a job {purpose}: {why_not}")
            raise NotPaid(why_not)
        life = await GENERATIONS[purpose](self.service, self.purse)
        for paid in self.report.paid:
            if paid.request_id == life.request_id:
                lives.settle(life, paid, self.purse)
        return life


@contextlib.asynccontextmanager
async def examine(
    settings: Settings, report: Report, announce: Callable[[str], None]
) -> AsyncIterator[Examination]:
    """Open an examination.

    Args:
        settings: with the base URL and the token.
        report: filled as things happen, so that nothing is lost with a run that breaks off.
        announce: told of every id, and of every doubt, at once.
    """

    def write_down(why: str, answer: Answer) -> None:
        if request_id := accepted_id(answer):
            announce(f"accepted: {request_id} ({why})")
            report.paid.append(Paid(request_id, why))
        elif is_doubt(answer):
            announce(f"in doubt, it may run and be billed ({why}): {answer}")
            report.doubts.append(f"{why}: {answer}")

    report.base_url, report.model = settings.base_url, settings.model
    async with connect(
        settings.base_url,
        settings.token,
        model=settings.model,
        body=settings.body,
        pace=settings.pace,
        on_answer=write_down,
    ) as service:
        entry = (await service.get(f"/v1/models/{settings.model}")).document
        price = estimate(entry, settings.body, settings.price)
        yield Examination(service, Purse(settings.budget, price), report)


async def run_everything(settings: Settings, announce: Callable[[str], None]) -> Report:
    """Examine a service with every check, for tests of the checks themselves."""
    report = Report()
    async with examine(settings, report, announce) as examination:
        for free in FOR_NOTHING:
            await examination.judge(free, examination.service)
        for purpose, checks in (
            (lives.FOLLOWED, OF_A_FOLLOWED_JOB),
            (lives.WITHDRAWN, OF_A_WITHDRAWN_JOB),
        ):
            with contextlib.suppress(NotPaid):
                life = await examination.live(purpose)
                for check in checks:
                    await examination.judge(check, life)
    return report
