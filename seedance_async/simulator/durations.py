"""How long a generation takes: seconds drawn by model, resolution and length.

Nobody publishes real times; these are invented so that five seconds at 480p take about half
a minute and the dearest request about four. Only their shape matters: long right tail, slower
models, work that grows with the pixels.
"""

import random
from math import log
from typing import Final

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
    """Draws from a stream of its own, one number a job, so that jobs do not disturb each other."""

    def __init__(self, seed: int, speed: float) -> None:
        """Divide all draws by `speed`.

        Raises:
            ValueError: the speed is not above zero.
        """
        if not speed > 0:
            raise ValueError(f"speed is {speed}; it divides durations, so it must be above 0")
        self._random = random.Random(f"{seed}/durations")
        self._speed = speed

    def draw(self, model_id: str, resolution: str, length: float) -> float:
        """Draw the seconds that one job will run."""
        median = median_seconds(model_id, resolution, length)
        return self._random.lognormvariate(log(median), SIGMA) / self._speed
