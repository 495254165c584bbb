"""A job as the service sees it."""

import enum

import attrs


class JobState(enum.Enum):
    """Where a job stands; the last three are final."""

    QUEUED = "in_queue"
    RUNNING = "in_progress"
    SUCCEEDED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@attrs.frozen(kw_only=True)
class Fate:
    """What was decided about a job, by the fault plan, when it was accepted.

    Attributes:
        error: why it will fail, as any JSON value; None: it will not.
        stuck: it runs for ever, although its slot becomes free.
        expires_after: seconds from its end until its id is forgotten; None: never.
        in_flight_name: how a running job reads, where not `in_progress`.
        success_name: how success reads on the result.
        not_ready_is_400: a result asked too early is HTTP 400 with code 400005.
        known_after: seconds from its acceptance until its id is known everywhere.
        without_video: its output is empty.
        as_array: the output holds `videos` instead of `video`.
        accepted_status: HTTP status of the answer to its submit.
        bare_acceptance: that answer holds the request_id alone.
        cancelled_name: how a cancellation reads on the result.
        tells_position: whether its status tells the queue_position.
        tells_times: whether its result tells created_at and finished_at.
        tells_cost: whether its result tells the cost when asked to.
    """

    error: object = None
    stuck: bool = False
    expires_after: float | None = None
    known_after: float = 0.0
    without_video: bool = False
    in_flight_name: str = "in_progress"
    success_name: str = "completed"
    not_ready_is_400: bool = False
    as_array: bool = False
    accepted_status: int = 200
    bare_acceptance: bool = False
    cancelled_name: str = "cancelled"
    tells_position: bool = True
    tells_times: bool = True
    tells_cost: bool = True


@attrs.define(eq=False, kw_only=True)
class Job:
    """One accepted generation; times are seconds on the loop's clock, money is micro-dollars.

    `name` says what was asked for and how often before: the same in each run of a seed.
    """

    request_id: str
    name: str
    owner: str = attrs.field(repr=False)
    model_id: str
    body: str = attrs.field(repr=False)
    resolution: str
    ratio: str
    price: int
    accepted_at: float
    work_seconds: float
    video_paths: tuple[str, ...] = attrs.field(repr=False)
    fate: Fate = Fate()
    state: JobState = JobState.QUEUED
    ticket: int = -1
    finished_at: float | None = None

    def known(self, now: float) -> bool:
        """Whether the service knows this id now: no more once it has expired."""
        return now >= self.accepted_at + self.fate.known_after and not self._expired(now)

    def _expired(self, now: float) -> bool:
        return (
            self.finished_at is not None
            and self.fate.expires_after is not None
            and now >= self.finished_at + self.fate.expires_after
        )
