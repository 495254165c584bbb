"""Folders of batches as a run, or a killed one, leaves them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from seedance_async import Session
from tests.batch.ledgers import ORIGIN, entries, fox, opened, plan
from tests.batch.ledgers import states as states_of

from .processes import Simulation

__all__ = ["ORIGIN", "ids", "leave", "states", "submitted"]

ESTIMATE = 250_000


def leave(
    folder: Path,
    *,
    keys: str = "abcd",
    doubts: str = "",
    under_way: str = "",
    jobs: Mapping[str, str] | None = None,
    origin: str = ORIGIN,
) -> None:
    """Make a folder whose ledger has a row for each letter, some of them submitted.

    Args:
        folder: Where.
        keys: All rows.
        doubts: Those in doubt.
        under_way: Those whose POST was under way when the process ended.
        jobs: The ids of those that were accepted.
        origin: Whose jobs they are.
    """

    async def main() -> None:
        async with await opened(folder, origin) as ledger:
            await plan(ledger, keys)
            for key in doubts + under_way:
                ledger.reserve(key, ESTIMATE)
                await ledger.submitting(key, fox())
            for key in doubts:
                await ledger.in_doubt(key, "the connection broke after the request was sent")
            for key, request_id in (jobs or {}).items():
                await ledger.submitting(key, fox())
                await ledger.accepted(key, request_id)

    asyncio.run(main())


def states(folder: Path) -> dict[str, str]:
    """Return each row's state, without setting anything right."""

    async def main() -> dict[str, str]:
        from seedance_async.batch.ledger import Ledger

        async with await Ledger.read(folder) as reader:
            return await states_of(reader)

    return asyncio.run(main())


def ids(folder: Path) -> dict[str, str | None]:
    """Return the id of each row's job."""

    async def main() -> dict[str, str | None]:
        from seedance_async.batch.ledger import Ledger

        async with await Ledger.read(folder) as reader:
            return {key: entry.request_id for key, entry in (await entries(reader)).items()}

    return asyncio.run(main())


def submitted(simulation: Simulation, number: int) -> list[str]:
    """Submit as another process would, and return the ids."""

    async def main() -> list[str]:
        async with Session(
            simulation.environment["RUNCOMFY_TOKEN"],
            base_url=simulation.base_url,
            max_in_flight=number,
            exit_timeout=0.0,
        ) as session:
            return [(await session.submit(fox(take))).request_id for take in range(number)]

    return asyncio.run(main())
