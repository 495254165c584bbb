"""The page: well-formed, whole in itself, and safe with strangers' words."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import attrs
import pytest

from seedance_async import BenchmarkReport
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Money
from seedance_async.batch.stops import Stop, StopReason
from seedance_async.bench.figures import round_figures
from seedance_async.bench.knee import Recommendation, Verdict
from seedance_async.bench.page import page
from seedance_async.bench.plots import Line, line_plot, span_plot, text
from seedance_async.bench.report import report_of
from seedance_async.bench.rounds import plan_benchmark
from seedance_async.simulator.virtualtime import run

from .scene import Measured

HOSTILE = "</style><script>alert('x')</script>\x1b[2J\x00&amp;\"\ud800 onerror="


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkReport:
    """A real report with failures in it."""

    async def main() -> BenchmarkReport:
        night = Measured(tmp_path_factory.mktemp("page"), faults=["failed=0.3"])
        return await night.measure((1, 2, 4), jobs=8)

    return run(main)


def parsed(report: BenchmarkReport) -> ElementTree.Element:
    return ElementTree.fromstring(page(report).removeprefix("<!DOCTYPE html>\n"))


def test_it_is_well_formed_and_needs_nothing_from_elsewhere(report: BenchmarkReport) -> None:
    root = parsed(report)
    assert not [node for node in root.iter() if node.tag in {"script", "link", "img", "iframe"}]
    names = {name for node in root.iter() for name in node.attrib}
    assert not {name for name in names if name.startswith("on") or name in {"src", "href"}}
    assert "url(" not in page(report)
    assert "@import" not in page(report)


def test_it_has_a_plot_of_each_kind_and_a_span_of_each_job(report: BenchmarkReport) -> None:
    root = parsed(report)
    plots = [node.get("aria-label") for node in root.iter("svg")]
    assert plots == [
        "Throughput, videos a minute against generations in flight",
        "Latency, seconds against generations in flight",
        "Requests against generations in flight",
        "1 in flight",
        "2 in flight",
        "4 in flight",
    ]
    titles = [node.text or "" for node in root.iter("title")]
    jobs = {found[0] for title in titles if (found := re.match(r"level-\d+-1-\d+", title))}
    assert len(jobs) == 24
    assert sum("no video" in title for title in titles) == report.counts[RowState.FAILED]


def test_it_knows_light_and_dark(report: BenchmarkReport) -> None:
    told = page(report)
    assert "prefers-color-scheme: dark" in told
    assert "color-scheme: light dark" in told


def test_what_strangers_wrote_is_text_and_nothing_else(report: BenchmarkReport) -> None:
    hostile = attrs.evolve(
        report,
        model_id=HOSTILE,
        service=HOSTILE,
        conditions={HOSTILE: HOSTILE},
        troubles={HOSTILE: 3},
        stop=Stop(StopReason.BRAKE, HOSTILE),
        recommendation=Recommendation(Verdict.UNKNOWN, None, HOSTILE),
        rounds=tuple(
            attrs.evolve(
                this, samples=tuple(attrs.evolve(sample, key=HOSTILE) for sample in this.samples)
            )
            for this in report.rounds
        ),
    )
    told = page(hostile)
    assert "<script" not in told
    root = parsed(hostile)
    assert not list(root.iter("script"))
    assert any("<script>alert('x')</script>" in (node.text or "") for node in root.iter("li"))


def test_a_report_without_any_figure_still_makes_a_page(report: BenchmarkReport) -> None:
    plan = plan_benchmark((1, 2, 4), jobs=8)
    rounds = [round_figures(this, None, jobs=8, counts={}, cost=0) for this in plan.rounds()]
    nothing = report_of(plan, rounds, service="simulator", money=report.money)
    root = parsed(nothing)
    assert len(list(root.iter("svg"))) == 3
    assert "not measured" in "".join(root.itertext())


def test_what_is_not_known_of_the_money_is_no_amount(report: BenchmarkReport) -> None:
    told = page(attrs.evolve(report, money=Money(0, 250_000, unpriced=1, unestimated=2)))
    assert "an unknown sum settled, $0.25 (2 of unknown cost) reserved by all runs" in told


@pytest.mark.parametrize(
    ("jobs", "repeats", "words"),
    [(1, 1, "1 round of 1 job each"), (8, 3, "3 rounds of 8 jobs each")],
)
def test_its_numbers_agree_with_their_nouns(
    jobs: int, repeats: int, words: str, report: BenchmarkReport
) -> None:
    assert f", {words};" in page(attrs.evolve(report, jobs=jobs, repeats=repeats))


def test_a_gap_is_left_where_nothing_was_measured() -> None:
    drawn = line_plot(
        ["1", "2", "4"],
        [Line("measured", "one", [1.0, None, 3.0])],
        x_name="x",
        y_name="y",
        title="t",
    )
    assert drawn.count("<circle") == 2


def test_an_empty_span_plot_is_no_error() -> None:
    assert span_plot([], seconds=0.0, title="nothing").startswith("<svg")


def test_text_keeps_letters_and_drops_what_no_document_holds() -> None:
    assert text("Füchse & \x07<b>") == "Füchse &amp; \ufffd&lt;b&gt;"


def test_the_files_are_replaced_as_a_whole(report: BenchmarkReport) -> None:
    assert report.folder is not None
    written = sorted(path.name for path in Path(report.folder).iterdir())
    assert [name for name in written if name.startswith("benchmark")] == [
        "benchmark.csv",
        "benchmark.html",
        "benchmark.json",
    ]
    assert not [name for name in written if name.startswith(".")]
