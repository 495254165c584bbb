"""What broke is told, also where pytest or Python would break off instead."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = """
import pytest

pytest_plugins = ["tests.reporting"]

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item, call):
    if item.name == "test_that_breaks_the_run" and call.when == "call":
        raise MemoryError("no report of this one")
"""
GARBAGE = """
import gc

class Garbage:
    def __init__(self):
        self.me = self

    def __del__(self):
        Garbage()  # the next collection meets one too
        numbers = (1, 2)
        return numbers[0] + numbers["one"] * 3

def test_that_fails_among_failing_finalizers():
    Garbage()
    gc.set_threshold(50, 1, 1)
    assert not "the failure that matters"

""" + "\n".join(f"def more_{n}(a, b): return a[b] + b[a] * {n}" for n in range(500))
BROKEN = """
def test_that_fails():
    assert not "the failure that matters"

def test_that_breaks_the_run():
    pass
"""


@pytest.fixture
def others(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a project whose tests use our plugin."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    pytester.makeconftest(CONFTEST)
    return pytester


def test_a_failure_is_told_among_finalizers_that_fail(others: pytest.Pytester) -> None:
    others.makepyfile(GARBAGE)
    ended = others.runpytest_subprocess("-p", "no:cacheprovider")
    assert "the failure that matters" in ended.stdout.str()
    assert "INTERNALERROR" not in ended.stdout.str()
    assert ended.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_failure_before_an_internal_error_is_told(
    others: pytest.Pytester, processes: str
) -> None:
    others.makepyfile(BROKEN)
    ended = others.runpytest_subprocess("-n", processes, "--dist", "loadfile")
    assert ended.ret in {pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.TESTS_FAILED}
    told = ended.stdout.str()
    assert "INTERNALERROR" in told
    assert told.count("= FAILURES =") == 1
    assert "the failure that matters" in told
