"""The figures of the torture at the end of a run, also if its tests ran in other processes.

A test's figures travel with its report, as xdist sends it from the worker; this file is a plugin
of all tests, for only what the first process loads can print at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

__all__ = ["note_figures", "pytest_terminal_summary"]

_PROPERTY: Final = "seedance figures"


def note_figures(node: pytest.Item, numbers: dict[str, Any]) -> None:
    """Let a test's report bring its figures; they must be values of JSON."""
    node.user_properties.append((_PROPERTY, json.dumps(numbers)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests told."""
    lines = [*_lines(terminalreporter)]
    if lines:
        terminalreporter.section("figures of the torture")
    for line in lines:
        terminalreporter.line(line)


def _lines(reporter: pytest.TerminalReporter) -> Iterator[str]:
    reports = (report for found in reporter.stats.values() for report in found)
    for report in reports:
        if not isinstance(report, pytest.TestReport) or report.when != "call":
            continue
        for name, value in report.user_properties:
            if name == _PROPERTY:
                words = ", ".join(_words(*figure) for figure in json.loads(str(value)).items())
                yield f"{report.nodeid.rpartition('::')[2]}: {words}"


def _words(name: str, value: object) -> str:
    return f"{name.replace('_', ' ')} {'not checked' if value is None else value}"
