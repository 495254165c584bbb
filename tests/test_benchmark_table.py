"""The README's table of benchmarks, on invented results, and whether the README's own is true."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import benchmarks.table
from benchmarks.figures import VARIANTS, Kept, dump, load, read_results
from benchmarks.marked import replace_block
from benchmarks.report import Quartiles
from benchmarks.table import BEGIN, END, FIGURES, README, ROWS, Row, main, table

from .benchmark_results import CONDITIONS, cpu_report, kept

HEAD = ["| question | goal | measured: median [quartiles] |", "|---|---|---|"]
ROW = Row("CPU of a job", "cpu_per_job 50", "ratio", 1.0)


# --- the README ----------------------------------------------------------------------------------


def test_the_readme_holds_the_table_of_the_committed_figures() -> None:
    """Whoever changes either by hand is told to run `python -m benchmarks.table`."""
    page = README.read_text("utf-8")
    made = table(load(FIGURES.read_text("utf-8")), ROWS)
    assert replace_block(page, BEGIN, END, made) == page


def test_the_committed_figures_are_written_as_the_command_writes_them() -> None:
    text = FIGURES.read_text("utf-8")
    assert dump(load(text)) == text


def test_each_row_shows_a_figure_that_some_result_can_bring() -> None:
    for row in ROWS:
        assert row.figure in VARIANTS[row.variant].figures, row.question


def test_each_question_is_a_script() -> None:
    for variant in VARIANTS.values():
        assert (FIGURES.parent / f"{variant.question}.py").exists()


# --- rendering -----------------------------------------------------------------------------------


def test_a_figure_stands_beside_its_goal_and_its_source_below() -> None:
    made = table({"cpu_per_job 50": kept(0.931, 0.9434, 0.958)}, (ROW,))
    assert made.splitlines() == [
        *HEAD,
        "| CPU of a job | ≤ 1.00 | 0.943 [0.931..0.958] |",
        "",
        "Of 1 goals 1 are met, 0 missed, 0 not measured.",
        "",
        (
            "- cpu_per_job 50: 2026-01-02, commit abc1234, A processor, 2 cores, "
            "CPython 3.11.7, aiohttp 3.13.2, uvloop 0.22.1."
        ),
    ]


def test_a_figure_beyond_its_goal_is_marked_as_missed_and_counted() -> None:
    made = table({"cpu_per_job 50": kept(0.9, 1.0004, 1.2)}, (ROW,))
    assert "| ≤ 1.00 | 1.000 [0.900..1.200], **missed** |" in made
    assert "Of 1 goals 0 are met, 1 missed, 0 not measured." in made


def test_a_figure_at_its_goal_is_met() -> None:
    assert "missed**" not in table({"cpu_per_job 50": kept(1.0, 1.0, 1.0)}, (ROW,))


def test_where_more_is_better_too_little_is_missed() -> None:
    row = Row("Ledger", "ledger", "ratio", at_least=50)
    assert row.misses(Quartiles(40, 49.9, 60))
    assert not row.misses(Quartiles(40, 50, 60))
    assert "| Ledger | ≥ 50.00 |" in table({}, (row,))


def test_a_row_without_a_goal_is_neither_met_nor_missed() -> None:
    row = Row("curl", "cpu_per_job 50", "ratio")
    made = table({"cpu_per_job 50": kept(1.0, 2.0, 3.0)}, (row,))
    assert "| curl |  | 2.000 [1.000..3.000] |" in made
    assert "Of 0 goals" in made


def test_what_was_not_measured_says_so() -> None:
    """Without any source below the table."""
    assert table({}, (ROW,)).splitlines() == [
        *HEAD,
        "| CPU of a job | ≤ 1.00 | not measured |",
        "",
        "Of 1 goals 0 are met, 0 missed, 1 not measured.",
    ]


def test_a_change_is_shown_in_percent_with_its_sign() -> None:
    rows = tuple(row for row in ROWS if row.figure == "lognormal 0.3, warm")
    found = Kept("2026-01-02", CONDITIONS, {rows[0].figure: Quartiles(-0.49, -0.482, -0.47)})
    assert "| ≤ -50% | -48.2% [-49.0%..-47.0%], **missed** |" in table({"polling": found}, rows)


def test_figures_of_equal_conditions_share_a_line_and_others_have_their_own() -> None:
    found = {
        "cpu_per_job 50": kept(1, 1, 1),
        "burst": kept(1, 1, 1, commit="def5678"),
        "cpu_per_job 200": kept(1, 1, 1, date="2026-01-02T09:00:00+00:00"),
    }
    sources = [line for line in table(found, ()).splitlines() if line.startswith("- ")]
    assert [line.partition(":")[0] for line in sources] == [
        "- cpu_per_job 50, cpu_per_job 200",
        "- burst",
    ]


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of a checkout with one result and an empty table."""
    (tmp_path / "results").mkdir()
    question, report = cpu_report(0.9)
    (tmp_path / "results" / f"{question}-20260102T030405.json").write_text(json.dumps(report))
    question, report = cpu_report(0.1, jobs=50)
    (tmp_path / "results" / f"{question}-20260102T030406.json").write_text(json.dumps(report))
    (tmp_path / "figures.json").write_text("{}\n")
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.setattr(benchmarks.table, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(benchmarks.table, "FIGURES", tmp_path / "figures.json")
    monkeypatch.setattr(benchmarks.table, "README", tmp_path / "README.md")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["table.py", *arguments])
    main()


def test_results_become_figures_and_figures_a_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice the same, also where the results are gone; what is left out is told."""
    run(monkeypatch)
    told = capsys.readouterr().out
    assert told.count("left out: ") == 1
    assert "jobs 50, less than 2000" in told
    figures, page = ((folder / name).read_text() for name in ("figures.json", "README.md"))
    assert list(load(figures)) == ["cpu_per_job 50"]
    assert "0.900 [0.800..1.000] |" in page
    for path in (folder / "results").iterdir():
        path.unlink()
    run(monkeypatch)
    run(monkeypatch, "--check")
    assert (folder / "figures.json").read_text() == figures
    assert (folder / "README.md").read_text() == page


def test_the_check_fails_on_another_table_and_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=r"README\.md is not what figures\.json makes"):
        run(monkeypatch, "--check")
    assert (folder / "README.md").read_text() == f"{BEGIN}\n{END}\n"
    assert (folder / "figures.json").read_text() == "{}\n"


def test_the_question_of_a_result_is_in_its_file_name(folder: Path) -> None:
    assert [question for question, _ in read_results(folder / "results")] == ["cpu_per_job"] * 2
