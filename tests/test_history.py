"""The history of durations: many writers, torn lines, full disks, and never an exception."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_async import history
from seedance_async.history import Lasted, append_history, read_history
from seedance_async.models import Shape

FOX = Shape("a/model", "480p", 5, None)

_WRITER = """
import sys
from pathlib import Path
from seedance_async.history import Lasted, append_history
from seedance_async.models import Shape
for n in range(50):
    append_history(Path(sys.argv[1]), [Lasted(Shape("m/" + sys.argv[2] * 60), float(n))] * 3)
"""


@given(
    st.lists(
        st.tuples(
            st.builds(
                Shape, st.text(), st.none() | st.text(), st.none() | st.integers(), st.booleans()
            ),
            st.floats(0, 1e6),
        )
    )
)
def test_what_is_appended_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[Shape, float]]
) -> None:
    """In order, to a hundredth of a second."""
    path = tmp_path_factory.mktemp("history") / "new" / "durations.jsonl"
    append_history(path, [Lasted(*each) for each in told[:3]])
    append_history(path, [Lasted(*each) for each in told[3:]])
    read = read_history(path)
    assert [lasted.shape for lasted in read] == [shape for shape, _ in told]
    assert [lasted.seconds for lasted in read] == pytest.approx([s for _, s in told], abs=0.006)


def test_what_cannot_be_read_is_passed_over_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Torn lines, other people's lines, and numbers that are none."""
    path = tmp_path / "durations.jsonl"
    append_history(path, [Lasted(FOX, 30.0)])
    sound = path.read_bytes()
    strange = [{**json.loads(sound), "seconds": value} for value in (-1, "NaN", None, "1e999")]
    strange += [{**json.loads(sound), "model": 5}, {}]
    lines = [json.dumps(each).encode() for each in strange] + [b"[1]", b"\xff\xfe", sound[:20]]
    path.write_bytes(b"\n".join(lines) + b"\n" + sound)
    assert read_history(path) == [(FOX, 30.0)]
    assert [record.message for record in caplog.records] == [
        f"9 lines of {path} are no durations and are passed over"
    ]


def test_a_file_that_cannot_be_used_costs_a_warning_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder in its place: neither reading nor writing raises."""
    with caplog.at_level(logging.WARNING):
        assert read_history(tmp_path) == []
        append_history(tmp_path, [Lasted(FOX, 30.0)])
    assert len(caplog.records) == 2
    assert read_history(tmp_path / "none.jsonl") == []
    assert len(caplog.records) == 2


def test_processes_that_append_at_once_tear_no_line(tmp_path: Path) -> None:
    """Each write goes to the end as a whole. Real processes, hence real time."""
    path = tmp_path / "durations.jsonl"
    command = [sys.executable, "-c", _WRITER, str(path)]
    writers = [subprocess.Popen([*command, name]) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    read = read_history(path)
    assert len(read) == 300
    for name in "ab":
        told = [each.seconds for each in read if each.shape.model_id == "m/" + name * 60]
        assert told == sorted(told)


def test_a_long_file_is_cut_to_what_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last thousand are kept; a file of somebody else's size is not read as a whole."""
    path = tmp_path / "durations.jsonl"
    for hundred in range(15):
        append_history(path, [Lasted(FOX, hundred * 100.0 + n) for n in range(100)])
    assert [each.seconds for each in read_history(path)] == [float(n) for n in range(500, 1500)]
    before = path.stat().st_size
    monkeypatch.setattr(history, "_LONG", 1000)
    assert len(read_history(path)) == 10  # from a file that grew far beyond the bound
    assert path.stat().st_size < before / 10
    assert [each.name for each in tmp_path.iterdir()] == ["durations.jsonl"]
