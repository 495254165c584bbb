"""A run's failures are told whatever becomes of it; a plugin of all tests."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest

__all__ = ["pytest_runtest_makereport", "pytest_sessionfinish"]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a report while the garbage collector rests.

    A report parses the failed test's source. If the collector runs meanwhile, and a finalizer
    fails, pytest parses that one's source within: CPython 3.11 then refuses the outer one with
    "SystemError: AST constructor recursion depth mismatch", and the whole run breaks off.
    """
    rested = not gc.isenabled()
    gc.disable()
    try:
        return (yield)
    finally:
        if not rested:
            gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Tell the failures before an internal error too: pytest itself leaves them out then."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.INTERNAL_ERROR and reporter is not None:
        reporter.summary_errors()
        reporter.summary_failures()
