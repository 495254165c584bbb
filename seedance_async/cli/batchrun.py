"""One batch from its manifest to its report: look, ask, run, with interrupts in stages."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.folder import copy_ledger
from seedance_async.batch.forecast import forecast
from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.batch.planning import Plan, plan_manifest
from seedance_async.batch.report import BatchReport
from seedance_async.batch.runner import Batch, Wishes
from seedance_async.batch.running import account_of
from seedance_async.batch.selection import Selection, select
from seedance_async.budget import Account, Budget, to_micro
from seedance_async.cli.batchboard import Board
from seedance_async.cli.batchflags import Choice, Downloading, Pace, split
from seedance_async.cli.batchimages import look_at_images
from seedance_async.cli.batchplan import Outlook, take_stock
from seedance_async.cli.batchview import BatchView
from seedance_async.cli.commandline import CommandLine
from seedance_async.cli.connection import (
    Service,
    embed_simulator,
    find_service,
    scaled_polling,
)
from seedance_async.cli.exits import CommandError, Exit
from seedance_async.cli.interrupts import Interrupts
from seedance_async.cli.patience import NETWORK, Patience
from seedance_async.cli.prices import Bounds, Prices, ask_catalog, without_price
from seedance_async.cli.progress import Progress
from seedance_async.cli.terminal import tell
from seedance_async.cli.watch import Watch
from seedance_async.counting import counted
from seedance_async.errors import CredentialsError, SeedanceError
from seedance_async.models import Shape
from seedance_async.pacing import RetryPolicy
from seedance_async.supervisor import in_thread

if TYPE_CHECKING:
    from seedance_async.session import Session
    from seedance_async.simulator import Simulator

__all__ = ["BatchRun", "Order", "quicken_switching"]

_SHOWN: Final = 50


@attrs.frozen(kw_only=True)
class Order:
    """What a person asked for; checked.

    Attributes:
        manifest: A path, or `-`.
        folder: Where everything goes.
        base_url: Whose jobs the ledger is about; None: an embedded simulator's.
        simulator: To be embedded.
        only: The keys of the rows that count; None: all.
        retry: The states of rows that get another attempt.
        prices: As flags gave them.
        command: As it was called.
        page: Whether the end writes the page.
    """

    manifest: str
    folder: Path
    base_url: str | None
    simulator: Simulator | None
    choice: Choice
    retry: Collection[RowState]
    pace: Pace
    patience: Patience
    bounds: Bounds
    prices: Prices
    downloading: Downloading
    command: CommandLine
    only: Sequence[str] | None = None
    page: bool = True

    @property
    def origin(self) -> str:
        """What the ledger calls the place of its jobs."""
        return SIMULATOR if self.base_url is None else self.base_url


class BatchRun:
    """A run that is prepared, asked about and then made, in calls on one event loop.

    Between `prepare` and `run` the loop stands still, so that a question may block and Ctrl-C
    ends it at once.

    Args:
        order: What to do.
        as_json: Whether what happens is told as JSON Lines, where nothing can be redrawn.
    """

    def __init__(self, order: Order, *, as_json: bool = False) -> None:
        self._order = order
        self._stack = AsyncExitStack()
        self._board = Board(download=order.downloading.download, as_json=as_json)
        # Set by `prepare`:
        self._ledger: Ledger
        self._session: Session | None = None
        self._selection = Selection()
        self._budget = Budget()
        self._shapes: Mapping[Shape, int] = {}
        self._all_pass = True

    # --- before anything is sent -------------------------------------------------------------

    async def prepare(self) -> Outlook:
        """Open everything, make the plan, and return what a run would do.

        With a dry run all of it happens in a copy of the folder.

        Raises:
            ManifestError: The manifest cannot be read.
            InvalidManifestError: Rows break rules.
            UnknownKeyError: --only names a key that is not there.
            CommandError: Images break rules, or a budget has no price to go by.
            SeedanceError: The ledger refuses.
        """
        order = self._order
        folder = order.folder
        if order.choice.dry_run:
            folder = Path(self._stack.enter_context(TemporaryDirectory()))
            await copy_ledger(order.folder, folder)
        self._ledger = ledger = await self._stack.enter_async_context(
            await Ledger.open(folder, origin=order.origin)
        )
        if ledger.recovered and not order.choice.dry_run:
            tell(_found_under_way(ledger.recovered, order), label="warning", style="yellow")
        plan = await self._plan(None if order.choice.dry_run else folder / "errors.jsonl")
        for text, rows in plan.advice.items():
            tell(f"{text} ({counted(rows, 'row')})", label="warning", style="yellow")
        self._selection = await select(ledger, limit=order.choice.limit, only=order.only)
        if order.base_url is None and order.downloading.download:
            await ledger.forget_videos()
        await self._open_session()
        if not order.retry:
            return await self._look(ledger, plan)
        # A `no` to the question must leave the rows as they are, so a copy is asked.
        with TemporaryDirectory() as place:
            await copy_ledger(folder, Path(place))
            async with await Ledger.open(Path(place), origin=None) as copy:
                lost = await self._retry(copy)
                outlook = await self._look(copy, plan)
        return attrs.evolve(outlook, stock=attrs.evolve(outlook.stock, lost_before=lost))

    async def _plan(self, errors: Path | None) -> Plan:
        order = self._order
        with Progress() as progress:
            if progress.voice.live:
                progress.change("reading the manifest")
            return await plan_manifest(
                self._ledger,
                order.manifest,
                model=order.choice.model,
                ignore_columns=split(order.choice.ignore_columns or ()),
                skip_invalid=order.choice.skip_invalid,
                errors=errors,
            )

    async def _open_session(self) -> None:
        order = self._order
        options: dict[str, Any] = order.pace.session_options()
        if order.simulator is None:
            service = _find_service(dry_run=order.choice.dry_run)
            options |= order.patience.session_options(base_url=order.base_url)
            options["retry"] = RetryPolicy(connect_patience=NETWORK)
        else:
            service = await self._stack.enter_async_context(embed_simulator(order.simulator))
            options |= order.patience.session_options(scaled_polling(order.simulator.speed))
        if service is not None:
            session = service.session(on_event=self._board.on_event, **options)
            self._session = await self._stack.enter_async_context(session)

    async def _retry(self, ledger: Ledger) -> int:
        """Plan rows for another attempt; return how many of them were lost."""
        through, keys = self._selection.through, self._selection.keys
        before = await ledger.counts(through=through, keys=keys)
        await ledger.retry(self._order.retry, through=through, keys=keys)
        return before[RowState.LOST] if RowState.LOST in self._order.retry else 0

    async def _look(self, ledger: Ledger, plan: Plan) -> Outlook:
        order, selection = self._order, self._selection
        shapes = await ledger.shapes(through=selection.through, keys=selection.keys)
        self._shapes = dict(shapes)
        self._budget = await self._find_prices({of_shape.model_id for of_shape, _ in shapes})
        stock = await take_stock(
            ledger,
            selection,
            download=order.downloading.download,
            given_up_too=order.downloading.retry_downloads,
        )
        account = await account_of(ledger, self._budget)
        most = order.bounds.max_videos
        outlook = Outlook(
            manifest=order.manifest,
            folder=order.folder,
            where=order.base_url,
            plan=plan,
            stock=stock,
            forecast=forecast(
                shapes,
                account,
                at_once=order.pace.max_in_flight,
                videos_left=None if most is None else most - stock.paid,
                speed=1.0 if order.simulator is None else order.simulator.speed,
            ),
            account=account,
            max_in_flight=order.pace.max_in_flight,
            max_videos=most,
        )
        expected = outlook.forecast
        self._all_pass = expected.affordable and expected.videos == expected.rows
        if not order.choice.dry_run:
            _check_prices(outlook)
        if order.choice.check_images:
            await self._check_images(ledger)
        return outlook

    async def _find_prices(self, model_ids: Collection[str]) -> Budget:
        """Return the prices of these models; the catalog is asked where no flag gives one.

        One model is asked about in any case: a service that cannot be reached, or that refuses the
        token, is found out by a free request instead of a paid one.
        """
        order = self._order
        unknown = order.prices.unknown(model_ids)
        catalog: Mapping[str, Any] = {}
        if model_ids and self._session is not None:
            with Progress() as progress:
                if progress.voice.live:
                    progress.change("asking the catalog for prices")
                asked = unknown or sorted(model_ids)[:1]
                try:
                    catalog, trouble = await ask_catalog(self._session, asked)
                except SeedanceError as error:
                    if not order.choice.dry_run:
                        raise
                    trouble = [f"the catalog cannot be asked: {error}"]
            for text in trouble if unknown else ():
                tell(text, label="warning", style="yellow")
        return order.prices.budget(order.bounds.budget, model_ids, catalog)

    async def _check_images(self, ledger: Ledger) -> None:
        found = await look_at_images(ledger, self._selection)
        for text in found.warnings[:_SHOWN]:
            tell(text, label="warning", style="yellow")
        if (more := len(found.warnings) - _SHOWN) > 0:
            tell(f"{counted(more, 'more image')} like these", label="warning", style="yellow")
        if found.broken:
            for text in found.broken[:_SHOWN]:
                tell(text)
            number = len(found.broken)
            what = counted(number, "image breaks a rule", "images break rules")
            shown_first = f"; the first {_SHOWN} are above" if number > _SHOWN else ""
            raise CommandError(
                f"{what} of its model{shown_first}. Nothing was submitted: mend them, or run "
                f"without --check-images",
                Exit.DATA,
            )

    # --- the run -------------------------------------------------------------------------------

    async def run(self, interrupts: Interrupts) -> BatchReport | None:
        """Run the batch to its end, and close everything; None: interrupted before it began."""
        order, ledger = self._order, self._ledger
        async with self._stack:
            if interrupts.came:
                return None
            if order.retry:
                await self._retry(ledger)
            assert self._session is not None
            account = await account_of(ledger, self._budget)
            batch = Batch(
                ledger,
                self._session,
                order.folder,
                account=account,
                wishes=self._wishes(),
                on_change=self._board.change,
            )
            view = self._new_view(batch, self._session, account)
            view.foresight.teach(await in_thread(order.patience.durations, order.base_url))
            view.foresight.teach(await ledger.lasted())
            self._board.bind(view)
            watch = Watch(
                batch,
                view,
                self._board,
                folder=str(order.folder),
                again=order.command.again(keep="--retry-downloads"),
                simulated=order.base_url is None,
            )
            return await watch.follow(interrupts)

    def _new_view(self, batch: Batch, session: Session, account: Account) -> BatchView:
        limit = self._order.bounds.budget
        return BatchView(
            batch.glance,
            batch.under_way,
            lambda: session.statistics().limit,
            shapes=self._shapes,
            account=account,
            limit=None if limit is None else to_micro(limit),
            all_pass=self._all_pass,
        )

    def _wishes(self) -> Wishes:
        order = self._order
        return Wishes(
            selection=self._selection,
            max_videos=order.bounds.max_videos,
            download=order.downloading.download,
            retry_downloads=order.downloading.retry_downloads,
            rules=order.downloading.rules(),
        )

    async def aclose(self) -> None:
        """Close everything; may be repeated."""
        await self._stack.aclose()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._board.voice.elapsed


def _found_under_way(number: int, order: Order) -> str:
    rows = counted(number, "row was", "rows were")
    what = "planned again" if order.base_url is None else "in doubt"
    return f"{rows} under way when an earlier run was cut off, and now {what}"


def _find_service(*, dry_run: bool) -> Service | None:
    """Return where to go; None for a dry run without a token.

    Raises:
        CredentialsError: There is no token.
    """
    try:
        return find_service()
    except CredentialsError:
        if dry_run:  # the plan is free; only the catalog's prices need the token
            return None
        raise


def _check_prices(outlook: Outlook) -> None:
    """Refuse a budget that cannot be held.

    Raises:
        CommandError: A row has no price.
    """
    unpriced = outlook.forecast.unpriced_models
    if outlook.limit is None or not unpriced:
        return
    raise without_price(unpriced)


def quicken_switching() -> None:
    """Let the ledger's writing thread have its turn beside a busy event loop.

    A thread that asks for the interpreter waits for 5 ms by default, and a commit asks several
    times; at hundreds of rows a second that would be most of the time.
    """
    sys.setswitchinterval(0.0005)
