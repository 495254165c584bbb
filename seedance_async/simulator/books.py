"""The books: who was accepted, what was billed, and what was asked for how often."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal, get_args

import attrs

from .job import Job

RequestKind = Literal[
    "submit", "status", "result", "cancel", "catalog", "video", "books", "unknown"
]

MICRO: Final = 1_000_000
"""Micro-dollars in a dollar."""


def canonical_json(document: Mapping[str, object]) -> str:
    """Spell a body the one way that the books use: sorted keys, no spaces, no escapes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@attrs.frozen
class Acceptance:
    """One entry: a generation that the service took on.

    Attributes:
        request_id: the id that was given to it.
        model_id: the model.
        body: the input, in canonical JSON.
        accepted_at: seconds on the loop's clock.
        price: micro-dollars that it costs unless it fails or is cancelled.
    """

    request_id: str
    model_id: str
    body: str
    accepted_at: float
    price: int


class Books:
    """The bookkeeper's side of a simulator: read it after a test, never write to it.

    Money is charged on acceptance and given back by a cancellation in the queue; a job that is
    going to fail is never charged. So the sums hold at any moment, whether or not somebody still
    polls.
    """

    def __init__(self) -> None:
        self._accepted: list[Acceptance] = []
        self._cancelled: list[str] = []
        self._unbilled: set[str] = set()
        self._billed = 0
        self._live: Counter[tuple[str, str]] = Counter()
        self._paid_twice: dict[tuple[str, str], None] = {}
        self._requests: Counter[RequestKind] = Counter()
        self._polls: Counter[str] = Counter()
        self._token_leaks: list[str] = []

    @property
    def accepted(self) -> tuple[Acceptance, ...]:
        """All acceptances, oldest first."""
        return tuple(self._accepted)

    @property
    def cancelled(self) -> tuple[str, ...]:
        """The ids of the jobs that were cancelled while they waited, in that order."""
        return tuple(self._cancelled)

    @property
    def billed(self) -> int:
        """Micro-dollars for all that was accepted, was not cancelled and does not fail."""
        return self._billed

    @property
    def token_leaks(self) -> tuple[str, ...]:
        """The targets of video requests that carried an Authorization header."""
        return tuple(self._token_leaks)

    def accepted_by_body(self) -> Mapping[str, int]:
        """Count acceptances by canonical body."""
        return Counter(entry.body for entry in self._accepted)

    def billed_by_body(self) -> Mapping[str, int]:
        """Count billed generations by canonical body."""
        return Counter(e.body for e in self._accepted if e.request_id not in self._unbilled)

    def paid_twice(self) -> tuple[str, ...]:
        """Name the bodies of which a second was accepted while a first could still be billed.

        Sending a request again after its job failed or was cancelled is not paying twice;
        sending it again while nobody knows is, even if luck makes the first one fail later.
        """
        return tuple(body for _, body in self._paid_twice)

    def requests(self, kind: RequestKind) -> int:
        """Count what arrived, refused or not; `requests("submit")` are the POSTs that may cost.

        Raises:
            ValueError: There is no such kind of request.
        """
        if kind not in get_args(RequestKind):
            raise ValueError(f"{kind!r} is none of {', '.join(get_args(RequestKind))}")
        return self._requests[kind]

    def polls(self, request_id: str) -> int:
        """Count the status and result requests for an id."""
        return self._polls[request_id]

    @property
    def billed_usd(self) -> float:
        """USD for all that was accepted, was not cancelled and does not fail."""
        return self._billed / MICRO

    def document(self) -> dict[str, object]:
        """Tell all as JSON values: what `GET /simulator/books` answers."""
        cancelled = set(self._cancelled)
        return {
            "accepted": [
                {
                    "request_id": entry.request_id,
                    "model_id": entry.model_id,
                    "input": json.loads(entry.body),
                    "price_usd": entry.price / MICRO,
                    "billed": entry.request_id not in self._unbilled,
                    "cancelled": entry.request_id in cancelled,
                    "polls": self._polls[entry.request_id],
                }
                for entry in self._accepted
            ],
            "billed_usd": self.billed_usd,
            "requests": dict(self._requests),
            "paid_twice": [json.loads(body) for body in self.paid_twice()],
            "token_leaks": list(self._token_leaks),
        }

    def note_request(self, kind: RequestKind, subject: str) -> None:
        """Write down an arrival; the subject of a poll is its request id."""
        self._requests[kind] += 1
        if kind in ("status", "result"):
            self._polls[subject] += 1

    def note_token_leak(self, target: str) -> None:
        """Write down that a video was asked for with a token."""
        self._token_leaks.append(target)

    def note_accepted(self, job: Job) -> None:
        """Write down an acceptance and charge for it."""
        self._accepted.append(
            Acceptance(job.request_id, job.model_id, job.body, job.accepted_at, job.price)
        )
        key = _key(job)
        if self._live[key]:
            self._paid_twice[key] = None
        self._live[key] += 1
        if job.fate.error is None:
            self._billed += job.price
        else:
            self._unbilled.add(job.request_id)

    def note_cancelled(self, job: Job) -> None:
        """Write down that a waiting job was cancelled, and give the money back."""
        self._cancelled.append(job.request_id)
        self._live[_key(job)] -= 1
        if job.request_id not in self._unbilled:
            self._unbilled.add(job.request_id)
            self._billed -= job.price

    def note_failed(self, job: Job) -> None:
        """Write down that a job has failed: its request may now be sent again."""
        self._live[_key(job)] -= 1


def _key(job: Job) -> tuple[str, str]:
    return job.model_id, job.body
