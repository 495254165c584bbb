"""One benchmark from its flags to its report: look, ask, run, with interrupts in stages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import attrs

from seedance_async.batch.forecast import Forecast, forecast
from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.batch.planning import InvalidManifestError, plan_manifest
from seedance_async.batch.running import account_of
from seedance_async.bench.benchmark import Benchmark
from seedance_async.bench.report import BenchmarkReport
from seedance_async.bench.rounds import BenchmarkPlan, Round
from seedance_async.budget import Account, Budget, shown, to_micro
from seedance_async.cli.batchboard import Board
from seedance_async.cli.benchflags import Asking, SimulatedService
from seedance_async.cli.benchview import BenchView
from seedance_async.cli.commandline import CommandLine
from seedance_async.cli.connection import embed_simulator, find_service
from seedance_async.cli.exits import CommandError, Exit
from seedance_async.cli.interrupts import Interrupts
from seedance_async.cli.patience import NETWORK
from seedance_async.cli.prices import Bounds, Prices, ask_catalog, without_price
from seedance_async.cli.terminal import tell
from seedance_async.cli.watch import Watch
from seedance_async.cli.words import earlier_runs
from seedance_async.counting import counted
from seedance_async.pacing import RetryPolicy
from seedance_async.polling import FixedPolling
from seedance_async.session import Session
from seedance_async.simulator import Simulator
from seedance_async.testing import SimulatedTransport

__all__ = ["BenchRun", "Order", "invalid"]

_POLL: Final = 2.0
"""Seconds between two polls of a job, measured in a real job's time: lateness stays at a second."""
_WAY: Final = 0.05
"""Seconds of virtual time to the simulator."""


@attrs.frozen(kw_only=True)
class Order:
    """What a person asked for; checked.

    Attributes:
        plan: What to measure.
        folder: Where everything goes.
        base_url: The service's; None: a simulator is measured.
        simulator: Which.
        virtual: Whether in virtual time.
        service: The simulator's flags.
        prices: As flags gave them.
        command: As it was called, with its folder.
    """

    plan: BenchmarkPlan
    folder: Path
    base_url: str | None
    simulator: Simulator | None
    virtual: bool
    service: SimulatedService
    bounds: Bounds
    prices: Prices
    asking: Asking
    requests_per_second: float | None
    command: CommandLine

    @property
    def origin(self) -> str:
        """What the ledger calls the place of its jobs."""
        return self.base_url or SIMULATOR

    @property
    def poll_interval(self) -> float:
        """Seconds between two polls of a job."""
        speed = 1.0 if self.simulator is None else self.simulator.speed
        return self.asking.poll_interval or max(0.05, _POLL / speed)

    def conditions(self) -> dict[str, str]:
        """Return what the figures depend on beside the plan, in words."""
        rate = self.requests_per_second
        return {
            **({} if self.simulator is None else self.service.conditions()),
            "a poll every": f"{self.poll_interval:g} s",
            "requests a second": "any" if rate is None else f"{rate:g}",
        }


class BenchRun:
    """A run that is prepared, asked about and then made, in calls on one event loop.

    Args:
        order: What to do.
        as_json: Whether what happens is told as JSON Lines, where nothing can be redrawn.
    """

    def __init__(self, order: Order, *, as_json: bool = False) -> None:
        self._order = order
        self._stack = AsyncExitStack()
        self._board = Board(download=False, as_json=as_json, each=False)
        # Set by `prepare`:
        self._ledger: Ledger
        self._session: Session
        self._budget = Budget()
        # Set by `run`:
        self._view: BenchView

    # --- before anything is sent -------------------------------------------------------------

    async def prepare(self) -> str | None:
        """Open everything, make the plan, and return what to ask before money is spent.

        Raises:
            InvalidManifestError: The folder has jobs with other requests.
            CommandError: The budget has no price to go by.
            SeedanceError: The ledger or the service refuses.
        """
        order = self._order
        self._ledger = ledger = await self._stack.enter_async_context(
            await Ledger.open(order.folder, origin=order.origin)
        )
        if ledger.recovered and order.base_url is not None:
            jobs = counted(ledger.recovered, "job is", "jobs are")
            tell(
                f"{jobs} in doubt: an earlier run was cut off while submitting",
                label="warning",
                style="yellow",
            )
        await plan_manifest(ledger, order.plan.rows(), errors=None)
        self._session = await self._open_session()
        return await self._look(ledger)

    async def _open_session(self) -> Session:
        order = self._order
        options: dict[str, Any] = {
            "polling": FixedPolling(order.poll_interval),
            "job_timeout": order.asking.job_timeout,
            "requests_per_second": order.requests_per_second,
            "max_in_flight": max(order.plan.levels),  # the connections are made for so many
        }
        if order.simulator is None:
            options["retry"] = RetryPolicy(connect_patience=NETWORK)
            session = find_service().session(**options)
        elif order.virtual:
            tell("simulated in virtual time: nothing is sent, nothing is paid", style="cyan")
            session = _virtual_session(order.simulator, options)
        else:
            tell("simulated: nothing is sent to the service, nothing is paid", style="cyan")
            there = await self._stack.enter_async_context(embed_simulator(order.simulator))
            session = there.session(**options)
        return await self._stack.enter_async_context(session)

    async def _look(self, ledger: Ledger) -> str | None:
        """Find the prices, and return what is offered; None: nothing is to be paid."""
        order = self._order
        shapes = await ledger.shapes()
        if order.base_url is None or not shapes:
            self._budget = order.prices.budget(
                order.bounds.budget, {order.plan.request.model_id}, {}
            )
            return None
        models = {of_shape.model_id for of_shape, _ in shapes}
        # Asked in any case: a token that is not taken is found out by a free request.
        catalog, trouble = await ask_catalog(self._session, sorted(models))
        for text in trouble if order.prices.unknown(models) else ():
            tell(text, label="warning", style="yellow")
        self._budget = order.prices.budget(order.bounds.budget, models, catalog)
        account = await account_of(ledger, self._budget)
        most = order.bounds.max_videos
        seen = forecast(
            shapes,
            account,
            at_once=1,
            videos_left=None if most is None else most - await ledger.paid_attempts(),
        )
        if seen.unpriced_models:
            raise without_price(seen.unpriced_models)
        return _offer(order, seen, account) if seen.videos else None

    # --- the run -------------------------------------------------------------------------------

    async def run(self, interrupts: Interrupts) -> BenchmarkReport | None:
        """Run the benchmark, and close everything; None: interrupted before it began."""
        order = self._order
        async with self._stack:
            benchmark = Benchmark(
                self._ledger,
                self._session,
                order.plan,
                order.folder,
                budget=self._budget,
                max_videos=order.bounds.max_videos,
                conditions=order.conditions(),
                on_round=self._begin,
                on_change=self._board.change,
            )
            limit = order.bounds.budget
            self._view = BenchView(
                benchmark,
                order.plan,
                await account_of(self._ledger, self._budget),
                limit=None if limit is None else to_micro(limit),
                virtual=order.virtual,
            )
            self._board.bind(self._view)
            watch = Watch(
                benchmark,
                self._view,
                self._board,
                folder=str(order.folder),
                again=order.command.again(),
                simulated=order.base_url is None,
                loop_is_real=not order.virtual,
            )
            return await watch.follow(interrupts)

    def _begin(self, this: Round, planned: int) -> None:
        self._view.begin(this, planned)
        self._board.begin(", ".join([*self._view.note(), counted(self._order.plan.jobs, "job")]))

    async def aclose(self) -> None:
        """Close everything; may be repeated."""
        await self._stack.aclose()


def _virtual_session(simulator: Simulator, options: Mapping[str, Any]) -> Session:
    """Return a session on a simulator in the same process, on the running loop's time."""
    loop = asyncio.get_running_loop()
    return Session(
        transport=SimulatedTransport(simulator, latency=_WAY),
        clock=lambda: simulator.epoch + loop.time(),
        on_abort="detach",
        exit_timeout=0.0,
        **options,
    )


def _offer(order: Order, seen: Forecast, account: Account) -> str:
    """Return what is asked before money is spent."""
    plan = order.plan
    levels = ", ".join(map(str, plan.levels))
    number = counted(seen.videos, "paid generation")
    budget = shown(to_micro(order.bounds.budget or 0.0))
    enough = "" if seen.affordable else ", which does not suffice for all"
    rounds = f"{counted(plan.repeats, 'round')} of {counted(plan.jobs, 'job')} each"
    what = (
        f"This submits up to {number} on {order.base_url}: levels {levels}, {rounds}; estimate "
        f"{shown(seen.estimate)}, budget {budget}{enough}."
    )
    return "\n".join([what, *earlier_runs(order.folder, account)])


def invalid(order: Order, error: InvalidManifestError) -> CommandError:
    """Return the error for a folder whose jobs asked for something else."""
    first = error.problems[0] if error.problems else None
    why = "" if first is None else f" ({first.key}: {first.rule})"
    return CommandError(
        f"{order.folder} holds a benchmark of another request{why}: use another --out. Nothing "
        f"was submitted.",
        Exit.DATA,
    )
