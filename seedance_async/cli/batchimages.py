"""The images of a batch's rows: each is looked at once, however many rows name it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import attrs

from seedance_async.batch.planning import request_of
from seedance_async.batch.reading import LedgerReader
from seedance_async.batch.selection import Selection, planned_rows
from seedance_async.images import ImageReport, image_rules, inspect_images
from seedance_async.models import RawRequest

__all__ = ["Findings", "Inspect", "look_at_images"]

Inspect: TypeAlias = Callable[[RawRequest], Awaitable[ImageReport]]

_AT_ONCE: Final = 8


@attrs.define
class _Place:
    """Where an image is named."""

    line: int
    key: str
    rows: int = 0

    def __str__(self) -> str:
        others = f" and {self.rows - 1:,} more" if self.rows > 1 else ""
        return f"line {self.line} (row {self.key}){others}"


@attrs.frozen
class Findings:
    """What the images are, a sentence for each: what surely breaks a rule, and warnings."""

    broken: tuple[str, ...]
    warnings: tuple[str, ...]


async def look_at_images(
    reader: LedgerReader, selection: Selection, *, inspect: Inspect = inspect_images
) -> Findings:
    """Look at the images of the rows that would be submitted, eight at once; by line.

    Args:
        reader: The ledger.
        selection: Which rows.
        inspect: Looks at the images of one request.

    Raises:
        SeedanceError: `imagesize` is not installed.
    """
    places: dict[tuple[str, str, str], _Place] = {}
    async for row in planned_rows(reader, selection):
        fields = image_rules(row.model_id)
        for field, url in request_of(row).input().items() if fields else ():
            if field in fields and isinstance(url, str):
                place = places.setdefault((row.model_id, field, url), _Place(row.line, row.key))
                place.rows += 1
    broken: list[tuple[int, str]] = []
    warnings: list[tuple[int, str]] = []
    waiting = iter(places.items())

    async def look() -> None:
        for (model_id, field, url), place in waiting:
            report = await inspect(RawRequest(model_id, {field: url}))
            for violation in report.violations:
                given = f"{url[:77]}..." if len(url) > 80 else url
                text = f"{place}: {violation.field} {violation.rule} (given: {given})"
                broken.append((place.line, text))
            warnings.extend((place.line, f"{place}: {text}") for text in report.warnings)

    await asyncio.gather(*(look() for _ in range(_AT_ONCE)))
    return Findings(
        tuple(text for _, text in sorted(broken)), tuple(text for _, text in sorted(warnings))
    )
