"""A fault plan: all that goes wrong, as a value."""

from collections.abc import Iterable, Mapping
from typing import Self

import attrs

from .fault import Fault
from .injected import InjectedFault


def _faults(value: Mapping[str, float] | Iterable[Fault]) -> tuple[Fault, ...]:
    if isinstance(value, Mapping):
        return tuple(Fault(name, rate=rate) for name, rate in value.items())
    return tuple(value)


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

    def check_seed(self, seed: int) -> None:
        """Refuse a replay under another seed: other jobs would be hit, or none.

        Raises:
            ValueError: the log tells of another.
        """
        wrong = next((f.seed for f in self.replayed if f.seed not in (None, seed)), None)
        if wrong is not None:
            raise ValueError(
                f"the faults to replay were logged with the seed {wrong}, and this simulator has "
                f"{seed}: give it the seed {wrong}"
            )

    @classmethod
    def parse(cls, arguments: Iterable[str]) -> Self:
        """Read the command line's form, `["drop-after-accept=0.05", "429=1,since=10,until=70"]`.

        Raises:
            ValueError: an argument cannot be read, or comes twice for the same occasions.
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

        The simulator must have the seed of the one that wrote the log, and checks that it has.
        """
        return cls(replayed=tuple(log))
