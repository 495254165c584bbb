"""The benchmark as one HTML page that needs nothing else: no script, no font, no network. Pure.

It is well-formed XML too, so that a test can read it. What strangers wrote is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from seedance_async.batch.edges import RowState
from seedance_async.bench.cells import cells
from seedance_async.bench.figures import LevelFigures, Quantiles, RoundFigures
from seedance_async.bench.plots import Line, Span, line_plot, span_plot, text
from seedance_async.bench.report import BenchmarkReport
from seedance_async.bench.samples import Sample
from seedance_async.budget import known_sum, shown
from seedance_async.counting import counted

__all__ = ["page"]

_MOST_JOBS: Final = 200
"""Jobs of a round that are drawn; the figures are of all."""

_STYLE: Final = """
:root { color-scheme: light dark; --back: #fff; --ink: #1c2430; --soft: #667085; --grid: #e4e7ec;
  --card: #f8fafc; --one: #2563eb; --two: #d97706; --three: #0d9488; --bad: #dc2626; }
@media (prefers-color-scheme: dark) { :root { --back: #11151c; --ink: #e6e9ef; --soft: #98a2b3;
  --grid: #2a3140; --card: #181e28; --one: #6ea8ff; --two: #f5b04c; --three: #4fd1c5;
  --bad: #f87171; } }
body { margin: 0 auto; max-width: 1120px; padding: 1.5rem; background: var(--back);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 { font-size: .95rem; margin: 1rem 0 .25rem; } p { margin: .25rem 0; }
.soft { color: var(--soft); }
.verdict { background: var(--card); border-left: 4px solid var(--one); margin: 1rem 0;
  padding: .75rem 1rem; }
.verdict strong { font-size: 1.25rem; }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); }
.plots > div, .wide { background: var(--card); border-radius: 6px; padding: .75rem;
  overflow-x: auto; }
svg { display: block; width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--grid); padding: .3rem .6rem; text-align: right; }
td { white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } tr.best { background: var(--card); font-weight: 600; }
ul { margin: .25rem 0; padding-left: 1.25rem; overflow-wrap: anywhere; }
.legend { font-size: 13px; } .key { display: inline-block; margin-left: .9rem; }
.key i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
i.one, i.run { background: var(--one); } i.two, i.queue { background: var(--two); }
i.three, i.late { background: var(--three); } i.ideal, i.unseen { background: var(--soft); }
i.bad { background: var(--bad); }
.grid { stroke: var(--grid); } .tick { fill: var(--soft); font-size: 12px; }
.mark { stroke: var(--bad); stroke-dasharray: 4 3; } .marked { fill: var(--bad); font-size: 12px; }
polyline { fill: none; stroke-width: 2; }
polyline.one, line.one { stroke: var(--one); } polyline.two, line.two { stroke: var(--two); }
polyline.three, line.three { stroke: var(--three); }
polyline.bad, line.bad { stroke: var(--bad); }
polyline.ideal { stroke: var(--soft); stroke-dasharray: 2 4; }
circle.one { fill: var(--one); } circle.two { fill: var(--two); }
circle.three { fill: var(--three); } circle.bad { fill: var(--bad); }
circle.ideal { fill: none; }
rect.run { fill: var(--one); } rect.queue { fill: var(--two); } rect.late { fill: var(--three); }
rect.bad { fill: var(--bad); } rect.unseen { fill: var(--soft); }
"""


def page(report: BenchmarkReport) -> str:
    """Return the page."""
    title = f"Concurrency benchmark of {report.model_id}"
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>{text(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{text(title)}</h1>",
            f'<p class="soft">{text(_subtitle(report))}</p>',
            f'<p class="soft">{text(_conditions(report))}</p>',
            *_verdict(report),
            *_plots(report),
            "<h2>Figures</h2>",
            *_table(report),
            *_notes(report),
            *_timelines(report),
            "</body></html>\n",
        ]
    )


def _sum(micro: int, unknown: int) -> str:
    if known_sum(micro, unknown) is None:
        return "an unknown sum"
    return shown(micro) + (f" ({unknown:,} of unknown cost)" if unknown else "")


def _subtitle(report: BenchmarkReport) -> str:
    levels = ", ".join(str(level.level) for level in report.levels)
    money = (
        f"{_sum(report.money.settled, report.money.unpriced)} settled, "
        f"{_sum(report.money.reserved, report.money.unestimated)} reserved"
    )
    rounds = f"{counted(report.repeats, 'round')} of {counted(report.jobs, 'job')} each"
    return f"on {report.service}: levels {levels}, {rounds}; {money} by all runs"


def _conditions(report: BenchmarkReport) -> str:
    return ", ".join(f"{name}: {value}" for name, value in report.conditions.items())


def _verdict(report: BenchmarkReport) -> Iterator[str]:
    found = report.recommendation
    says = "no recommendation" if found.max_in_flight is None else f"{found.max_in_flight}"
    yield (
        f'<div class="verdict"><strong>max_in_flight: {text(says)}</strong>'
        f"<p>{text(found.why)}</p></div>"
    )
    if report.stop is not None:
        yield f'<p class="verdict">Not finished: {text(report.stop.message)}</p>'


# --- plots over the levels -----------------------------------------------------------------


def _plots(report: BenchmarkReport) -> Iterator[str]:
    levels = report.levels
    labels = [str(level.level) for level in levels]
    knee = report.recommendation.max_in_flight
    mark = labels.index(str(knee)) if knee is not None else None
    throughput = [
        Line(
            "measured",
            "one",
            [level.throughput for level in levels],
            [level.low for level in levels],
            [level.high for level in levels],
        ),
        Line("as the lowest level promises", "ideal", _ideal(levels)),
    ]
    waiting = [
        Line("p50", "one", _quantile(level.latency for level in levels)),
        Line("p95", "two", _quantile((level.latency for level in levels), late=True)),
        Line("queue wait p50", "three", _quantile(level.wait for level in levels)),
    ]
    asked = [
        Line("requests a job", "one", [level.requests_per_job for level in levels]),
        Line(
            "429s a job",
            "bad",
            [level.limited / (report.jobs * report.repeats) for level in levels],
        ),
    ]
    plots = [
        ("Throughput, videos a minute", throughput),
        ("Latency, seconds", waiting),
        ("Requests", asked),
    ]
    yield '<h2>Over the levels</h2><div class="plots">'
    for name, lines in plots:
        drawn = line_plot(
            labels,
            lines,
            x_name="generations in flight",
            y_name=name,
            title=f"{name} against generations in flight",
            mark=mark,
            mark_name=f"recommended: {knee}",
        )
        yield f"<div>{drawn}</div>"
    yield "</div>"


def _ideal(levels: Sequence[LevelFigures]) -> list[float | None]:
    """Return the lowest level's throughput grown with the level, as far as it fits the plot."""
    first = next((level for level in levels if level.throughput), None)
    rates = [level.throughput for level in levels if level.throughput is not None]
    if first is None or first.throughput is None:
        return [None] * len(levels)
    most = 1.3 * max(rates)
    grown = (first.throughput * level.level / first.level for level in levels)
    return [value if value <= most else None for value in grown]


def _quantile(found: Iterable[Quantiles | None], *, late: bool = False) -> list[float | None]:
    return [None if one is None else one.p95 if late else one.p50 for one in found]


# --- the table -----------------------------------------------------------------------------

_HEAD: Final = (
    "in flight",
    "videos a minute",
    "latency, s",
    "queue wait, s",
    "run time, s",
    "lateness, s",
    "requests a job",
    "429s",
    "cost",
    "jobs",
)


def _table(report: BenchmarkReport) -> Iterator[str]:
    head = "".join(f"<th>{text(name)}</th>" for name in _HEAD)
    yield f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>'
    for level in report.levels:
        best = level.level == report.recommendation.max_in_flight
        row = ' class="best"' if best else ""
        row_cells = "".join(f"<td>{text(cell)}</td>" for cell in cells(level))
        yield f"<tr{row}>{row_cells}</tr>"
    yield "</tbody></table></div>"


def _notes(report: BenchmarkReport) -> Iterator[str]:
    yield (
        '<p class="soft">Times are p50 / p95; spreads are the least and the most of the repeats. '
        "Throughput is measured while the pool is full, by Little's law: jobs in "
        "flight over the seconds that each held its slot. The first jobs of a round only fill the "
        "pool: they are drawn below, but count in no figure. Queue wait ends when a poll first "
        "saw the job in progress, so it is up to a poll too long, and run time as much too short. "
        "Lateness holds as far as the service's clock and this machine's agree.</p>"
    )
    if any(level.partial for level in report.levels):
        yield (
            '<p class="soft">A round that an earlier run had begun, or that is not over, has no '
            "throughput.</p>"
        )
    if late := report.counts[RowState.TIMED_OUT]:
        were = counted(late, "job was", "jobs were")
        yield (
            f'<p class="soft">{were} not over in time, and may have taken the service\'s room in '
            f"later rounds.</p>"
        )
    if report.troubles:
        told = "".join(
            f"<li>{number} x {text(message)}</li>" for message, number in report.troubles.items()
        )
        yield f"<h2>What went wrong</h2><ul>{told}</ul>"


# --- jobs over time ------------------------------------------------------------------------


def _timelines(report: BenchmarkReport) -> Iterator[str]:
    yield (
        "<h2>Jobs over time</h2>"
        '<p class="legend"><span class="key"><i class="queue"></i>queued</span> '
        '<span class="key"><i class="run"></i>running</span> '
        '<span class="key"><i class="unseen"></i>either of them</span> '
        '<span class="key"><i class="late"></i>over, not yet known</span> '
        '<span class="key"><i class="bad"></i>without a video</span></p>'
    )
    for this in report.rounds:
        spans = _spans(this)
        if not spans:
            continue
        again = f", round {this.round.repeat}" if report.repeats > 1 else ""
        name = f"{this.round.level} in flight{again}"
        more = f" (the first {_MOST_JOBS} jobs)" if len(this.samples) > _MOST_JOBS else ""
        drawn = span_plot(spans, seconds=max(span.end for span in spans), title=name)
        yield f'<h3>{text(name + more)}</h3><div class="wide">{drawn}</div>'


def _spans(this: RoundFigures) -> list[Span]:
    timed = [
        (sample.submitted_at, sample)
        for sample in this.samples
        if sample.submitted_at is not None and sample.known_at is not None
    ]
    timed.sort(key=lambda pair: pair[0])
    begin = timed[0][0] if timed else 0.0
    return [
        span
        for row, (_, sample) in enumerate(timed[:_MOST_JOBS])
        for span in _spans_of(sample, row, begin)
    ]


def _spans_of(sample: Sample, row: int, begin: float) -> Iterator[Span]:
    """Yield the parts of a job's time."""
    since, known = sample.submitted_at, sample.known_at
    if since is None or known is None:
        return
    title = f"{sample.key}: {known - since:.1f} s"
    if not sample.succeeded:
        yield Span(row, "bad", since - begin, known - begin, f"{title}, no video")
        return
    finished = min(max(sample.finished_at or known, since), known)
    parts = [("unseen", since, finished), ("late", finished, known)]
    if sample.in_progress_at is not None:
        started = min(max(sample.in_progress_at, since), finished)
        parts[:1] = [("queue", since, started), ("run", started, finished)]
    for kind, first, last in parts:
        if last > first:
            yield Span(row, kind, first - begin, last - begin, f"{title}, {_PARTS[kind]}")


_PARTS: Final = {
    "queue": "queued",
    "run": "running",
    "unseen": "queued or running: no poll saw it in progress",
    "late": "over, not yet known",
}
