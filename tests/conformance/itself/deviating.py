"""Doubles that differ from the double, each in one point, and what an examination finds there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs

from seedance_async.simulator import FaultPlan, Reply
from tests.conformance.double import Change, Double, open_double, unchanged
from tests.conformance.examination import Report, run_everything
from tests.conformance.service import Pace
from tests.conformance.settings import read_settings

ROUNDS = 25
"""Polls after which a job counts as not ending; the slowest one here takes half as many."""

Edit = Callable[[dict[str, Any]], None]


def examined(
    double: Double, budget: str = "1", announce: Callable[[str], None] = lambda _line: None
) -> Report:
    """Serve a double, run every check against it, pay for what the budget allows, and report."""

    async def main() -> Report:
        async with open_double(double) as base_url:
            for _ in range(3):  # a door that is to be shut from the start is shut after these
                await asyncio.sleep(0)
            settings = attrs.evolve(
                read_settings({"base_url": base_url}.get, {"RUNCOMFY_TOKEN": double.token or ""}),
                budget=Decimal(budget),
                pace=Pace(0.0, ROUNDS),
            )
            return await run_everything(settings, announce)

    return asyncio.run(asyncio.wait_for(main(), 60))


def changing(change: Change = unchanged, **rates: float) -> Double:
    """Build a double that changes its answers, with faults by name (`_` for `-`)."""
    plan = FaultPlan({name.replace("_", "-"): rate for name, rate in rates.items()})
    return Double(change=change, faults=plan)


def edited(part: str, edit: Edit, *, method: str = "", status: int | None = None) -> Change:
    """Edit the JSON answers to targets that contain `part`, where there is a document to edit."""

    def change(asked: str, target: str, reply: Reply) -> Reply:
        if part not in target or method not in ("", asked) or b"{" not in reply.body[:1]:
            return reply
        if status is not None and reply.status != status:
            return reply
        document = json.loads(reply.body)
        edit(document)
        return with_body(reply, json.dumps(document).encode())

    return change


def answered(method: str, part: str, status: int, body: bytes, kind: str) -> Change:
    """Answer requests to targets that contain `part` with one and the same answer."""

    def change(asked: str, target: str, reply: Reply) -> Reply:
        if asked != method or part not in target:
            return reply
        headers = {"Content-Type": kind}
        return with_body(attrs.evolve(reply, status=status, headers=headers), body)

    return change


def with_headers(part: str, **headers: str | None) -> Change:
    """Set headers, or leave them out where they are None, on targets that contain `part`."""

    def change(asked: str, target: str, reply: Reply) -> Reply:
        if part not in target:
            return reply
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {**reply.headers, **named}
        return attrs.evolve(reply, headers={n: v for n, v in kept.items() if v is not None})

    return change


def with_body(reply: Reply, body: bytes) -> Reply:
    """Return an answer with another body."""
    headers = {**reply.headers, "Content-Length": str(len(body))}
    return attrs.evolve(reply, body=body, headers=headers)
