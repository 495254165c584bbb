"""How long a generation takes: seconds drawn by model, resolution and length.

Nobody publishes real times; these are invented so that five seconds at 480p take about half
a minute and the dearest request about four. Only their shape matters: long right tail, slower
models, work that grows with the pixels.
"""

from typing import Final

from .chance import chance
from .delays import Delay, Lognormal

SIGMA: Final = 0.25
"""Spread of the logarithm: two thirds of the draws lie within 25% of the median."""

_OVERHEAD: Final = 8.0
_WORK_PER_SECOND: Final = {"480p": 3.0, "720p": 5.0, "1080p": 9.0, "4k": 20.0}
_WORK_ELSEWHERE: Final = 5.0
_SLOWNESS: Final = (("/fast/", 1.0), ("/lite/", 1.3))
_SLOWNESS_ELSEWHERE: Final = 2.2


def median_seconds(model_id: str, resolution: str, length: float) -> float:
    """Tell how long half of such jobs take at most; `length` is the video's, in seconds."""
    work = _WORK_PER_SECOND.get(resolution, _WORK_ELSEWHERE) * length
    slowness = next((s for part, s in _SLOWNESS if part in model_id), _SLOWNESS_ELSEWHERE)
    return (_OVERHEAD + work) * slowness


class Durations:
    """Draws by the job's name, so that neither order nor other jobs change what one takes."""

    def __init__(self, seed: int, speed: float, delay: Delay | None = None) -> None:
        """Divide all draws by `speed`; `delay` replaces the invented distribution.

        Raises:
            ValueError: the speed is not above zero.
        """
        if not speed > 0:
            raise ValueError(f"speed is {speed}; it divides durations, so it must be above 0")
        self._seed = seed
        self._speed = speed
        self._delay = delay

    def draw(self, job: str, model_id: str, resolution: str, length: float) -> float:
        """Draw the seconds that one job will run."""
        delay = self._delay or Lognormal(median_seconds(model_id, resolution, length), SIGMA)
        return delay.draw(chance(self._seed, "duration", job)) / self._speed
