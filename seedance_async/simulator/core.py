"""The simulator: RunComfy's Model API as a function of requests and time, without I/O."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

import attrs

from . import answers, faults
from .account import Account, check_balance, refuse_submit
from .admission import invalid, read_document, violations
from .books import MICRO, Books, canonical_json
from .calls import Call
from .catalog import Catalog, Schema, Shape
from .delays import Delay, Latencies, by_endpoint
from .dice import Dice, Occasion
from .downloads import serve_video
from .durations import Durations
from .fates import draw_fate
from .identity import request_id, submission_name, video_paths
from .images import Probe, on_loopback
from .injected import InjectedFault
from .job import Job, JobState
from .media import video
from .mishaps import limited, other_words, spoil
from .plan import FaultPlan
from .queue import WorkQueue
from .reply import DROPPED, Reply, in_html, in_json, refusal
from .routes import Route, route

EPOCH: Final = 1_767_225_600.0
"""2026-01-01T00:00:00Z: the service's clock at loop time 0, where no driver sets another."""

QUEUE_FULL_RETRY_AFTER: Final = 5
"""Seconds that a full queue asks a client to wait."""

_MODEL_ID: Final = re.compile(r"[\w.-]+(/[\w.-]+)+")

_NOTHING: Final[Mapping[str, Probe]] = MappingProxyType({})


@attrs.define(kw_only=True, eq=False)
class Simulator:
    """The service's double: strict about requests, seeded in everything that it decides.

    It reads no clock: every request brings its time, seconds on the driver's loop clock. It is
    not thread-safe.

    Attributes:
        seed: of all randomness. What befalls a request follows from the seed and from the
            request itself, whatever else is asked and in which order.
        capacity: how many jobs run at once.
        speed: divides the durations of jobs.
        faults: what goes wrong, and how often.
        latency: seconds from a request to its answer, for all or by endpoint (`submit`,
            `status`, `result`, `cancel`, `catalog`, `video`): a number or a distribution.
        bandwidth: bytes a second of each video; None: as fast as it goes.
        durations: how long jobs take, in seconds before `speed`; None: an invented
            distribution by model, resolution and length.
        token: the bearer token that is accepted; None: any that is not empty. May be changed.
        other_tokens: of other accounts, which may not see this one's jobs, nor this one theirs.
        price_per_second: USD for a second of video, for all models or by model id.
        id_lifetime: seconds after its end when a job's id is forgotten; None: never.
        balance_usd: what the account can spend; a job that it cannot pay is refused with 400002.
            None: any amount. May be changed.
        max_queue: waiting jobs beyond which a submit is refused with 429; None: no bound.
        public_url: what the URLs in answers begin with; a driver sets it.
        life: told into the ids of jobs, so that two lives of a simulator give out different ones;
            a driver may set it.
        epoch: Unix time at loop time 0, for time stamps and HTTP dates; a driver may set it.
        extra_models: further input schemas by model id, beside the package's own.
        account: how the account stands. May be changed.
        on_fault: told of each fault as it happens.
        books: who was accepted and billed.
    """

    seed: int = 0
    capacity: int = 8
    speed: float = 1.0
    faults: FaultPlan = attrs.field(factory=FaultPlan)
    latency: Mapping[str, Delay] = attrs.field(factory=dict, converter=by_endpoint)
    bandwidth: float | None = None
    durations: Delay | None = None
    token: str | None = attrs.field(default="simulator-token", repr=False)
    other_tokens: frozenset[str] = attrs.field(default=frozenset(), repr=False)
    price_per_second: float | Mapping[str, float] = 0.05
    id_lifetime: float | None = None
    balance_usd: float | None = attrs.field(default=None, validator=check_balance)
    max_queue: int | None = None
    public_url: str = "http://127.0.0.1"
    life: str = ""
    epoch: float = EPOCH
    extra_models: Mapping[str, Schema] = attrs.field(factory=dict, repr=False)
    account: Account = Account.ACTIVE
    on_fault: Callable[[InjectedFault], None] | None = attrs.field(default=None, repr=False)
    books: Books = attrs.field(init=False, factory=Books, repr=False)
    _catalog: Catalog = attrs.field(init=False, repr=False)
    _queue: WorkQueue = attrs.field(init=False, repr=False)
    _durations: Durations = attrs.field(init=False, repr=False)
    _dice: Dice = attrs.field(init=False, repr=False)
    _latencies: Latencies = attrs.field(init=False, repr=False)
    _bodies: Counter[str] = attrs.field(init=False, factory=Counter, repr=False)
    _jobs: dict[str, Job] = attrs.field(init=False, factory=dict, repr=False)
    _videos: dict[str, Job] = attrs.field(init=False, factory=dict, repr=False)
    _now: float = attrs.field(init=False, default=float("-inf"), repr=False)
    _start: float | None = attrs.field(init=False, default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        self._catalog = Catalog(self.extra_models, self.price_per_second)
        self._queue = WorkQueue(self.capacity)
        self._durations = Durations(self.seed, self.speed, self.durations)
        self._latencies = Latencies(self.seed)
        self.faults.check_seed(self.seed)
        self._dice = Dice(self.faults, self.seed, self.on_fault)
        for fault in self.faults.faults:
            if not any(fault.befalls(name) for name in self._catalog.offers):
                offers = ", ".join(self._catalog.offers)
                raise ValueError(
                    f"no model is called {fault.model!r}, so {fault.name} could never happen; "
                    f"there are {offers}"
                )
        if self.bandwidth is not None and not self.bandwidth > 0:
            raise ValueError(f"bandwidth is {self.bandwidth}; it must be above 0 bytes a second")

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
        if there.kind == "books":
            return in_json(200, self.books.document())
        lower = {name.lower(): value for name, value in headers.items()}
        call = Call(method, there, lower, body, now, probes, self._subject(there, body))
        if self._strikes(call, "outage"):
            return DROPPED
        self.books.note_request(there.kind, there.subject)
        reply = self._reply(call, target)
        latency = self.latency.get(there.kind)
        delay = reply.delay + self._latencies.draw(latency, there.kind, call.subject)
        return attrs.evolve(reply, delay=delay) if delay else reply

    def start(self, now: float) -> None:
        """Begin to count the time of faults; without it the first request does."""
        self._start = now
        self.advance(now)

    def silences(self) -> list[tuple[float, float]]:
        """List the spans, in seconds after the start, in which nothing must listen."""
        spans = (f for f in self.faults.faults if f.name in faults.SILENT)
        return sorted((fault.since, fault.until) for fault in spans)

    def silent(self, now: float) -> bool:
        """Tell whether nothing listens now: a driver then refuses to connect, asking nobody."""
        at = now - (now if self._start is None else self._start)
        return any(since <= at < until for since, until in self.silences())

    def advance(self, now: float) -> float:
        """Let everything happen that is due by `now`, and return the time that it is then."""
        if self._start is None:
            self._start = now
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

    def _subject(self, there: Route, body: bytes) -> str:
        if there.kind == "submit":
            return submission_name(there.subject, body)
        job = (self._videos if there.kind == "video" else self._jobs).get(there.subject)
        return there.subject if job is None else job.name

    def _reply(self, call: Call, target: str) -> Reply:
        there = call.route
        if there.kind == "unknown":
            return in_html(404, "404 Not Found")
        if not there.allowed:
            return in_html(405, "405 Method Not Allowed")
        if there.kind == "video":
            return self._video(call, target)
        reply = self._refuse_stranger(call) or self._answer(call)
        if reply.status >= 400 and self._strikes(call, "code-and-message"):
            reply = other_words(reply)
        if self._strikes(call, "slow"):
            return attrs.evolve(reply, delay=self.faults.slow_seconds)
        return reply

    def _refuse_stranger(self, call: Call) -> Reply | None:
        token = call.token
        known = token in self.other_tokens or self.token in (None, token)
        if not token or not known:
            return refusal(401, 401001, "Unauthorized: the bearer token is missing or wrong.")
        if self.account is Account.EXPIRED:
            return refusal(400, 400004, "User account error: the account has expired.")
        return None

    def _answer(self, call: Call) -> Reply:
        if call.route.kind == "submit":
            return self._submit(call)
        if call.route.kind == "catalog":
            return self._catalog.answer(call.route)
        job = self._jobs.get(call.route.subject)
        if job is None or not job.known(call.now):
            return refusal(404, 404001, "Resource not found: unknown request id.")
        if self.other_tokens and job.owner != call.token:
            return refusal(403, 403003, "Permission denied: the request is somebody else's.")
        return self._cancel(call, job) if call.route.kind == "cancel" else self._poll(call, job)

    def _submit(self, call: Call) -> Reply:
        model_id = call.route.subject
        if not _MODEL_ID.fullmatch(model_id):
            return refusal(400, 400001, f"Invalid resource identifier: {model_id!r}.")
        offer = self._catalog.find(model_id)
        if offer is None:
            return refusal(404, 404001, f"Resource not found: model {model_id!r}.")
        document = read_document(call.headers, call.body)
        if isinstance(document, Reply):
            return document
        if found := violations(offer, document, call.probes):
            return invalid(found)
        shape = offer.shape(document)
        price = self._catalog.price(offer, shape.seconds)
        refused = refuse_submit(self.account, affordable=self._affordable(price))
        if refused := refused or self._refuse_for_now(call):
            return refused
        job = self._accept(canonical_json(document), shape, call, price)
        reply = answers.accepted(job, self.public_url)
        return self._may_spoil(faults.SUBMIT_AFTER, reply, call, job)

    def _affordable(self, price: int) -> bool:
        return self.balance_usd is None or self.books.billed + price <= self.balance_usd * MICRO

    def _refuse_for_now(self, call: Call) -> Reply | None:
        """Refuse a sound request because the service is in trouble, or has too much to do."""
        if fault := self._throw(faults.SUBMIT_BEFORE, call):
            return self._spoil(fault, in_json(200, {}), call)
        full = self.max_queue is not None and self._queue.waiting >= self.max_queue
        if full and self._queue.running == self.capacity:
            return limited(QUEUE_FULL_RETRY_AFTER, self.epoch + call.now, as_date=False)
        return None

    def _accept(self, body: str, shape: Shape, call: Call, price: int) -> Job:
        now, model_id = call.now, call.route.subject
        digest = submission_name(model_id, body.encode())
        self._bodies[digest] += 1
        name = f"{digest}-{self._bodies[digest]}"
        given_id = request_id(f"{self.seed}{self.life}", name)
        occasion = attrs.evolve(
            self._occasion(call), endpoint="job", subject=name, request_id=given_id
        )
        job = Job(
            request_id=given_id,
            name=name,
            owner=call.token,
            model_id=model_id,
            body=body,
            resolution=shape.resolution,
            ratio=shape.ratio,
            price=price,
            accepted_at=now,
            work_seconds=self._durations.draw(name, model_id, shape.resolution, shape.seconds),
            video_paths=video_paths(given_id, self.epoch + now),
            fate=draw_fate(self._dice, occasion, self.id_lifetime),
        )
        self._jobs[given_id] = job
        self._videos.update(dict.fromkeys(job.video_paths, job))
        self._queue.add(job, now)
        self.books.note_accepted(job)
        return job

    def _poll(self, call: Call, job: Job) -> Reply:
        if call.route.kind == "status":
            queued = job.state is JobState.QUEUED and job.fate.tells_position
            position = self._queue.position(job) if queued else None
            reply = answers.status(job, position, self.public_url)
        else:
            include_cost = call.route.query.get("include_cost", "").lower() == "true"
            reply = answers.result(job, self.public_url, self._stamp, include_cost=include_cost)
        return self._may_spoil(faults.POLL, reply, call, job)

    def _cancel(self, call: Call, job: Job) -> Reply:
        if call.body:
            return refusal(422, 422001, "Input validation failed.", "A cancel has no body.")
        if fault := self._throw(("cancel-ignored",), call, job):
            return self._spoil(fault, answers.cancelled(job, in_time=False), call)
        if self._queue.cancel(job, call.now):
            self.books.note_cancelled(job)
        in_time = job.state is JobState.CANCELLED
        reply = answers.cancelled(job, in_time=in_time)
        names = ("cancel-drop", "cancel-5xx", "cancellation-requested")
        return self._may_spoil(names if in_time else names[:2], reply, call, job)

    def _video(self, call: Call, target: str) -> Reply:
        if "authorization" in call.headers:
            self.books.note_token_leak(target)
        job = self._videos.get(call.route.subject)
        if job is None or job.state is not JobState.SUCCEEDED:
            return in_html(404, "404 Not Found")
        reply = serve_video(call.method, call.headers, video(job.resolution, job.ratio))
        if not reply.body:
            return reply
        cut, bandwidth = None, self.bandwidth
        if self._strikes(call, "truncated-video", job):
            cut = len(reply.body) // 2
        if self._strikes(call, "slow-video", job):
            bandwidth = self.faults.slow_bandwidth
        return attrs.evolve(reply, cut=cut, bandwidth=bandwidth)

    def _occasion(self, call: Call, job: Job | None = None) -> Occasion:
        assert self._start is not None
        return Occasion(
            at=call.now - self._start,
            endpoint=call.route.kind,
            subject=call.subject,
            model_id=call.route.subject if job is None else job.model_id,
            request_id=None if job is None else job.request_id,
        )

    def _strikes(self, call: Call, name: str, job: Job | None = None) -> bool:
        return self._throw((name,), call, job) is not None

    def _throw(self, names: Iterable[str], call: Call, job: Job | None = None) -> str | None:
        """Throw for these faults and return the one that strikes."""
        if self._dice.idle:
            return None
        return self._dice.first(names, self._occasion(call, job))

    def _may_spoil(self, names: Iterable[str], reply: Reply, call: Call, job: Job) -> Reply:
        """Answer about a job, unless one of these faults strikes."""
        fault = self._throw(names, call, job)
        return self._spoil(fault, reply, call) if fault else reply

    def _spoil(self, fault: str, reply: Reply, call: Call) -> Reply:
        turn = partial(self._dice.turn, fault, call.subject)
        return spoil(fault, reply, turn, self.epoch + call.now)

    def _stamp(self, seconds: float) -> str:
        return answers.stamp(self.epoch, seconds)
