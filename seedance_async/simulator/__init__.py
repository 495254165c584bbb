"""A double of RunComfy's Model API, for tests, demos and benchmarks; it costs nothing.

`Simulator` is the service as a pure function of requests and time. Two drivers put it to work:
`seedance_async.simulator.web.serve` on a loopback socket, and `InProcess` without any network,
on a `VirtualTimeLoop` where a night passes in a second.
"""

from .books import Acceptance, Books, canonical_json
from .core import Account, Simulator
from .faults import KNOWN as KNOWN_FAULTS
from .faults import FaultPlan, InjectedFault
from .inprocess import ConnectionDropped, InProcess
from .reply import Reply
from .virtualtime import VirtualTimeLoop, run

__all__ = [
    "KNOWN_FAULTS",
    "Acceptance",
    "Account",
    "Books",
    "ConnectionDropped",
    "FaultPlan",
    "InProcess",
    "InjectedFault",
    "Reply",
    "Simulator",
    "VirtualTimeLoop",
    "canonical_json",
    "run",
]
