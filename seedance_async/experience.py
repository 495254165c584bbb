"""What a session knows of how long jobs take, by their shape. Pure: no I/O, no clock."""

from __future__ import annotations

from math import exp, log
from typing import Final

import attrs

from seedance_async.hazard import Guess, Hazard
from seedance_async.models import Shape
from seedance_async.survival import Survival

__all__ = ["Experience", "usual_seconds"]

_MOST_KINDS: Final = 200
"""Of some 30 KB each; the oldest is forgotten for the next."""
_SPREAD, _SPREAD_KNOWN = 0.8, 0.5
"""Of the logarithm: of a guess alone, and of one that other shapes of the model stand behind."""
_DOUBT: Final = 3.0
_MEMORY: Final = 100.0
_FEW: Final = 2.9
"""Ends up to which a shape leans on others of its model, and below which nothing is said."""
_ENDS: Final = 400.0
"""Of a shape that count; older ones fade."""
_TIMES: Final = 8
"""As many ends count as run at once, if these are more."""

_START: Final = 10.0
_WORK: Final = {"480p": 4.0, "720p": 6.0, "1080p": 10.0, "4k": 20.0}
_USUAL_WORK, _USUAL_LENGTH = 6.0, 5


def usual_seconds(shape: Shape | None) -> float:
    """Return the seconds that a job is taken to run before anything is known.

    Nobody publishes durations. All that is said is "30 s to minutes"; that work grows with the
    length and the pixels is assumed. So five seconds at 480p are put at half a minute, the longest
    video at 1080p at two, and the guess is worth three observations, with a wide spread.
    """
    if shape is None:
        return _START + _USUAL_WORK * _USUAL_LENGTH
    work = _WORK.get(shape.resolution or "", _USUAL_WORK)
    length = _USUAL_LENGTH if shape.duration is None else min(max(shape.duration, 1), 60)
    return _START + work * length


@attrs.define
class _Scale:
    """How much longer than usual jobs take: a mean of logarithms, old ones faded."""

    count: float = 0.0
    total: float = 0.0

    def add(self, logarithm: float) -> None:
        fade = 1.0 - 1.0 / _MEMORY
        self.count = self.count * fade + 1.0
        self.total = self.total * fade + logarithm

    def mean(self, otherwise: float) -> float:
        """Return the mean, drawn to another one."""
        return (self.total + _DOUBT * otherwise) / (self.count + _DOUBT)


@attrs.define(eq=False)
class _Kind:
    """Jobs of one shape, and what was made of them last.

    An estimate costs as much as some sixty decisions (0.25 ms), so it is made again only when 6%
    more ends are known, or 10% more time at risk while there are no ends.
    """

    hazard: Hazard = attrs.field(factory=Hazard)
    survival: Survival | None = None
    new_ends: int = 0
    ran_before: float = 0.0
    others_before: float = 0.0

    def is_stale(self, others: float) -> bool:
        """Tell whether enough is new, of this shape or, while it is new itself, of its model."""
        hazard = self.hazard
        return (
            self.survival is None
            or (hazard.seen < _FEW and others >= 1.5 * self.others_before + 1.0)
            or self.new_ends >= max(1.0, 0.06 * hazard.seen)
            or hazard.ran > 1.1 * self.ran_before + 10.0
        )


class Experience:
    """Learns from polls and ends; a shape of which little is known leans on others of its model."""

    def __init__(self) -> None:
        self._at_once: int | None = None
        self._kinds: dict[Shape | None, _Kind] = {}
        self._models: dict[str, _Scale] = {}
        self._all = _Scale()

    def known(self, shape: Shape | None) -> float:
        """Return how many ends of this shape count."""
        kind = self._kinds.get(shape)
        return 0.0 if kind is None else kind.hazard.seen

    def doubt(self, shape: Shape) -> float | None:
        """Return how far the mean may be off, as the spread of its logarithm.

        Of ages at which no job was seen, ends at lower ones tell no more than a guess does.
        None: too few jobs of this model have ended to say anything.
        """
        model = self._models.get(shape.model_id)
        if model is None or model.count < _FEW:
            return None
        survival = self.survival(shape)
        spread = log(1.0 + (survival.deviation / survival.mean) ** 2)
        sure = self.known(shape) / max(spread, 1e-3) + 1.0 / _SPREAD_KNOWN**2
        unseen = survival.beyond(self._kind(shape).hazard.oldest) / survival.mean
        return max(float(sure**-0.5), _SPREAD_KNOWN * unseen)

    def foresee(self, at_once: int) -> None:
        """Expect from now on what becomes of so many jobs, not of the next one.

        Of several times as many the ends count from now on: those that run at once are observed
        at once, and if fewer counted, nothing would be known of the longest.
        """
        self._at_once = at_once
        for kind in self._kinds.values():
            kind.hazard.memory = self._memory

    @property
    def _memory(self) -> float:
        return max(_ENDS, _TIMES * (self._at_once or 0))

    def running(self, shape: Shape | None, since: float, until: float) -> None:
        """Learn that a job ran from one age to another, in seconds."""
        self._kind(shape).hazard.survived(since, until)

    def ended(self, shape: Shape | None, since: float, seconds: float) -> None:
        """Learn that a job that ran at age `since` ended when it was `seconds` old."""
        if not 0.0 <= seconds < float("inf"):
            return
        kind = self._kind(shape)
        kind.hazard.survived(since, seconds)
        kind.hazard.ended(seconds)
        kind.new_ends += 1
        longer = log(max(seconds, 0.25) / usual_seconds(shape))
        self._all.add(longer)
        if shape is not None:
            self._scale(shape.model_id).add(longer)

    def survival(self, shape: Shape | None) -> Survival:
        """Return what is to be expected of the next job of this shape."""
        kind = self._kind(shape)
        others = self._all.count if shape is None else self._scale(shape.model_id).count
        if kind.survival is None or kind.is_stale(others):
            guess = self._guess(shape)
            if self._at_once is None:
                kind.survival = kind.hazard.estimate(guess)
            else:
                kind.survival = kind.hazard.foresee(guess, self._at_once)
            kind.new_ends, kind.ran_before = 0, kind.hazard.ran
            kind.others_before = others
        return kind.survival

    def _guess(self, shape: Shape | None) -> Guess:
        longer = self._all.mean(0.0)
        count = self._all.count
        if shape is not None:
            model = self._scale(shape.model_id)
            longer, count = model.mean(longer), model.count
        variance = (_DOUBT * _SPREAD**2 + count * _SPREAD_KNOWN**2) / (_DOUBT + count)
        spread = _SPREAD if shape is None else variance**0.5
        return Guess(usual_seconds(shape) * exp(longer), spread)

    def _kind(self, shape: Shape | None) -> _Kind:
        kind = self._kinds.get(shape)
        if kind is None:
            while len(self._kinds) >= _MOST_KINDS:
                del self._kinds[next(iter(self._kinds))]
            kind = self._kinds[shape] = _Kind(Hazard(memory=self._memory))
        return kind

    def _scale(self, model_id: str) -> _Scale:
        scale = self._models.get(model_id)
        if scale is None:
            while len(self._models) >= _MOST_KINDS:
                del self._models[next(iter(self._models))]
            scale = self._models[model_id] = _Scale()
        return scale
