"""A double of RunComfy's Model API, for tests, demos and benchmarks; it costs nothing.

`Simulator` is the service as a pure function of requests and time. Two drivers put it to work:
`seedance_async.simulator.web.serve` on a loopback socket, and `InProcess` without any network,
on a `VirtualTimeLoop` where a night passes in a second.
"""

from .account import Account
from .books import Acceptance, Books, canonical_json
from .core import Simulator
from .delays import Delay, Fixed, Lognormal, Uniform
from .fault import Fault
from .faults import KNOWN as KNOWN_FAULTS
from .injected import InjectedFault
from .inprocess import ConnectionDropped, InProcess
from .plan import FaultPlan
from .reply import Reply
from .virtualtime import VirtualTimeLoop, run

__all__ = [
    "KNOWN_FAULTS",
    "Acceptance",
    "Account",
    "Books",
    "ConnectionDropped",
    "Delay",
    "Fault",
    "FaultPlan",
    "Fixed",
    "InProcess",
    "InjectedFault",
    "Lognormal",
    "Reply",
    "Simulator",
    "Uniform",
    "VirtualTimeLoop",
    "canonical_json",
    "run",
]
