"""The dice: whether a fault strikes, by plan and seed, and the log of those that did."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import attrs

from .chance import chance
from .fault import Fault
from .injected import InjectedFault
from .plan import FaultPlan

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Occasion:
    """What a fault may befall: a request on its way, or a job at its acceptance.

    Attributes:
        at: seconds after the simulator's start.
        endpoint: where; `job` for a job.
        subject: what is asked about, such that its occasions come one after another.
        model_id: of the job or the submission; empty where there is none.
        request_id: of the job, where there is one.
    """

    at: float
    endpoint: str
    subject: str
    model_id: str = ""
    request_id: str | None = None


@attrs.define(eq=False)
class _Watched:
    """A fault of the plan, and what became of it: equal faults are two all the same.

    Attributes:
        fault: which.
        met: how many occasions it was for.
        spent: how often it struck.
    """

    fault: Fault
    met: int = 0
    spent: int = 0

    def meets(self, occasion: Occasion) -> bool:
        """Tell whether an occasion is one for this fault, and count it."""
        fault = self.fault
        met = (
            fault.covers(occasion.at)
            and fault.endpoint in (None, occasion.endpoint)
            and fault.befalls(occasion.model_id)
        )
        self.met += met
        return met

    def strikes(self, u: float) -> bool:
        """Tell whether it strikes at the occasion that it met last."""
        fault = self.fault
        return (
            u < fault.rate
            and fault.nth in (None, self.met)
            and (fault.times is None or self.spent < fault.times)
        )


class Dice:
    """Decides fault by fault and subject by subject, and logs what it decided.

    So neither more of one fault nor the order of requests changes the others; and whoever
    raises a rate keeps the hits that the lower rate had.
    """

    def __init__(
        self, plan: FaultPlan, seed: int, told: Callable[[InjectedFault], None] | None = None
    ) -> None:
        self.log: Final[list[InjectedFault]] = []
        self._seed: Final = seed
        self._told = told
        self._faults: Final[defaultdict[str, list[_Watched]]] = defaultdict(list)
        for fault in plan.faults:
            self._faults[fault.name].append(_Watched(fault))
        self._replayed: Final = {(f.name, f.subject, f.number) for f in plan.replayed}
        self._names: Final = {*self._faults, *(fault.name for fault in plan.replayed)}
        self._throws: Counter[tuple[str, str]] = Counter()
        self._strikes: Counter[tuple[str, str]] = Counter()

    @property
    def idle(self) -> bool:
        """Whether nothing can ever strike."""
        return not self._names

    def strikes(self, name: str, occasion: Occasion) -> bool:
        """Throw for one fault."""
        return self.first((name,), occasion) is not None

    def first(self, names: Iterable[str], occasion: Occasion) -> str | None:
        """Throw for all of these and return the first that strikes; only that one happens."""
        struck = [
            found
            for name in names
            if name in self._names and (found := self._throw(name, occasion)) is not None
        ]
        if not struck:
            return None
        name, watched = struck[0]
        if watched is not None:
            watched.spent += 1
        subject = occasion.subject
        self._strikes[name, subject] += 1
        number = self._throws[name, subject]
        injected = InjectedFault(
            occasion.at, name, occasion.endpoint, occasion.request_id, subject, number, self._seed
        )
        self.log.append(injected)
        if self._told is not None:
            self._told(injected)
        return name

    def turn(self, name: str, subject: str, choices: Sequence[T]) -> T:
        """Take the choices by turns, one each time that the fault strikes this subject.

        Where a subject begins follows from the seed.
        """
        begin = int(chance(self._seed, "turn", name, subject) * 2**16)
        return choices[(begin + self._strikes[name, subject] - 1) % len(choices)]

    def _throw(self, name: str, occasion: Occasion) -> tuple[str, _Watched | None] | None:
        """Return the fault that strikes, with its name; one that is replayed has only that."""
        self._throws[name, occasion.subject] += 1
        number = self._throws[name, occasion.subject]
        if (name, occasion.subject, number) in self._replayed:
            return name, None
        u = chance(self._seed, "fault", name, occasion.subject, number)
        met = [watched for watched in self._faults[name] if watched.meets(occasion)]
        return next(((name, watched) for watched in met if watched.strikes(u)), None)
