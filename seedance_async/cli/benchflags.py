"""The flags of `bench`: what is measured, and the simulator that it is measured on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Group, Parameter

from seedance_async.cli.exits import CommandError
from seedance_async.cli.fields import Fields, given_fields
from seedance_async.cli.patience import check_times
from seedance_async.cli.reporting import check_positive
from seedance_async.models import build_request, field_rules, find_model

if TYPE_CHECKING:
    from seedance_async.bench.rounds import BenchmarkPlan
    from seedance_async.simulator import Simulator

__all__ = [
    "USUAL_ASKING",
    "USUAL_SERVICE",
    "USUAL_WORK",
    "Asking",
    "SimulatedService",
    "Work",
    "free_folder",
]

_WORK = Group("Measuring")
_SERVICE = Group("Simulator")
_WAITING = Group("Waiting")


@attrs.frozen(kw_only=True)
class Work:
    """What is measured."""

    levels: Annotated[
        str,
        Parameter(
            group=_WORK,
            metavar="N,N,...",
            help="Generations in flight to try; else 1,2,4,8,16,32.",
        ),
    ] = "1,2,4,8,16,32"
    jobs: Annotated[
        int,
        Parameter(
            group=_WORK,
            metavar="N",
            show_default=True,
            help="Generations in each round; more than the highest level.",
        ),
    ] = 40
    repeats: Annotated[
        int,
        Parameter(
            group=_WORK, metavar="N", show_default=True, help="Rounds of each level, interleaved."
        ),
    ] = 1
    model: Annotated[
        str,
        Parameter(
            group=_WORK,
            help="A short name or a full id; else pro-fast. Its shortest, smallest video is made.",
        ),
    ] = "pro-fast"
    input: Annotated[
        str | None,
        Parameter(
            group=_WORK,
            metavar="JSON",
            help="Fields of the request as a JSON object, such as an image's URL.",
        ),
    ] = None

    def plan(self) -> BenchmarkPlan:
        """Return what to do, or refuse what cannot be.

        Raises:
            CommandError: It names the flag.
            InvalidRequestError: The model refuses the fields.
        """
        from seedance_async.bench.rounds import PROMPT, plan_benchmark

        given = given_fields(Fields(), self.input)
        if not {"prompt", "text"} & given.keys():
            given["prompt"] = PROMPT
        request = build_request(self.model, _smallest(self.model) | given)
        try:
            levels = [int(level) for level in self.levels.split(",")]
        except ValueError:
            raise CommandError(
                f"--levels must be whole numbers such as 1,2,4,8 (given: {self.levels})"
            ) from None
        try:
            return plan_benchmark(levels, jobs=self.jobs, repeats=self.repeats, request=request)
        except ValueError as error:
            raise CommandError(f"--levels, --jobs or --repeats: {error}") from error


USUAL_WORK = Work()
"""The default."""


def _smallest(model: str) -> dict[str, object]:
    """Return the least duration and resolution of a known model: the first of its choices."""
    known = find_model(model)
    if known is None:
        return {}
    choices = {rule.name: rule.choices for rule in field_rules(known) if rule.choices}
    return {
        name: choices[name][0] if name == "resolution" else min(choices[name])
        for name in ("resolution", "duration")
        if name in choices
    }


@attrs.frozen(kw_only=True)
class SimulatedService:
    """The simulator that a benchmark runs on, unless it is live."""

    capacity: Annotated[
        int, Parameter(group=_SERVICE, show_default=True, help="Jobs that run at once.")
    ] = 8
    duration: Annotated[
        str | None,
        Parameter(
            group=_SERVICE,
            metavar="SECONDS",
            help="How long jobs take: 20, uniform:10,40 or lognormal:20,0.5 (median, sigma).",
        ),
    ] = None
    max_queue: Annotated[
        int | None,
        Parameter(
            group=_SERVICE, help="Waiting jobs beyond which a submission is refused with 429."
        ),
    ] = None
    fault: Annotated[
        list[str] | None,
        Parameter(
            group=_SERVICE,
            negative="",
            metavar="NAME=RATE",
            help="A fault and its probability, as `simulate --faults` lists them; repeatable.",
        ),
    ] = None
    speed: Annotated[
        float | None,
        Parameter(
            group=_SERVICE,
            help="Real time and sockets, so many times faster than real jobs; else virtual time.",
        ),
    ] = None
    seed: Annotated[
        int, Parameter(group=_SERVICE, show_default=True, help="Of all that it decides.")
    ] = 0

    def simulator(self) -> Simulator:
        """Return it, or refuse what cannot be.

        Raises:
            CommandError: It names the flag.
        """
        import secrets

        from seedance_async.simulator import FaultPlan, Simulator
        from seedance_async.simulator.delays import parse_delay

        check_positive("--capacity", self.capacity)
        if self.speed is not None:
            check_positive("--speed", self.speed)
        if self.max_queue is not None and self.max_queue < 0:
            raise CommandError(f"--max-queue must be 0 or more (given: {self.max_queue})")
        try:
            return Simulator(
                seed=self.seed,
                life=secrets.token_hex(8),  # no id of an earlier run's jobs comes again
                capacity=self.capacity,
                durations=None if self.duration is None else parse_delay(self.duration),
                max_queue=self.max_queue,
                faults=FaultPlan.parse(self.fault or ()),
                speed=self.speed or 1.0,
            )
        except ValueError as error:
            raise CommandError(f"{error}. `simulate --faults` lists the faults") from error

    def conditions(self) -> dict[str, str]:
        """Return what the figures depend on, in words."""
        return {
            "time": "virtual" if self.speed is None else f"real, {self.speed:g} times faster",
            "capacity": str(self.capacity),
            "job duration": self.duration or "the simulator's own",
            "max queue": "none" if self.max_queue is None else str(self.max_queue),
            "faults": ", ".join(self.fault or ()) or "none",
            "seed": str(self.seed),
        }


USUAL_SERVICE = SimulatedService()
"""The default."""


@attrs.frozen(kw_only=True)
class Asking:
    """How long a job is waited for, and how often it is polled: the same at every level."""

    job_timeout: Annotated[
        float,
        Parameter(
            group=_WAITING,
            metavar="SECONDS",
            show_default=True,
            help="Seconds to wait; the job runs on then, and the same command comes back to it.",
        ),
    ] = 1800.0
    poll_interval: Annotated[
        float | None,
        Parameter(
            group=_WAITING,
            metavar="SECONDS",
            help="Seconds between two polls; else 2, divided by --speed, and at least 0.05.",
        ),
    ] = None

    def check(self) -> None:
        """Refuse times that cannot be.

        Raises:
            CommandError: One is not above zero.
        """
        check_times(self.job_timeout, self.poll_interval)


USUAL_ASKING = Asking()
"""The default."""


def free_folder(place: Path) -> Path:
    """Return the first of benchmark-1, benchmark-2 and so on that is not there."""
    number = 1
    while (folder := place / f"benchmark-{number}").exists():
        number += 1
    return folder
