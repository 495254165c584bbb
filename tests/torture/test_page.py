"""The README's table of the torture, on invented figures, and whether the README's own is true."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from .page import BEGIN, END, main, table

README = Path(__file__).parents[2] / "README.md"


def line(test: str, **more: Any) -> str:
    about = {"date": "2026-01-02", "python": "3.11.7", "platform": "Linux", "form": "short"}
    return json.dumps({"test": test, "how": "By a | in the cell.", **about, **more})


LINES = [
    line("test_the_token_goes_nowhere_else_at_all", accepted=0, billed_twice=0, places=12),
    line("test_never_lies_if_asked", accepted=3, billed_twice=0, paid_and_lost=0, seconds=1.25),
    line("test_never_lies_if_asked", needless_doubts=None),
    line("test_never_pays_twice_if_killed[a]", accepted=1000, billed_twice=0, kills=30, most_k=3),
    line("test_never_pays_twice_if_killed[b]", accepted=234, billed_twice=0, kills=4, most_k=2),
    line("test_of_something_else", form="long", date="2026-01-09", python="3.9.1", seen=["x"]),
]
KILLED = "accepted 1,234, billed twice 0, kills 34, most k 3 |"
ASKED = (
    "accepted 3, billed twice 0, paid and lost 0, seconds 1.2, needless doubts not always checked |"
)
LOGS = "places 12 |"


def test_never_lies_about_figures_in_the_table() -> None:
    """Rows are in the order of the promises; runs are added up; zeros stay where they matter."""
    head, rule, *rows, empty, source = table(LINES).splitlines()
    assert head == "| Promise | How it was tortured | Figures |"
    assert rule == "| --- | --- | --- |"
    how = "By a \\| in the cell."
    assert [row.split(" | ") for row in rows] == [
        ["| Never pays twice", f"{how} `test_never_pays_twice_if_killed`", KILLED],
        ["| Never lies", f"{how} `test_never_lies_if_asked`", ASKED],
        [
            "| The token goes nowhere else",
            f"{how} `test_the_token_goes_nowhere_else_at_all`",
            LOGS,
        ],
        ["| ", f"{how} `test_of_something_else`", " |"],
    ]
    assert empty == ""
    assert source == (
        "Measured 2026-01-02 to 2026-01-09 on Linux, Python 3.9.1, 3.11.7, in the long and short "
        "form."
    )


def test_never_lies_about_what_stands_around_the_table(tmp_path: Path) -> None:
    """The old table goes, everything else stays; the same again changes nothing."""
    figures, readme = tmp_path / "figures.jsonl", tmp_path / "README.md"
    figures.write_text("\n\n".join([*LINES, ""]))
    readme.write_text(f"# Title\n\n{BEGIN}\nan old table\n{END}\n\nThe end, è.\n", "utf-8")
    main(figures, readme)
    first = readme.read_text("utf-8")
    assert first == f"# Title\n\n{BEGIN}\n{table(LINES)}\n{END}\n\nThe end, è.\n"
    main(figures, readme)
    assert readme.read_text("utf-8") == first


def test_never_lies_by_a_table_of_nothing() -> None:
    """No figures are no table."""
    with pytest.raises(ValueError, match="no figures"):
        table([])


def test_never_lies_in_the_readme_about_tests_that_are_not_there() -> None:
    """Each test that the README's table names is one of the torture's."""
    page = README.read_text("utf-8")
    if BEGIN not in page:
        pytest.skip("the README has no table of the torture")
    named = set(re.findall(r"`(test_\w+)`", page.partition(BEGIN)[2].partition(END)[0]))
    assert named <= _tests_of(Path(__file__).parent)


def _tests_of(folder: Path) -> set[str]:
    trees = (ast.parse(path.read_text("utf-8")) for path in folder.rglob("test_*.py"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, functions)}


def test_never_lies_in_the_readme_as_this_check_can_fail() -> None:
    """The tests that are looked up are found, and no others."""
    found = _tests_of(Path(__file__).parent)
    assert "test_never_lies_by_a_table_of_nothing" in found
    assert "test_that_nobody_wrote" not in found
