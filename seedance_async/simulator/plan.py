"""A fault plan: what goes wrong, how often, when and where, as a value."""

import json
from collections.abc import Callable, Iterable, Mapping
from math import inf
from types import MappingProxyType
from typing import Final, Self

import attrs

from .faults import JOB, KNOWN, SILENT

ENDPOINTS: Final = ("submit", "status", "result", "cancel", "catalog", "video")


@attrs.frozen
class Fault:
    """One thing that goes wrong: `Fault("429", rate=0.5, since=30, until=120)`.

    Attributes:
        name: what happens; `KNOWN_FAULTS` lists the names.
        rate: probability, 0 to 1, for each request (or each job, for faults of a job).
        nth: only the n-th request that this may befall, counted from 1.
        times: at most so often.
        since: seconds after the simulator's start before which nothing happens.
        until: seconds after the simulator's start from which on nothing happens.
        endpoint: only there (`submit`, `status`, `result`, `cancel`, `catalog`, `video`).
        model: only where the model's id contains this; `pro-fast` is found in `pro/fast`.

    Raises:
        ValueError: the name is unknown, a number is out of its range, or nothing can happen.
    """

    name: str
    rate: float = attrs.field(default=1.0, kw_only=True)
    nth: int | None = attrs.field(default=None, kw_only=True)
    times: int | None = attrs.field(default=None, kw_only=True)
    since: float = attrs.field(default=0.0, kw_only=True)
    until: float = attrs.field(default=inf, kw_only=True)
    endpoint: str | None = attrs.field(default=None, kw_only=True)
    model: str | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.name not in KNOWN:
            raise ValueError(f"unknown fault {self.name}; known are {', '.join(KNOWN)}")
        if not 0 <= self.rate <= 1:
            raise ValueError(f"the rate of {self.name} is {self.rate}; it must lie between 0 and 1")
        for word, count in (("nth", self.nth), ("times", self.times)):
            if count is not None and count < 1:
                raise ValueError(f"{word} of {self.name} is {count}; it must be 1 or more")
        if not 0 <= self.since < self.until:
            raise ValueError(
                f"{self.name} from {self.since:g} s until {self.until:g} s is no span of time"
            )
        if self.endpoint is not None and (self.endpoint not in ENDPOINTS or self.name in JOB):
            raise ValueError(f"{self.name} cannot be bound to the endpoint {self.endpoint!r}")
        conditions = self.nth, self.times, self.endpoint, self.model
        if self.name in SILENT and (self.rate != 1 or any(conditions)):
            raise ValueError(f"{self.name} takes since and until alone: nobody is heard then")

    def covers(self, at: float) -> bool:
        """Tell whether it may happen, seconds after the simulator's start."""
        return self.since <= at < self.until

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the command line's form: `429=0.5,since=30,until=120` or `stuck,nth=3`.

        Raises:
            ValueError: it cannot be read; the message says why.
        """
        head, *conditions = text.split(",")
        name, equals, rate = head.partition("=")
        if not equals and not conditions:
            raise ValueError(
                f"{text!r} is not NAME=RATE, as in drop-after-accept=0.05, nor NAME=RATE,since=30"
            )
        values: dict[str, object] = {}
        if equals:
            values["rate"] = _number(f"the rate of {name}", rate)
        for condition in conditions:
            word, _, value = condition.partition("=")
            if word not in _CONDITIONS or word in values:
                known = ", ".join(_CONDITIONS)
                raise ValueError(f"{condition!r} in {text!r} is not one of {known}, each once")
            values[word] = _CONDITIONS[word](f"{word} of {name}", value)
        return cls(name, **values)  # type: ignore[arg-type]  # each was read as its field wants it


def _number(what: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{what} is {text!r}, not a number") from None


def _count(what: str, text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{what} is {text!r}, not a whole number")
    return int(text)


def _word(what: str, text: str) -> str:
    if not text:
        raise ValueError(f"{what} is empty")
    return text


_CONDITIONS: Final[Mapping[str, Callable[[str, str], object]]] = MappingProxyType(
    {
        "nth": _count,
        "times": _count,
        "since": _number,
        "until": _number,
        "endpoint": _word,
        "model": _word,
    }
)


def _faults(value: Mapping[str, float] | Iterable[Fault]) -> tuple[Fault, ...]:
    if isinstance(value, Mapping):
        return tuple(Fault(name, rate=rate) for name, rate in value.items())
    return tuple(value)


@attrs.frozen
class InjectedFault:
    """One fault that happened; a line of the log.

    Attributes:
        at: seconds after the simulator's start.
        name: which.
        endpoint: where; `job` for what was decided about a job when it was accepted.
        request_id: of the job, where there was one.
        subject: of what it was decided: a job's name, or that of a request's body.
        number: at which of the subject's occasions, counted from 1.
    """

    at: float
    name: str
    endpoint: str
    request_id: str | None
    subject: str
    number: int

    def to_json(self) -> str:
        """Spell it as one line."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is no such line.
        """
        try:
            return cls(**json.loads(line))
        except TypeError as error:
            raise ValueError(f"no line of a fault log: {error}") from None


@attrs.frozen
class FaultPlan:
    """What goes wrong: `FaultPlan({"drop-after-accept": 0.05})`, or a list of `Fault`.

    Which requests are hit follows from the simulator's seed and from what is asked (the body of
    a submission, the job of a poll, and how often it was asked before), not from the order in
    which requests come in: at any concurrency the n-th request about a job meets the same. How
    often a job is polled depends on time; so do `since` and `until`, and `nth` and `times` on
    order; `replaying` repeats what a log has.

    Attributes:
        faults: what may happen; of several with one name each may.
        slow_seconds: how late a `slow` answer is.
        slow_bandwidth: bytes a second of a `slow-video`.
        replayed: faults of a log that happen again, whatever the others say.

    Raises:
        ValueError: a fault is unknown, or its rate no probability.
    """

    faults: tuple[Fault, ...] = attrs.field(default=(), converter=_faults)
    slow_seconds: float = 5.0
    slow_bandwidth: float = 4096.0
    replayed: tuple[InjectedFault, ...] = ()

    @classmethod
    def parse(cls, arguments: Iterable[str]) -> Self:
        """Read the command line's form, `["drop-after-accept=0.05", "429=1,since=10,until=70"]`.

        Raises:
            ValueError: an argument cannot be read, or comes twice with other rates.
        """
        faults: dict[Fault, Fault] = {}
        for argument in arguments:
            fault = Fault.parse(argument)
            if faults.setdefault(attrs.evolve(fault, rate=1.0), fault) is not fault:
                raise ValueError(f"the fault {fault.name} is given twice for the same occasions")
        return cls(faults.values())

    @classmethod
    def replaying(cls, log: Iterable[InjectedFault]) -> Self:
        """Make a plan in which exactly the faults of a log happen again.

        The simulator must have the seed of the one that wrote the log.
        """
        return cls(replayed=tuple(log))
