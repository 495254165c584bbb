"""What benchmarks share."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import benchmarks.report
from benchmarks.report import alternating, keep, quartiles


def test_contenders_take_turns_in_going_first() -> None:
    assert list(alternating(["a", "b"], 3)) == [("a", "b"), ("b", "a"), ("a", "b")]


def test_what_is_kept_can_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the command, the options, the conditions and all that was measured."""
    monkeypatch.setattr(benchmarks.report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sys, "argv", ["a.py", "--b"])
    keep("speed", {"jobs": 3}, {"ours": {"ms": quartiles([1.0])}}, [{"ours": 1.0}], core=None)
    (path,) = (tmp_path / "results").iterdir()
    assert capsys.readouterr().out == f"All numbers: {path}\n"
    told = json.loads(path.read_text())
    assert "python" in told.pop("conditions")
    assert told == {
        "command": ["a.py", "--b"],
        "options": {"jobs": 3},
        "core": None,
        "summary": {"ours": {"ms": {"low": 1.0, "median": 1.0, "high": 1.0}}},
        "rounds": [{"ours": 1.0}],
    }
