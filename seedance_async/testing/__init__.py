"""For tests of what uses this library: the simulator, in this process or beside it.

`SimulatedSession` is a session without a network, `SimulatedTransport` the part of it that asks
the simulator; on a `VirtualTimeLoop` a night of queueing passes in a moment. `running_simulator`
serves the simulator on loopback to any number of processes. pytest gets both as fixtures,
`seedance_session` and `seedance_simulator`, from one line in the topmost conftest.py:

    pytest_plugins = ["seedance_async.testing"]

Needs `seedance-async[simulator]`. pytest is imported only where pytest loads this as a plugin.
PYTEST_DONT_REWRITE: a conftest.py may import names from here before pytest comes to the plugin.
"""

try:
    from .server import SimulatorServer, running_simulator
    from .session import RealTimeWarning, SimulatedSession
    from .transport import SimulatedTransport
except ModuleNotFoundError as error:
    if error.name not in ("jsonschema", "imagesize"):
        raise
    raise ModuleNotFoundError(
        f"the simulator needs the package {error.name}, which is not installed: "
        f"pip install 'seedance-async[simulator]'",
        name=error.name,
    ) from None

__all__ = [
    "RealTimeWarning",
    "SimulatedSession",
    "SimulatedTransport",
    "SimulatorServer",
    "running_simulator",
]

pytest_plugins = ["seedance_async.testing.plugin"]
