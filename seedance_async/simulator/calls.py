"""A request on its way through the simulator."""

from collections.abc import Mapping

import attrs

from .images import Probe
from .routes import Route


@attrs.frozen
class Call:
    """One request, with what the simulator found out about it.

    Attributes:
        method: such as GET.
        route: what it asks for.
        headers: names in lower case.
        body: the whole body.
        now: seconds on the loop's clock.
        probes: what a driver measured of the images that it names.
        subject: what faults and latency are drawn by: equal for equal requests, whoever comes
            first.
    """

    method: str
    route: Route
    headers: Mapping[str, str]
    body: bytes
    now: float
    probes: Mapping[str, Probe]
    subject: str

    @property
    def token(self) -> str:
        """The bearer token; empty without one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else ""
