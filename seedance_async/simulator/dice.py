"""The dice: whether a fault strikes, by plan and seed, and the log of those that did."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import attrs

from .chance import chance
from .plan import Fault, FaultPlan, InjectedFault

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
        self._faults: Final[defaultdict[str, list[Fault]]] = defaultdict(list)
        for fault in plan.faults:
            self._faults[fault.name].append(fault)
        self._replayed: Final = {(f.name, f.subject, f.number) for f in plan.replayed}
        self._names: Final = {*self._faults, *(fault.name for fault in plan.replayed)}
        self._throws: Counter[tuple[str, str]] = Counter()
        self._strikes: Counter[tuple[str, str]] = Counter()
        self._met: Counter[Fault] = Counter()
        self._spent: Counter[Fault] = Counter()

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
        name, fault = struck[0]
        if fault is not None:
            self._spent[fault] += 1
        subject = occasion.subject
        self._strikes[name, subject] += 1
        number = self._throws[name, subject]
        injected = InjectedFault(
            occasion.at, name, occasion.endpoint, occasion.request_id, subject, number
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

    def _throw(self, name: str, occasion: Occasion) -> tuple[str, Fault | None] | None:
        """Return the fault that strikes, with its name; one that is replayed has only that."""
        self._throws[name, occasion.subject] += 1
        number = self._throws[name, occasion.subject]
        if (name, occasion.subject, number) in self._replayed:
            return name, None
        u = chance(self._seed, "fault", name, occasion.subject, number)
        met = [fault for fault in self._faults[name] if _meets(fault, occasion)]
        self._met.update(met)
        for fault in met:
            if u < fault.rate and self._met[fault] == (fault.nth or self._met[fault]):
                if fault.times is not None and self._spent[fault] >= fault.times:
                    continue
                return name, fault
        return None


def names_model(words: str, model_id: str) -> bool:
    """Tell whether a part of a model's id, or a short name such as `pro-fast`, means this one."""
    return words in model_id or words.replace("-", "/") in model_id


def _meets(fault: Fault, occasion: Occasion) -> bool:
    return (
        fault.covers(occasion.at)
        and fault.endpoint in (None, occasion.endpoint)
        and (fault.model is None or names_model(fault.model, occasion.model_id))
    )
