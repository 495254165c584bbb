"""Which results of the benchmarks become figures, and what is taken from them."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.figures import VARIANTS, Kept, Variant, dump, load, merge, reduce, unfit
from benchmarks.report import Quartiles

from .benchmark_results import CONDITIONS, cpu_report, kept


def merged(*results: Any, before: dict[str, Kept] | None = None) -> dict[str, float]:
    """The medians by variant, of what is kept and of invented results."""
    found = merge(before or {}, results, VARIANTS)
    return {name: one.figures["ratio"].median for name, one in found.items()}


def test_the_newest_result_of_each_variant_counts() -> None:
    results = (
        cpu_report(0.9, at="2026-01-03T00:00:00+00:00"),
        cpu_report(1.1, at="2026-01-02T00:00:00+00:00"),
        cpu_report(1.2, concurrency=200),
        cpu_report(0.8, loop="uvloop"),
    )
    assert merged(*results) == {
        "cpu_per_job 50": 0.9,
        "cpu_per_job 200": 1.2,
        "cpu_per_job 50 uvloop": 0.8,
    }


def test_a_quick_try_replaces_nothing() -> None:
    assert (
        merged(cpu_report(0.5, jobs=50), cpu_report(0.5, rounds=1), cpu_report(0.5, loop=None))
        == {}
    )


@pytest.mark.parametrize(
    ("variant", "options", "why"),
    [
        ("cpu_per_job 50", {}, None),
        ("cpu_per_job 200", {}, "concurrency 50, not 200"),
        ("cpu_per_job 50", {"rounds": 2}, "rounds 2, less than 3"),
        ("imports", {"rounds": 40}, "another question"),
    ],
)
def test_why_a_result_does_not_count_is_told(
    variant: str, options: dict[str, Any], why: str | None
) -> None:
    assert unfit(VARIANTS[variant], *cpu_report(0.9, **options)) == why


def test_what_was_not_measured_anew_keeps_its_figures_and_conditions() -> None:
    before = {"cpu_per_job 50": kept(1, 1, 1), "cpu_per_job 200": kept(2, 2, 2, commit="def5678")}
    newer = cpu_report(0.9, at="2026-02-01T00:00:00+00:00")
    after = merge(before, [newer], VARIANTS)
    assert after["cpu_per_job 50"].figures["ratio"].median == 0.9
    assert after["cpu_per_job 200"] == before["cpu_per_job 200"]


def test_an_older_result_does_not_replace_a_newer_figure() -> None:
    before = {"cpu_per_job 50": kept(1, 1, 1, date="2026-03-01T00:00:00+00:00")}
    assert merged(cpu_report(0.9), before=before) == {"cpu_per_job 50": 1}


def test_a_variant_that_is_no_more_is_dropped() -> None:
    assert merged(before={"of long ago": kept(1, 1, 1)}) == {}


def test_a_contender_that_was_not_there_leaves_the_others() -> None:
    """As curl, where it is not installed."""
    rate = {"mb_per_second": Quartiles(1.0, 2.0, 3.0)._asdict()}
    report = {
        "conditions": {**CONDITIONS, "at": "2026-01-02"},
        "1 Gbit/s": {"summary": {"session": rate}},
    }
    found = reduce(VARIANTS["downloads"], report)
    assert found is not None
    assert found.figures == {"1 Gbit/s, session": Quartiles(1.0, 2.0, 3.0)}


def test_a_result_that_has_none_of_the_figures_is_no_answer() -> None:
    """As a batch's row of other concurrencies."""
    report = {"conditions": {**CONDITIONS, "at": "2026-01-02"}, "concurrency": {"200": {}}}
    assert reduce(VARIANTS["batch_row 50"], report) is None


def test_of_the_ledger_the_longest_wait_of_all_rounds_counts() -> None:
    report = {
        "conditions": {**CONDITIONS, "at": "2026-01-02"},
        "summary": {"200": {"a_commit": Quartiles(50.0, 60.0, 70.0)._asdict()}},
        "rounds": [{"200": {"longest_delay": each}} for each in (1, 3, 2)],
    }
    found = reduce(VARIANTS["ledger"], report)
    assert found is not None
    assert found.figures["longest"].median == 3


def test_of_polling_each_seed_is_one_value() -> None:
    report = {
        "conditions": {**CONDITIONS, "at": "2026-01-02"},
        "compared": [{"case": "bimodal, cold", "against_fixed": [-0.4, -0.45, -0.5]}],
    }
    found = reduce(VARIANTS["polling"], report)
    assert found is not None
    assert found.figures == {"bimodal, cold": Quartiles(-0.475, -0.45, -0.425)}


def test_figures_are_kept_to_five_digits_with_the_conditions_that_the_table_shows() -> None:
    variant = Variant("any", {"ratio": lambda _: Quartiles(0.1234567, 1.0, 123456.7)})
    found = reduce(variant, {"conditions": {**CONDITIONS, "at": "2026-01-02", "load": [1, 1, 1]}})
    assert found == Kept("2026-01-02", CONDITIONS, {"ratio": Quartiles(0.12346, 1.0, 123460.0)})
    assert load(dump({"any": found})) == {"any": found}
