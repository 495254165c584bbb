"""The two generations that are paid for, recorded from the submission to the end.

Everything that costs money is asked once and written down; the checks judge the records.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

import attrs

from .purse import Paid, Purse
from .service import Answer, Document, Service, accepted_id

FOLLOWED = "followed to its end"
WITHDRAWN = "cancelled at once"

VERDICTS = ("completed", "succeeded", "failed", "cancelled", "canceled")
"""Words of a result that end a job, in lower case; all of them are on record."""

NOTHING = Answer("nothing", trouble="it was never asked for")

_PIECE = "bytes=4-7"
"""The part of a video that says `ftyp` in every MP4 file."""


@attrs.frozen
class Round:
    """One look at a job: its status, then its result with the cost."""

    status: Answer
    result: Answer


@attrs.define
class Film:
    """A video, fetched without the token: whole, in part, and in part under two conditions."""

    url: str
    whole: Answer = NOTHING
    part: Answer = NOTHING
    part_if_same: Answer = NOTHING
    part_if_other: Answer = NOTHING


@attrs.define
class Life:
    """What a service said about one job; asked in the order of the attributes.

    Attributes:
        submitted: the answer to the submission.
        request_id: empty: it was not accepted, and nothing else was asked.
        base_url: of the service.
        estimate: USD that it was to cost.
        cancels: two cancels: at once of a withdrawn job, after the end of a followed one.
        rounds: the polls, up to the first result with a verdict.
        last_status: the status when the result had a verdict, or polling was given up.
        plain_result: the result without asking for the cost, after the end.
        last_result: the result when everything was over, the cancels included.
        film: of a job that has a video.
    """

    base_url: str
    estimate: Decimal
    submitted: Answer
    request_id: str
    cancels: list[Answer] = attrs.field(factory=list)
    rounds: list[Round] = attrs.field(factory=list)
    last_status: Answer = NOTHING
    plain_result: Answer = NOTHING
    last_result: Answer = NOTHING
    film: Film | None = None

    @property
    def verdict(self) -> str:
        """The word of the result that ended the job, in lower case; empty while it runs."""
        return verdict(self.rounds[-1].result) if self.rounds else ""

    @property
    def end(self) -> Round:
        """The round in which the job was found over, or the last one."""
        return self.rounds[-1] if self.rounds else Round(NOTHING, NOTHING)

    @property
    def before_the_end(self) -> list[Round]:
        """The rounds whose result had no verdict."""
        return self.rounds[:-1] if self.verdict else self.rounds


def verdict(result: Answer) -> str:
    """Return the word of a result that ends a job, in lower case, else an empty text."""
    word = str(result.document.get("status", "")).lower()
    return word if word in VERDICTS else ""


async def follow(service: Service, purse: Purse) -> Life:
    """Pay for a job and watch it to its end, then cancel it twice and fetch its video."""
    life = await _submit(service, purse, FOLLOWED)
    if life.request_id:
        await _poll(service, life)
        life.plain_result = await service.get(f"/v1/requests/{life.request_id}/result")
        if life.verdict:
            life.cancels = [await service.cancel(life.request_id) for _ in range(2)]
        life.last_result = await _result(service, life)
        if url := video_url(life.last_result.document):
            life.film = await _fetch(service, url)
    return life


async def withdraw(service: Service, purse: Purse) -> Life:
    """Submit a job, cancel it at once, twice, and watch what becomes of it."""
    life = await _submit(service, purse, WITHDRAWN)
    if life.request_id:
        life.cancels = [await service.cancel(life.request_id) for _ in range(2)]
        await _poll(service, life)
        life.last_result = await _result(service, life)
    return life


async def _submit(service: Service, purse: Purse, why: str) -> Life:
    estimate = purse.estimate or Decimal(0)
    answer = await service.submit(service.model, service.body, why)
    return Life(service.base_url, estimate, answer, accepted_id(answer))


async def _poll(service: Service, life: Life) -> None:
    for turn in range(service.pace.rounds):
        if turn:
            await asyncio.sleep(service.pace.seconds)
        status = await service.get(f"/v1/requests/{life.request_id}/status")
        life.rounds.append(Round(status, await _result(service, life)))
        if life.verdict:
            break
    life.last_status = await service.get(f"/v1/requests/{life.request_id}/status")


async def _result(service: Service, life: Life) -> Answer:
    return await service.get(f"/v1/requests/{life.request_id}/result?include_cost=true")


async def _fetch(service: Service, url: str) -> Film:
    film = Film(url, await service.fetch(url))
    film.part = await service.fetch(url, Range=_PIECE)
    if tag := film.whole.headers.get("ETag"):
        film.part_if_same = await service.fetch(url, Range=_PIECE, If_Range=tag)
    film.part_if_other = await service.fetch(url, Range=_PIECE, If_Range='"another file"')
    return film


def video_url(document: Document) -> str:
    """Return the URL of a result's video, empty where it has none."""
    output = document.get("output")
    if not isinstance(output, dict):
        return ""
    videos = output.get("videos")
    first = videos[0] if isinstance(videos, list) and videos else ""
    url = output.get("video", first)
    return url if isinstance(url, str) else ""


def settle(life: Life, paid: Paid, purse: Purse) -> None:
    """Write down how a job ended, and what it cost."""
    paid.end = life.verdict or paid.end
    cost = life.last_result.document.get("cost")
    if isinstance(cost, int | float) and not isinstance(cost, bool):
        paid.cost = f"${cost}"
        purse.settle(Decimal(str(cost)))
