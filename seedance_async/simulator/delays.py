"""How long something takes: distributions as values, how a command line spells them, latencies."""

from collections import Counter
from collections.abc import Callable, Mapping
from math import exp, isfinite
from statistics import NormalDist
from typing import Final, Protocol

import attrs

from .chance import chance
from .faults import ENDPOINTS

_NORMAL: Final = NormalDist()


class Delay(Protocol):
    """A distribution of seconds."""

    def draw(self, u: float) -> float:
        """Return the seconds for a uniform random number between 0 and 1, both excluded."""


def _seconds(_instance: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not (isfinite(value) and value >= 0):
        raise ValueError(f"{attribute.name} is {value}; it must be 0 or more, and finite")


def _positive(_instance: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not (isfinite(value) and value > 0):
        raise ValueError(f"{attribute.name} is {value}; it must be above 0, and finite")


@attrs.frozen
class Fixed:
    """Always the same, in seconds."""

    seconds: float = attrs.field(validator=_seconds)

    def draw(self, u: float) -> float:  # noqa: ARG002  it is the same for all
        """Return the seconds."""
        return self.seconds


@attrs.frozen
class Uniform:
    """Anything from `low` to `high` seconds."""

    low: float = attrs.field(validator=_seconds)
    high: float = attrs.field(validator=_seconds)

    def __attrs_post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError(f"high is {self.high}, below low, which is {self.low}")

    def draw(self, u: float) -> float:
        """Return the seconds for a uniform random number."""
        return self.low + (self.high - self.low) * u


@attrs.frozen
class Lognormal:
    """A long right tail, as service times have it.

    Attributes:
        median: seconds that half of the draws stay below.
        sigma: spread of the logarithm; at 0.3 two thirds lie within 35% of the median.
    """

    median: float = attrs.field(validator=_positive)
    sigma: float = attrs.field(validator=_seconds)

    def draw(self, u: float) -> float:
        """Return the seconds for a uniform random number."""
        return self.median * exp(self.sigma * _NORMAL.inv_cdf(u))


_KINDS: Final[Mapping[str, tuple[int, Callable[..., Delay]]]] = {
    "fixed": (1, Fixed),
    "uniform": (2, Uniform),
    "lognormal": (2, Lognormal),
}


def parse_delay(text: str) -> Delay:
    """Read `0.2`, `fixed:0.2`, `uniform:0.1,0.4` or `lognormal:0.2,0.5` (median, sigma).

    Raises:
        ValueError: it is none of these.
    """
    kind, colon, rest = text.partition(":")
    if not colon:
        kind, rest = "fixed", text
    count, make = _KINDS.get(kind, (0, Fixed))
    try:
        numbers = [float(number) for number in rest.split(",")]
    except ValueError:
        numbers = []
    if not count or len(numbers) != count:
        raise ValueError(
            f"{text!r} is no distribution of seconds; write 0.2, uniform:0.1,0.4 (from, to) "
            "or lognormal:0.2,0.5 (median, sigma)"
        )
    return make(*numbers)


def by_endpoint(value: "Delay | float | Mapping[str, Delay | float]") -> Mapping[str, Delay]:
    """Spell latencies by endpoint; a bare number is for always so many seconds.

    Raises:
        ValueError: one is neither a number nor a distribution, or there is no such endpoint.
    """
    if not isinstance(value, Mapping):
        value = dict.fromkeys(ENDPOINTS, value)
    if unknown := value.keys() - set(ENDPOINTS):
        raise ValueError(f"latency for {sorted(unknown)}; endpoints are {', '.join(ENDPOINTS)}")
    return {endpoint: _delay(delay) for endpoint, delay in value.items()}


def _delay(value: "Delay | float") -> Delay:
    if isinstance(value, int | float):
        return Fixed(float(value))
    draws = callable(getattr(value, "draw", None))
    if not draws:
        raise ValueError(
            f"latency is {value!r}; pass seconds as a number, as in 0.2, or a distribution, as in "
            f"Uniform(0.1, 0.4)"
        )
    return value


class Latencies:
    """Draws by what is asked and how often it was, so that nothing else changes an answer's."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._asked: Counter[tuple[str, str]] = Counter()

    def draw(self, delay: Delay | None, endpoint: str, subject: str) -> float:
        """Draw the seconds that the next answer about `subject` takes; None takes none."""
        if delay is None:
            return 0.0
        key = endpoint, subject
        self._asked[key] += 1
        return delay.draw(chance(self._seed, "latency", *key, self._asked[key]))
