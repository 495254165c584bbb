"""One thing that goes wrong, how often, when and where, as a value."""

from collections.abc import Callable, Mapping
from math import inf
from types import MappingProxyType
from typing import Final, Self

import attrs

from .faults import ENDPOINTS, KNOWN, SILENT, STRIKES_AT


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
            _check_count(f"{word} of {self.name}", count)
        if not 0 <= self.since < self.until:
            raise ValueError(
                f"{self.name} from {self.since:g} s until {self.until:g} s is no span of time"
            )
        if self.endpoint not in (None, *STRIKES_AT[self.name]):
            raise ValueError(_never_there(self.name, self.endpoint))
        conditions = self.nth, self.times, self.endpoint, self.model
        if self.name in SILENT and (self.rate != 1 or any(conditions)):
            raise ValueError(f"{self.name} takes since and until alone: nobody is heard then")

    def covers(self, at: float) -> bool:
        """Tell whether it may happen, seconds after the simulator's start."""
        return self.since <= at < self.until

    def befalls(self, model_id: str) -> bool:
        """Tell whether it may happen to a model; `pro-fast` is found in `pro/fast`."""
        words = self.model
        return words is None or words in model_id or words.replace("-", "/") in model_id

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


def _check_count(what: str, count: int | None) -> None:
    if count is None:
        return
    if type(count) is not int:  # a bool is no count either
        raise ValueError(f"{what} is {count!r}; it must be a whole number")
    if count < 1:
        raise ValueError(f"{what} is {count}; it must be 1 or more")


def _never_there(name: str, endpoint: str | None) -> str:
    places = STRIKES_AT[name]
    if not places:
        way_out = "it belongs to no request: leave endpoint out"
    elif endpoint in ENDPOINTS:
        way_out = (
            f"it strikes only at {', '.join(places)}; name one of these, or leave endpoint out"
        )
    else:
        way_out = f"endpoints are {', '.join(places)}"
    return f"{name} cannot be bound to the endpoint {endpoint!r}: {way_out}"


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
