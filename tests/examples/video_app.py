"""A FastAPI application that makes videos, with one session for all its requests.

In production: `app = create_app(Session(exit_timeout=0, journal=FileJournal("jobs.jsonl")))`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

from seedance_async import (
    Lost,
    ProFastTextToVideo,
    Session,
    SubmissionInDoubtError,
    Succeeded,
)


def create_app(session: Session) -> FastAPI:
    """Make the application around a session, which it opens and closes."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with session:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/videos", status_code=201)
    async def create(prompt: str) -> dict[str, str]:
        try:
            job = await session.submit(ProFastTextToVideo(text=prompt))
        except SubmissionInDoubtError:
            raise HTTPException(502, "it may have been ordered: a person must look") from None
        return {"id": job.request_id}

    @app.get("/videos/{request_id}")
    async def read(request_id: str) -> dict[str, str | None]:
        state = await session.fetch(request_id)
        if isinstance(state, Lost):
            raise HTTPException(404, state.error.message)
        url = state.video_url if isinstance(state, Succeeded) else None
        return {"state": type(state).__name__, "url": url}

    return app
