"""What goes wrong: which faults there are, how often by plan, and the dice that decide."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Self, TypeVar

import attrs

T = TypeVar("T")

SUBMIT_BEFORE: Final = MappingProxyType(
    {
        "drop-before-accept": "submit: the connection closes, nothing was accepted",
        "html-504": "submit: a gateway's HTML page, nothing was accepted",
        "5xx-before-accept": "submit: 500, 502 or 503, nothing was accepted",
        "429": "submit: refused, Retry-After as seconds and as an HTTP date by turns",
    }
)
SUBMIT_AFTER: Final = MappingProxyType(
    {
        "drop-after-accept": "submit: accepted, then the connection closes",
        "5xx-after-accept": "submit: accepted, then 500, 502 or 503",
        "truncated-json": "submit: accepted, the answer cut short or unreadable by turns",
    }
)
POLL: Final = MappingProxyType(
    {
        "poll-drop": "status, result: the connection closes",
        "poll-html-504": "status, result: a gateway's HTML page",
        "poll-5xx": "status, result: 500, 502 or 503",
        "poll-429": "status, result: refused, Retry-After by turns",
        "error-in-200": "status, result: HTTP 200 with error_code 500001",
        "poll-truncated-json": "status, result: the answer cut short or unreadable by turns",
    }
)
CANCEL: Final = MappingProxyType(
    {
        "cancel-drop": "cancel: done, then the connection closes",
        "cancel-5xx": "cancel: done, then 500, 502 or 503",
        "cancellation-requested": "cancel: the other spelling of the answer",
    }
)
JOB: Final = MappingProxyType(
    {
        "failed": "the job fails",
        "stuck": "the job never ends",
        "expired": "the job's id is forgotten as soon as it is over",
        "videos": "the output holds an array `videos` instead of `video`",
        "succeeded": "the result spells `succeeded` for `completed`",
        "not-ready-400": "a result asked too early is HTTP 400 with error_code 400005",
        "unknown-state": "a running job reads as a state that nobody documented",
    }
)
VIDEO: Final = MappingProxyType(
    {
        "truncated-video": "download: the connection closes half-way",
        "slow-video": "download: a few kilobytes a second",
    }
)
ANY: Final = MappingProxyType({"slow": "any API request: the answer takes seconds"})

KNOWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        name: meaning
        for group in (SUBMIT_BEFORE, SUBMIT_AFTER, POLL, CANCEL, JOB, VIDEO, ANY)
        for name, meaning in group.items()
    }
)
"""Every fault with what it does, for a command line's help."""


def _checked(rates: Mapping[str, float]) -> Mapping[str, float]:
    unknown = sorted(rates.keys() - KNOWN.keys())
    if unknown:
        raise ValueError(f"unknown fault {', '.join(unknown)}; known are {', '.join(KNOWN)}")
    for name, rate in rates.items():
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate of {name} is {rate}; it must lie between 0 and 1")
    return MappingProxyType(dict(rates))


@attrs.frozen
class FaultPlan:
    """How often each fault happens: `FaultPlan({"drop-after-accept": 0.05})`.

    Attributes:
        rates: probability, 0 to 1, by the name of the fault (`KNOWN` lists them).
        slow_seconds: how late a `slow` answer is.
        slow_bandwidth: bytes a second of a `slow-video`.

    Raises:
        ValueError: a fault is unknown, or its rate no probability.
    """

    rates: Mapping[str, float] = attrs.field(factory=dict, converter=_checked)
    slow_seconds: float = 5.0
    slow_bandwidth: float = 4096.0

    @classmethod
    def parse(cls, arguments: Iterable[str]) -> Self:
        """Read the command line's form, `["drop-after-accept=0.05", "429=0.1"]`.

        Raises:
            ValueError: an argument is not NAME=RATE, is unknown, or comes twice.
        """
        rates: dict[str, float] = {}
        for argument in arguments:
            name, equals, rate = argument.partition("=")
            if not equals:
                raise ValueError(f"{argument!r} is not NAME=RATE, as in drop-after-accept=0.05")
            if name in rates:
                raise ValueError(f"the fault {name} is given twice")
            try:
                rates[name] = float(rate)
            except ValueError:
                raise ValueError(f"the rate of {name} is {rate!r}, not a number") from None
        return cls(rates)


@attrs.frozen
class InjectedFault:
    """One fault that happened: when (seconds, loop's clock), which, where, to which job."""

    now: float
    name: str
    endpoint: str
    request_id: str | None


class Dice:
    """Decides fault by fault, each from a stream of its own, and logs what it decided.

    So more of one fault neither moves nor changes the others; and whoever raises a rate keeps
    the hits that the lower rate had.
    """

    def __init__(self, plan: FaultPlan, seed: int) -> None:
        self.plan: Final = plan
        self.log: Final[list[InjectedFault]] = []
        self._hits: Counter[str] = Counter()
        self._streams: Final = {
            name: random.Random(f"{seed}/fault/{name}")
            for name, rate in plan.rates.items()
            if rate > 0
        }

    def strikes(self, name: str, now: float, endpoint: str, request_id: str | None) -> bool:
        """Throw for one fault."""
        return self.first((name,), now, endpoint, request_id) is not None

    def first(
        self, names: Iterable[str], now: float, endpoint: str, request_id: str | None
    ) -> str | None:
        """Throw for all of these and return the first that strikes; only that one happens."""
        if not self._streams:
            return None
        struck = [name for name in names if self._throw(name)]
        if not struck:
            return None
        self._hits[struck[0]] += 1
        self.log.append(InjectedFault(now, struck[0], endpoint, request_id))
        return struck[0]

    def turn(self, name: str, choices: Sequence[T]) -> T:
        """Take the choices by turns, one for each time that the fault struck."""
        return choices[(self._hits[name] - 1) % len(choices)]

    def _throw(self, name: str) -> bool:
        stream = self._streams.get(name)
        return stream is not None and stream.random() < self.plan.rates[name]
