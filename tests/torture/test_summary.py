"""The figures at the end of a run, in one process and in several."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = """
from tests.torture.conftest import tell
pytest_plugins = ["tests.torture.summary"]
"""
TESTS = """
from tests.torture.judge import Figures

def test_that_passes(tell):
    tell(Figures(accepted=3, needless_doubts=None), kills=2)

def test_that_fails(tell):
    tell(Figures(billed_twice=1))
    raise AssertionError

def test_that_tells_nothing():
    pass
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_never_lies_by_leaving_out_figures_of_other_processes(
    processes: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each test's figures are printed once, its failure or not; what nobody checked reads so."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.delenv("SEEDANCE_FIGURES", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    ended = pytester.runpytest_subprocess("-n", processes)
    ended.assert_outcomes(passed=2, failed=1)
    told = [line for line in ended.outlines if ": accepted " in line]
    zeros = "paid and lost 0, doubts 0, needless doubts"
    assert sorted(told) == [
        f"test_that_fails: accepted 0, billed twice 1, {zeros} 0, faults 0",
        f"test_that_passes: accepted 3, billed twice 0, {zeros} not checked, faults 0, kills 2",
    ]
