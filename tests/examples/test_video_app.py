"""A FastAPI application, tested over sockets and in process; no async plugin is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from seedance_async import FileJournal, Session
from seedance_async.simulator import Fault, FaultPlan
from seedance_async.testing import SimulatedSession, SimulatorServer

from .video_app import create_app


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Start the application, be its client, and let it end."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            yield client


async def finished(client: httpx.AsyncClient, request_id: str, *, every: float) -> dict[str, str]:
    """Ask the application for a video until it is there."""
    while True:
        answer = (await client.get(f"/videos/{request_id}")).json()
        if answer["url"] is not None:
            return dict(answer)
        await asyncio.sleep(every)


# --- over sockets, as in production: the session finds the simulator in the environment -----


async def test_a_video_is_ordered_and_found(seedance_simulator: SimulatorServer) -> None:
    app = create_app(Session(exit_timeout=0))
    async with client_of(app) as client:
        created = await client.post("/videos", params={"prompt": "A red fox"})
        video = await finished(client, created.json()["id"], every=0.02)
    assert video["state"] == "Succeeded"
    assert video["url"].startswith(seedance_simulator.base_url)
    assert len(seedance_simulator.books.accepted) == 1


@pytest.mark.seedance(faults=FaultPlan([Fault("drop-after-accept", nth=1)]))
async def test_a_lost_answer_is_not_paid_twice(
    seedance_simulator: SimulatorServer, tmp_path: Path
) -> None:
    journal = FileJournal(tmp_path / "jobs.jsonl")
    async with client_of(create_app(Session(journal=journal, exit_timeout=0))) as client:
        lost = await client.post("/videos", params={"prompt": "A red fox"})
        found = await client.post("/videos", params={"prompt": "A hare"})
    assert (lost.status_code, found.status_code) == (502, 201)
    books = seedance_simulator.books
    assert len(books.accepted) == books.requests("submit") == 2, "nothing was sent again"
    doubt, hare = journal.unfinished()
    assert doubt.request_id is None, "the journal says that nobody knows"
    assert hare.request_id == found.json()["id"]


@pytest.mark.seedance(latency={"submit": 0.5})
async def test_a_client_that_hangs_up_loses_nothing_that_was_ordered(
    seedance_simulator: SimulatorServer, tmp_path: Path
) -> None:
    journal = FileJournal(tmp_path / "jobs.jsonl")
    async with client_of(create_app(Session(journal=journal, exit_timeout=0))) as client:
        order = asyncio.create_task(client.post("/videos", params={"prompt": "A red fox"}))
        while not seedance_simulator.books.accepted:
            await asyncio.sleep(0.01)
        order.cancel()  # the service has the order, and its answer is under way
        await asyncio.wait([order])
    [accepted] = seedance_simulator.books.accepted
    [entry] = journal.unfinished()
    assert entry.request_id == accepted.request_id


# --- in process, on virtual time: an hour passes in a moment ---------------------------------


@pytest.mark.seedance(capacity=2)
async def test_twenty_orders_wait_their_turn(seedance_session: SimulatedSession) -> None:
    async with client_of(create_app(seedance_session)) as client:
        orders = [client.post("/videos", params={"prompt": f"Fox {n}"}) for n in range(20)]
        created = [answer.json()["id"] for answer in await asyncio.gather(*orders)]
        for request_id in created:
            assert (await finished(client, request_id, every=60))["state"] == "Succeeded"
    books = seedance_session.books
    assert len(books.accepted) == 20
    assert not books.paid_twice()
    assert books.billed_usd == 20 * 5 * 0.05, "of five seconds each"


@pytest.mark.seedance(capacity=1)
async def test_an_order_that_nobody_waits_for_is_cancelled_in_the_queue(
    seedance_session: SimulatedSession,
) -> None:
    async with client_of(create_app(seedance_session)) as client:
        await client.post("/videos", params={"prompt": "A red fox"})  # takes the only slot
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):  # a request takes 0.05 s
                await client.post("/videos", params={"prompt": "A hare"})
    fox, hare = seedance_session.books.accepted
    assert seedance_session.books.cancelled == (hare.request_id,)
    assert seedance_session.books.billed == fox.price
