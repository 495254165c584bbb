"""A batch in one call, for programs: plan, run, report."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from seedance_async.batch.dialect import Readable
from seedance_async.batch.edges import RowState
from seedance_async.batch.ledger import SIMULATOR, Ledger
from seedance_async.batch.planning import plan_manifest
from seedance_async.batch.report import BatchReport, RowChange
from seedance_async.batch.runner import Batch, Wishes
from seedance_async.batch.selection import select
from seedance_async.batch.source import Row
from seedance_async.budget import Account, Budget
from seedance_async.download import DownloadRules
from seedance_async.session import Session

__all__ = ["account_of", "run_batch"]


async def run_batch(
    rows: str | os.PathLike[str] | Readable | Iterable[Row],
    *,
    session: Session,
    out: str | os.PathLike[str],
    model: str | None = None,
    ignore_columns: Collection[str] = (),
    skip_invalid: bool = False,
    limit: int | None = None,
    only: Sequence[str] | None = None,
    retry: Collection[str] = (),
    budget: Budget | None = None,
    max_videos: int | None = None,
    download: bool = True,
    retry_downloads: bool = False,
    rules: DownloadRules | None = None,
    max_downloads: int = 4,
    simulated: bool = False,
    on_change: Callable[[RowChange], object] | None = None,
) -> BatchReport:
    """Bring every row of a manifest to its end, each paid for once; the same call again resumes.

    All rows are checked before anything is sent. Whatever happens is written to
    `out/ledger.sqlite` first; videos come to `out/videos`, and `out/results.jsonl` tells what
    became of each row. It installs no signals and asks nobody: what it spends is bounded by
    `budget`, `max_videos` and the rows.

    A ledger that cannot be written, or doubts in a row, stop the session's submitting for whatever
    else it does too, until `session.reopen()`.

    Cancelled, it submits no more, waits until the POSTs under way are answered and written down,
    detaches what runs, and passes the cancellation on: the same call comes back to it.

    Args:
        rows: A manifest's path (`.jsonl` or `.csv`), a binary stream of JSON Lines, or an iterable
            of rows: mappings of fields, requests, or pairs of a key and a request. An iterable is
            consumed in a thread.
        session: Open. It stays open and goes on with whatever else it does; its journal is not
            used for these rows. `max_in_flight`, rate, polling and `max_in_doubt` are its.
        out: The batch's folder; made if need be. One runner at a time.
        model: The full id or short name for rows that name none.
        ignore_columns: Fields of rows that are passed by.
        skip_invalid: Go on without rows that break a rule.
        limit: Submit the first so many rows of the manifest only.
        only: Submit the rows with these keys only.
        retry: `failed`, `cancelled` or `lost`: rows in these states get another attempt.
        budget: What all runs of this folder may spend together, and the prices.
        max_videos: How many attempts of all runs of this folder may be paid for.
        download: Whether videos are wanted on the disk.
        retry_downloads: Try downloads again that were given up for good, and fetch videos again
            that are no longer on the disk.
        rules: Hosts, sizes and tries of the downloads.
        max_downloads: Downloads at once.
        simulated: The session is on a simulator inside this process: what an earlier process left
            under way died with it and is planned again.
        on_change: Called in the loop with each step of a row; its errors are logged once.

    Raises:
        ManifestError: The manifest cannot be read as a whole.
        InvalidManifestError: Rows break rules; all are in `out/errors.jsonl`, nothing was sent.
        UnknownKeyError: `only` names a key that the manifest does not have.
        LedgerError: The folder cannot be written, another runner holds it, or it belongs to
            another service.
    """
    folder = Path(out)
    origin = SIMULATOR if simulated else session.base_url
    clock = session._settings.clock  # noqa: SLF001  ages are told by comparing the two's times
    async with await Ledger.open(folder, origin=origin, clock=clock) as ledger:
        await plan_manifest(
            ledger,
            rows,
            model=model,
            ignore_columns=ignore_columns,
            skip_invalid=skip_invalid,
            errors=folder / "errors.jsonl",
        )
        selection = await select(ledger, limit=limit, only=only)
        if retry:
            states = [RowState(state) for state in retry]
            await ledger.retry(states, through=selection.through, keys=selection.keys)
        if simulated and download:
            await ledger.forget_videos()
        wishes = Wishes(
            selection=selection,
            max_videos=max_videos,
            download=download,
            retry_downloads=retry_downloads,
            rules=rules or DownloadRules(),
            max_downloads=max_downloads,
        )
        account = await account_of(ledger, budget)
        batch = Batch(ledger, session, folder, account=account, wishes=wishes, on_change=on_change)
        return await batch.run()


async def account_of(ledger: Ledger, budget: Budget | None) -> Account:
    """Return the account of all runs of a ledger so far.

    What is not settled is reckoned by what is known now: a run without a price, or with one that
    was too low, leaves nothing for a later budget to overlook.
    """
    money, unsettled = await ledger.money(), await ledger.unsettled()
    guessed = sum(one.count * (one.estimate or 0) for one in unsettled if one.succeeded)
    account = Account(budget, settled=money.settled - guessed, dearest=await ledger.dearest())
    for one in unsettled:
        account.take_over(one.shape, one.estimate, succeeded=one.succeeded, number=one.count)
    return account
