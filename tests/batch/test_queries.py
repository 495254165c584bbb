"""Named SQL: loaded once, complete, and valid against the tables."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

import seedance_async.batch as batch
from seedance_async.batch.queries import SQL, key_array, load, statements
from seedance_async.batch.schema import migrate
from seedance_async.batch.staging import _STAGING

FOLDER = Path(batch.__file__).parent


def test_each_statement_is_used_and_each_used_one_is_there() -> None:
    """The files and the code name the same statements."""
    code = "".join(path.read_text("utf-8") for path in FOLDER.glob("*.py"))
    assert set(re.findall(r'\bSQL\["(\w+)"\]', code)) == set(SQL)
    assert set(re.findall(r'\b_STAGING\["(\w+)"\]', code)) == set(_STAGING)


def test_each_statement_fits_the_tables() -> None:
    """SQLite compiles all of them, those of the plan with a staging file attached."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db)
    db.execute("ATTACH ':memory:' AS staging")
    for table in statements(_STAGING["tables"]):
        db.execute(table.replace("CREATE TABLE ", "CREATE TABLE staging."))
    for name, sql in SQL.items():
        db.execute(f"EXPLAIN {sql}", [None] * sql.count("?")).fetchall()
        assert not sql.endswith(";"), name
    db.close()


@pytest.mark.parametrize(
    ("text", "error"),
    [("SELECT 1", "before the first name"), ("-- name: a\n-- name: a", "a stands twice")],
)
def test_a_file_that_is_wrong_is_told(text: str, error: str, tmp_path: Path) -> None:
    """While loading, thus in every test."""
    path = tmp_path / "queries.sql"
    path.write_text(text)
    with pytest.raises(ValueError, match=error):
        load(path)


def test_scripts_are_split_at_the_ends_of_lines() -> None:
    """A semicolon inside a line splits nothing."""
    assert statements("A ';' B;\nC\nD;\n\n") == ["A ';' B", "C\nD"]


def test_keys_that_no_row_can_have_are_not_asked_for() -> None:
    """SQLite's JSON would end `a\\0b` at the zero and find `a`."""
    assert key_array(["a\0b", "\ud800", "a", "é狐"]) == '["a", "\\u00e9\\u72d0"]'


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("name_is_taken", ["row_key", "row_key", "row_fold"]),
        ("next_planned", ["row_state"]),
        ("shapes", ["row_state"]),
        ("shapes_keys", ["row_key"]),
        ("planned_keys", ["row_key"]),
        ("counts_keys", ["row_key"]),
        ("counts_through", ["row_state"]),
        ("retry_keys", ["row_key"]),
        ("ready_listed", ["row_state"]),
        ("ready_gone", ["row_state"]),
        ("line_of", ["row_line"]),
    ],
)
def test_large_ledgers_are_searched_by_their_indexes(name: str, plan: list[str]) -> None:
    """No question that a run asks reads through all rows."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db)
    sql = f"EXPLAIN QUERY PLAN {SQL[name]}"
    steps = [step[3] for step in db.execute(sql, [None] * sql.count("?"))]
    db.close()
    used = [found[1] for step in steps if (found := re.search(r"INDEX (row_\w+)", step))]
    assert used == plan, steps
    assert not any(re.match(r"SCAN (row|own|other|r|a)\b", step) for step in steps), steps
