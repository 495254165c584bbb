"""What a batch would do, as far as the ledger, the prices and the images tell beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.forecast import Forecast
from seedance_async.batch.planning import Plan
from seedance_async.batch.reading import LedgerReader
from seedance_async.batch.selection import Selection
from seedance_async.budget import Account, known_usd, shown, to_micro, to_usd
from seedance_async.cli.words import earlier_runs, seconds
from seedance_async.counting import counted

__all__ = ["Outlook", "Stock", "offer", "outlook_json", "outlook_lines", "take_stock"]


@attrs.frozen(kw_only=True)
class Stock:
    """How the rows stand before a run.

    Attributes:
        counts: How many selected rows are in each state.
        attach: Jobs of earlier runs that are not over.
        download: Videos of earlier runs that are paid for and not on disk.
        unlisted: Planned rows that the manifest no longer has: they are not submitted.
        paid: Attempts of all runs that are or may be paid for.
        lost_before: How many lost rows get another attempt.
    """

    counts: Mapping[RowState, int]
    attach: int
    download: int
    unlisted: int
    paid: int
    lost_before: int = 0


async def take_stock(
    reader: LedgerReader, selection: Selection, *, download: bool, given_up_too: bool
) -> Stock:
    """Return how a ledger's rows stand.

    Args:
        reader: The ledger.
        selection: Which rows count.
        download: Whether videos are wanted.
        given_up_too: Whether downloads that were given up for good are tried again.
    """
    whole = await reader.counts()
    videos = 0
    if download:
        async for _ in reader.ready_videos(final=given_up_too):
            videos += 1
    return Stock(
        counts=await reader.counts(through=selection.through, keys=selection.keys),
        attach=whole[RowState.SUBMITTED] + whole[RowState.TIMED_OUT],
        download=videos,
        unlisted=await reader.unlisted_planned(),
        paid=await reader.paid_attempts(),
    )


@attrs.frozen(kw_only=True)
class Outlook:
    """What a run would do.

    Attributes:
        manifest: Its path, or `-`.
        folder: Where everything goes.
        where: The base URL; None on an embedded simulator.
        plan: What the manifest's plan changed.
        stock: How the rows stand.
        forecast: What submitting would mean.
        account: What is spent and set aside, and the budget.
        max_in_flight: Generations at once.
        max_videos: Paid attempts of all runs that are allowed.
    """

    manifest: str
    folder: Path
    where: str | None
    plan: Plan
    stock: Stock
    forecast: Forecast
    account: Account
    max_in_flight: int
    max_videos: int | None

    @property
    def limit(self) -> int | None:
        """The budget in micro-dollars; None: there is none."""
        budget = self.account.budget
        return None if budget is None or budget.usd is None else to_micro(budget.usd)


# --- in words ------------------------------------------------------------------------------


def outlook_lines(outlook: Outlook) -> list[str]:
    """Return the plan in short: a line for each number that is not zero."""
    plan, stock = outlook.plan, outlook.stock
    known = "known already" if plan.unchanged or not plan.added else f"{plan.added:,} new"
    rows = counted(plan.rows, "row")
    lines = [f"{_manifest(outlook.manifest)}: {rows}, {known}; into {outlook.folder}"]
    numbers = [
        (outlook.forecast.rows, f"to submit{_price(outlook)}"),
        (stock.attach, "to attach: submitted by an earlier run, not over"),
        (stock.download, "to download: paid for, not on disk"),
        (_over(stock), "over already"),
        (stock.counts[RowState.IN_DOUBT], "in doubt: `resolve` settles them"),
        (plan.skipped, "invalid, left out"),
        (plan.gone, "no longer in the manifest: kept, and not submitted if only planned"),
    ]
    lines += [f"{number:>9,} {what}" for number, what in numbers if number]
    if not (outlook.forecast.rows or stock.attach or stock.download):
        lines.append(f"{'':>9} nothing to submit, nothing to download")
    if outlook.forecast.videos:
        lines.append(f"{'':>9} {_time(outlook)}")
    return lines


def _manifest(name: str) -> str:
    return "standard input" if name == "-" else name


def _over(stock: Stock) -> int:
    ends = (RowState.DOWNLOADED, RowState.FAILED, RowState.CANCELLED, RowState.LOST)
    rest = max(stock.counts[RowState.SUCCEEDED] - stock.download, 0)
    return sum(stock.counts[state] for state in ends) + rest


def _price(outlook: Outlook) -> str:
    forecast = outlook.forecast
    parts = []
    if forecast.rows > forecast.unpriced:
        parts.append(f"estimate {shown(forecast.estimate)}")
    if forecast.unpriced:
        which = "" if forecast.unpriced == forecast.rows else f" for {forecast.unpriced:,} of them"
        parts.append(f"no price is known{which}")
    if outlook.limit is not None:
        parts.append(f"budget {shown(outlook.limit)}")
        if not forecast.affordable:
            parts.append("which does not suffice for all")
    if forecast.videos < forecast.rows:
        parts.append(f"--max-videos lets {forecast.videos:,} pass")
    return f": {', '.join(parts)}" if parts else ""


def _time(outlook: Outlook) -> str:
    shortest = _rough_time(outlook.forecast.shortest)
    longest = _rough_time(outlook.forecast.longest)
    return f"rough time with {outlook.max_in_flight} in flight: {shortest} to {longest}"


def _rough_time(amount: float) -> str:
    """Return seconds in the unit that a person would take."""
    if amount < 120:
        return seconds(amount)
    if amount < 2 * 3600:
        return f"{amount / 60:.0f} min"
    return f"{amount / 3600:.0f} h"


def offer(outlook: Outlook) -> str:
    """Return what is asked before money is spent."""
    forecast = outlook.forecast
    videos = counted(forecast.videos, "paid generation")
    lines = [f"This submits up to {videos} on {outlook.where}{_price(outlook)}."]
    lines += earlier_runs(outlook.folder, outlook.account)
    if outlook.stock.lost_before:
        lines.append(
            f"{outlook.stock.lost_before:,} of them were accepted before and lost, so they may "
            f"have been paid for: this pays for them again."
        )
    return "\n".join(lines)


def outlook_json(outlook: Outlook) -> dict[str, Any]:
    """Return the plan for a program."""
    plan, stock, forecast = outlook.plan, outlook.stock, outlook.forecast
    return {
        "manifest": outlook.manifest,
        "folder": str(outlook.folder),
        "service": outlook.where,
        "rows": plan.rows,
        "new": plan.added,
        "invalid": plan.skipped,
        "gone": plan.gone,
        "to_submit": forecast.rows,
        "to_attach": stock.attach,
        "to_download": stock.download,
        "over": _over(stock),
        "in_doubt": stock.counts[RowState.IN_DOUBT],
        "estimate_usd": known_usd(forecast.estimate, forecast.unpriced),
        "unpriced": forecast.unpriced,
        "unpriced_models": list(forecast.unpriced_models),
        "budget_usd": None if outlook.limit is None else to_usd(outlook.limit),
        "affordable": forecast.affordable,
        "seconds": [round(forecast.shortest, 1), round(forecast.longest, 1)],
    }
