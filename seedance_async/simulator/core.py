"""The simulator: RunComfy's Model API as a function of requests and time, without I/O."""

import enum
import random
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from . import answers, faults
from .admission import Document, invalid, read_document, violations
from .books import Books, canonical_json
from .catalog import Catalog, Offer, Schema
from .downloads import serve_video
from .durations import Durations
from .fates import draw_fate
from .faults import Dice, FaultPlan, InjectedFault
from .images import Probe, on_loopback
from .job import Job, JobState
from .media import video
from .mishaps import limited, spoil
from .queue import WorkQueue
from .reply import Reply, in_html, in_json, refusal
from .routes import Route, route

EPOCH: Final = 1_767_225_600.0
"""2026-01-01T00:00:00Z: the service's clock at loop time 0, where no driver sets another."""

QUEUE_FULL_RETRY_AFTER: Final = 5
"""Seconds that a full queue asks a client to wait."""

_NOTHING: Final[Mapping[str, Probe]] = MappingProxyType({})


class Account(enum.Enum):
    """How the account of the token stands."""

    ACTIVE = "active"
    EMPTY = "empty"
    """No balance: submits are refused with 400002; what runs, runs on."""
    EXPIRED = "expired"
    """Everything is refused with 400004."""


@attrs.frozen
class _Call:
    """One request on its way through the simulator; header names are in lower case."""

    method: str
    route: Route
    headers: Mapping[str, str]
    body: bytes
    now: float
    probes: Mapping[str, Probe]


@attrs.define(kw_only=True, eq=False)
class Simulator:
    """The service's double: strict about requests, seeded in everything that it decides.

    It reads no clock: every request brings its time, seconds on the driver's loop clock. It is
    not thread-safe.

    Attributes:
        seed: of all randomness; equal seeds and equal requests give equal answers.
        capacity: how many jobs run at once.
        speed: divides the durations of jobs.
        faults: what goes wrong, and how often.
        token: the bearer token that is accepted; None: any that is not empty. May be changed.
        price_per_second: USD for a second of video, for all models or by model id.
        id_lifetime: seconds after its end when a job's id is forgotten; None: never.
        max_queue: waiting jobs beyond which a submit is refused with 429; None: no bound.
        public_url: what the URLs in answers begin with; a driver sets it.
        epoch: Unix time at loop time 0, for time stamps and HTTP dates; a driver may set it.
        extra_models: further input schemas by model id, beside the package's own.
        account: how the account stands. May be changed.
        books: who was accepted and billed.
    """

    seed: int = 0
    capacity: int = 8
    speed: float = 1.0
    faults: FaultPlan = attrs.field(factory=FaultPlan)
    token: str | None = attrs.field(default="simulator-token", repr=False)
    price_per_second: float | Mapping[str, float] = 0.05
    id_lifetime: float | None = None
    max_queue: int | None = None
    public_url: str = "http://127.0.0.1"
    epoch: float = EPOCH
    extra_models: Mapping[str, Schema] = attrs.field(factory=dict, repr=False)
    account: Account = Account.ACTIVE
    books: Books = attrs.field(init=False, factory=Books, repr=False)
    _catalog: Catalog = attrs.field(init=False, repr=False)
    _queue: WorkQueue = attrs.field(init=False, repr=False)
    _durations: Durations = attrs.field(init=False, repr=False)
    _dice: Dice = attrs.field(init=False, repr=False)
    _ids: random.Random = attrs.field(init=False, repr=False)
    _jobs: dict[str, Job] = attrs.field(init=False, factory=dict, repr=False)
    _videos: dict[str, Job] = attrs.field(init=False, factory=dict, repr=False)
    _now: float = attrs.field(init=False, default=float("-inf"), repr=False)

    def __attrs_post_init__(self) -> None:
        self._catalog = Catalog(self.extra_models, self.price_per_second)
        self._queue = WorkQueue(self.capacity)
        self._durations = Durations(self.seed, self.speed)
        self._dice = Dice(self.faults, self.seed)
        self._ids = random.Random(f"{self.seed}/ids")

    @property
    def faults_log(self) -> tuple[InjectedFault, ...]:
        """Every fault that happened, oldest first."""
        return tuple(self._dice.log)

    @property
    def running(self) -> int:
        """How many slots are taken, as of the last request."""
        return self._queue.running

    @property
    def waiting(self) -> int:
        """How many jobs wait for a slot, as of the last request."""
        return self._queue.waiting

    def receive(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        now: float,
        *,
        probes: Mapping[str, Probe] = _NOTHING,
    ) -> Reply:
        """Take one request and say what to answer.

        Args:
            method: such as GET.
            target: path and query as they stood in the request line.
            headers: names in any case.
            body: the whole body.
            now: seconds on the loop's clock; a time before the last one counts as the last.
            probes: what a driver measured of the images that `images_to_probe` named.
        """
        now = self.advance(now)
        there = route(method, target)
        lower = {name.lower(): value for name, value in headers.items()}
        call = _Call(method, there, lower, body, now, probes)
        self.books.note_request(there.kind, there.subject)
        if there.kind == "unknown":
            return in_html(404, "404 Not Found")
        if not there.allowed:
            return in_html(405, "405 Method Not Allowed")
        if there.kind == "video":
            return self._video(call, target)
        reply = self._refuse_stranger(call) or self._answer(call)
        if self._strikes(call, "slow"):
            return attrs.evolve(reply, delay=self.faults.slow_seconds)
        return reply

    def advance(self, now: float) -> float:
        """Let everything happen that is due by `now`, and return the time that it is then."""
        self._now = max(self._now, now)
        for job in self._queue.advance(self._now):
            if job.state is JobState.FAILED:
                self.books.note_failed(job)
        return self._now

    def images_to_probe(self, method: str, target: str, body: bytes) -> tuple[str, ...]:
        """Name the images of a submit that lie on loopback, for a driver to measure first."""
        if b"http://" not in body:
            return ()
        there = route(method, target)
        offer = self._catalog.find(there.subject) if there.kind == "submit" else None
        document = read_document({"content-type": "application/json"}, body)
        if offer is None or isinstance(document, Reply):
            return ()
        values = (document.get(field) for field in offer.images)
        return tuple(url for url in values if isinstance(url, str) and on_loopback(url))

    def _refuse_stranger(self, call: _Call) -> Reply | None:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token or self.token not in (None, token):
            return refusal(401, 401001, "Unauthorized: the bearer token is missing or wrong.")
        if self.account is Account.EXPIRED:
            return refusal(400, 400004, "User account error: the account has expired.")
        return None

    def _answer(self, call: _Call) -> Reply:
        if call.route.kind == "submit":
            return self._submit(call)
        if call.route.kind == "catalog":
            return self._describe(call)
        job = self._jobs.get(call.route.subject)
        if job is None or job.expired(call.now):
            return refusal(404, 404001, "Resource not found: unknown request id.")
        return self._cancel(call, job) if call.route.kind == "cancel" else self._poll(call, job)

    def _submit(self, call: _Call) -> Reply:
        offer = self._catalog.find(call.route.subject)
        if offer is None:
            return refusal(404, 404001, f"Resource not found: model {call.route.subject!r}.")
        document = read_document(call.headers, call.body)
        if isinstance(document, Reply):
            return document
        if found := violations(offer, document, call.probes):
            return invalid(found)
        if refused := self._refuse_for_now(call):
            return refused
        job = self._accept(offer, document, call.now)
        reply = answers.accepted(job, self.public_url)
        fault = self._dice.first(faults.SUBMIT_AFTER, call.now, "submit", job.request_id)
        return self._spoil(fault, reply, call) if fault else reply

    def _refuse_for_now(self, call: _Call) -> Reply | None:
        """Refuse a sound request for reasons that are not its own."""
        if self.account is Account.EMPTY:
            return refusal(400, 400002, "Insufficient resources: the balance is used up.")
        if fault := self._dice.first(faults.SUBMIT_BEFORE, call.now, "submit", None):
            return self._spoil(fault, in_json(200, {}), call)
        full = self.max_queue is not None and self._queue.waiting >= self.max_queue
        if full and self._queue.running == self.capacity:
            return limited(QUEUE_FULL_RETRY_AFTER, self.epoch + call.now, as_date=False)
        return None

    def _accept(self, offer: Offer, document: Document, now: float) -> Job:
        shape = offer.shape(document)
        request_id = str(uuid.UUID(int=self._ids.getrandbits(128), version=4))
        job = Job(
            request_id=request_id,
            model_id=offer.model_id,
            body=canonical_json(document),
            resolution=shape.resolution,
            ratio=shape.ratio,
            price=self._catalog.price(offer, shape.seconds),
            accepted_at=now,
            work_seconds=self._durations.draw(offer.model_id, shape.resolution, shape.seconds),
            video_paths=_video_paths(request_id, self.epoch + now),
            fate=draw_fate(self._dice, now, request_id, self.id_lifetime),
        )
        self._jobs[request_id] = job
        self._videos.update(dict.fromkeys(job.video_paths, job))
        self._queue.add(job, now)
        self.books.note_accepted(job)
        return job

    def _poll(self, call: _Call, job: Job) -> Reply:
        if call.route.kind == "status":
            queued = job.state is JobState.QUEUED
            position = self._queue.position(job) if queued else None
            reply = answers.status(job, position, self.public_url)
        else:
            include_cost = call.route.query.get("include_cost", "").lower() == "true"
            reply = answers.result(job, self.public_url, self._stamp, include_cost=include_cost)
        fault = self._dice.first(faults.POLL, call.now, call.route.kind, job.request_id)
        return self._spoil(fault, reply, call) if fault else reply

    def _cancel(self, call: _Call, job: Job) -> Reply:
        if call.body:
            return refusal(422, 422001, "Input validation failed.", "A cancel has no body.")
        if self._queue.cancel(job, call.now):
            self.books.note_cancelled(job)
        in_time = job.state is JobState.CANCELLED
        reply = answers.cancelled(job, in_time=in_time)
        names = [name for name in faults.CANCEL if in_time or name != "cancellation-requested"]
        fault = self._dice.first(names, call.now, "cancel", job.request_id)
        return self._spoil(fault, reply, call) if fault else reply

    def _describe(self, call: _Call) -> Reply:
        if call.route.subject:
            offer = self._catalog.find(call.route.subject)
            if offer is None:
                return refusal(404, 404001, f"Resource not found: model {call.route.subject!r}.")
            return in_json(200, self._catalog.entry(offer))
        query = call.route.query
        limit, offset = query.get("limit", "20"), query.get("offset", "0")
        if not (limit.isdecimal() and offset.isdecimal()):
            return refusal(422, 422001, "Input validation failed.", "limit, offset: integers")
        page = self._catalog.page(
            search=query.get("search", ""),
            category=query.get("category", ""),
            include_schema=query.get("include_schema", "").lower() == "true",
            limit=int(limit),
            offset=int(offset),
        )
        return in_json(200, page)

    def _video(self, call: _Call, target: str) -> Reply:
        if "authorization" in call.headers:
            self.books.note_token_leak(target)
        job = self._videos.get(call.route.subject)
        if job is None or job.state is not JobState.SUCCEEDED:
            return in_html(404, "404 Not Found")
        reply = serve_video(call.method, call.headers, video(job.resolution, job.ratio))
        if not reply.body:
            return reply
        if self._strikes(call, "truncated-video", job.request_id):
            reply = attrs.evolve(reply, cut=len(reply.body) // 2)
        if self._strikes(call, "slow-video", job.request_id):
            reply = attrs.evolve(reply, bandwidth=self.faults.slow_bandwidth)
        return reply

    def _strikes(self, call: _Call, name: str, request_id: str | None = None) -> bool:
        return self._dice.strikes(name, call.now, call.route.kind, request_id)

    def _spoil(self, fault: str, reply: Reply, call: _Call) -> Reply:
        return spoil(fault, reply, self._dice, self.epoch + call.now)

    def _stamp(self, seconds: float) -> str:
        return answers.stamp(self.epoch, seconds)


def _video_paths(request_id: str, wall_now: float) -> tuple[str, str]:
    """Name a job's files as the real ones are named, with an escape to be sent as it is."""
    stem = f"/videos/{request_id}/output/{request_id[:4]}_{wall_now:.0f}_{request_id[-8:]}"
    return f"{stem}%3D.mp4", f"{stem}_2%3D.mp4"
