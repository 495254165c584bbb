"""The page as a file: what is in it, what it leaves out, and how it comes to its place."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedance_async.errors import LedgerError
from seedance_async.report import page as module
from seedance_async.report.facts import LONGEST_TEXT, href
from seedance_async.report.page import embedded
from seedance_async.report.tally import MOST_BARS
from tests.batch.ledgers import opened, plan, submit, succeeded

from .scenes import HOSTILE, NOON, again, make, page_of, troubled_night


class _Reader(HTMLParser):
    """Keeps what an HTML parser takes for scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self._within = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in {"script", "style"}:
            self.inside.append("")

        self._within = tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self._within = False

    def handle_data(self, data: str) -> None:
        if self._within:
            self.inside[-1] += data


def read(path: Path) -> _Reader:
    found = _Reader()
    found.feed(path.read_text("utf-8"))
    return found


def data(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows and the facts of a page."""
    _, rows, facts, _ = read(path).inside
    return json.loads(rows)[1:], json.loads(facts)


@settings(deadline=None)
@given(
    st.recursive(
        st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_embedded_data_holds_no_sign_of_markup(value: object) -> None:
    """Whatever it is, it comes back as it was."""
    text = embedded(value)
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == value


def test_hostile_rows_are_data_and_nothing_else(tmp_path: Path) -> None:
    """A parser sees the frame's elements alone; each prompt comes back whole."""
    page = troubled_night(tmp_path / "night")
    assert [tag for tag, _ in read(page).elements].count("script") == 3
    assert "img" not in {tag for tag, _ in read(page).elements}
    rows, facts = data(page)
    prompts = {row["key"]: row["prompt"] for row in rows}
    assert all(prompts[key] == prompt for key, prompt in HOSTILE.items())
    assert facts["summary"]["rows"] == 61


def test_the_policy_names_the_script_and_the_style_that_are_there(tmp_path: Path) -> None:
    """By their hashes; nothing else may run, and nothing may be asked of anybody."""
    page = troubled_night(tmp_path / "night", 20)
    found = read(page)
    policy = next(
        given["content"] for tag, given in found.elements if given.get("http-equiv") is not None
    )
    assert policy is not None
    style, _, _, script = found.inside
    for text in (style, script):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", style + script)


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    """A planned row has no times and no money; a failed one no cost, its error and its command."""
    rows, _ = data(troubled_night(tmp_path / "night"))
    by_key = {row["key"]: row for row in rows}
    assert by_key["fox-19"].keys() == {
        "key", "line", "state", "model", "prompt", "settings", "attempts"
    }  # fmt: skip
    failed = by_key["fox-9"]
    assert failed["error"]["message"] == "<b>the prompt</b> was refused by the filter"
    assert failed["remedies"][0][1].endswith("--retry failed --only fox-9")
    assert "cost" not in failed
    good = by_key["markup"]
    assert (good["cost"], good["estimate"]) == (0.25, 0.3)
    assert good["file"] == "videos/markup%20%231.mp4"
    assert by_key["fox-18"]["gone"] is True
    assert by_key["too-long"]["error"]["message"] == "duration must be <i>2</i> to 12 (given: 99)"


def test_the_sums_are_those_of_the_ledger(tmp_path: Path) -> None:
    """Row n leaves 7 n seconds after noon, is accepted 1.5 s later, and ends after 30 to 90 s."""
    _, facts = data(troubled_night(tmp_path / "night", 60))
    sums = facts["summary"]
    assert sums["states"]["downloaded"] == 36
    assert (sums["videos"], sums["attempts"], sums["tried"]) == (39, 57, 57)
    assert (sums["compared"], sums["compared_estimated"]) == (39, 11.7)
    assert sums["settled"] == sums["compared_settled"] == pytest.approx(11.19)
    assert sums["last"] - sums["first"] == pytest.approx(503.0)
    assert sums["answer"]["p50"] == pytest.approx(1.5)
    assert sums["whole"]["least"] == pytest.approx(29.5)
    assert sum(group["spread"]["count"] for group in facts["runs"]["groups"]) == 39
    bars = facts["timeline"]["bars"]
    assert len(bars) == facts["timeline"]["jobs"] == 54
    ends = {
        state: {end - start for _, s, _, start, _, _, end, *_ in bars if s == state}
        for _, state, *_ in bars
    }
    assert ends["timed_out"] == {1.5}
    assert max(ends["succeeded"]) <= 90.0
    assert all(
        start <= accepted <= (began or accepted) <= end <= (asked or end) <= (there or end)
        for _, _, _, start, accepted, began, end, asked, there in bars
    )


def test_the_parts_of_the_jobs_are_told_with_how_many_know_them(tmp_path: Path) -> None:
    """Of each sixth job one run did not see all; of each tenth the service's clock is wrong."""
    rows, facts = data(troubled_night(tmp_path / "night", 60))
    sums = facts["summary"]
    ended = [n for n in range(1, 61) if n % 20 not in {14, 15, 16, 19}]
    videos = [n for n in ended if n % 20 not in {9, 11, 13}]
    followed = [n for n in ended if n % 6 != 5]
    assert (sums["over"], sums["ran"]) == (len(ended), len(videos)) == (48, 39)
    assert sums["queue"]["count"] == len(followed)
    assert (sums["queue"]["least"], sums["queue"]["most"]) == pytest.approx((4.0, 8.0))
    agreed = [n for n in ended if n % 10 != 3]
    assert sums["late"]["count"] == len(agreed)
    assert (sums["late"]["least"], sums["late"]["most"]) == pytest.approx((0.5, 2.5))
    assert sums["late"]["p95"] == pytest.approx(2.5)
    runs = [n for n in videos if n in followed and n in agreed]
    assert sums["run"]["count"] == len(runs)
    assert (sums["polls"], sums["polled"]) == (sum(3 + n % 5 for n in followed), len(followed))
    known = {row["key"]: row for row in rows}
    told = {name: known["fox-12"].get(name) for name in ("queue", "run", "late", "download")}
    assert told == pytest.approx({"queue": 4.0, "run": 35.0, "late": 1.5, "download": 3.0})
    assert known["fox-12"]["polls"] == 5
    assert not {"queue", "run", "polls"} & known["fox-17"].keys()


def test_run_times_do_not_mix_with_those_that_hold_the_queue(tmp_path: Path) -> None:
    """Jobs whose queue and run cannot be told apart are groups of their own, and say so."""
    _, facts = data(troubled_night(tmp_path / "night", 60))
    groups = facts["runs"]["groups"]
    counts = {
        whole: sum(group["spread"]["count"] for group in groups if group["whole"] is whole)
        for whole in (False, True)
    }
    assert counts == {False: facts["summary"]["run"]["count"], True: 39 - counts[False]}
    assert counts[True] > 0


def test_a_bar_has_the_queue_the_run_and_the_download(tmp_path: Path) -> None:
    """Where they are known; a bar's lane is free again once its download is over."""
    rows, facts = data(troubled_night(tmp_path / "night", 60))
    bars = {rows[bar[0]]["key"]: bar for bar in facts["timeline"]["bars"]}
    start, accepted, began, end, asked, there = bars["fox-12"][3:]
    parts = (accepted - start, began - accepted, end - began, asked - end, there - asked)
    assert parts == pytest.approx((1.5, 4.0, 36.5, 1.0, 3.0))
    assert bars["fox-17"][5] is None
    assert bars["fox-9"][7:] == [None, None]
    lanes: dict[int, list[tuple[float, float]]] = {}
    for _, _, lane, start, *rest in bars.values():
        lanes.setdefault(lane, []).append((start, max(at for at in rest if at is not None)))
    for spans in lanes.values():
        assert all(a[1] <= b[0] for a, b in pairwise(sorted(spans)))


def test_a_download_of_a_later_run_holds_no_lane(tmp_path: Path) -> None:
    """A file that came the day after makes no bar of a day; its row tells how long it took."""

    async def main() -> Path:
        clock = [NOON]
        async with await opened(tmp_path, clock=lambda: clock[0]) as ledger:
            await plan(ledger, "a")
            await submit(ledger, "a")
            await ledger.finished("a", succeeded("id-a"))
            clock[0] += 86_402
            await ledger.downloaded("a", "videos/a.mp4", 1, "0" * 64, began=clock[0] - 2)
            return await page_of(tmp_path)

    (row,), facts = data(asyncio.run(main()))
    (bar,) = facts["timeline"]["bars"]
    assert bar[7:] == [None, None]
    assert facts["timeline"]["spells"] == [[0.0, 0.0]]
    assert row["download"] == 2.0


def test_many_rows_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the first come only those that a person must look at; the sums count all."""
    monkeypatch.setattr(module, "MOST_ROWS", 30)
    monkeypatch.setattr(module, "MOST_TROUBLES", 7)
    rows, facts = data(troubled_night(tmp_path / "night", 60))
    assert len(rows) == 37
    assert [row["line"] for row in rows[30:]] == [31, 33, 34, 35, 37, 49, 51]
    assert facts["left_out"] == 24
    assert facts["summary"]["rows"] == 61


def test_long_prompts_fill_the_page_before_its_rows_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is one of memory, for the writer and for the browser."""
    monkeypatch.setattr(module, "_MOST_TEXT", 9_000)
    page = troubled_night(tmp_path / "night", 60)
    rows, facts = data(page)
    assert facts["left_out"] + len(rows) == 61
    assert len(rows) < 50
    assert page.stat().st_size < 110_000


def test_a_timeline_of_very_many_jobs_is_drawn_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every so many-th job, and the page says so."""
    monkeypatch.setattr("seedance_async.report.tally.MOST_BARS", 20)
    _, facts = data(troubled_night(tmp_path / "night", 60))
    timeline = facts["timeline"]
    assert (timeline["every"], timeline["jobs"], len(timeline["bars"])) == (3, 54, 18)
    assert MOST_BARS > 20


def test_a_batch_that_has_not_begun_has_a_page(tmp_path: Path) -> None:
    """No jobs, no times, no division by nothing."""

    async def main() -> Path:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "ab")
            return await page_of(tmp_path)  # while the ledger is open for writing

    rows, facts = data(asyncio.run(main()))
    assert [row["state"] for row in rows] == ["planned", "planned"]
    assert facts["summary"]["first"] is None
    assert facts["timeline"]["bars"] == []


def test_a_page_elsewhere_finds_the_videos(tmp_path: Path) -> None:
    """By a relative way, so that both may move together."""

    async def main() -> Path:
        await make(tmp_path / "a night", 3)
        (tmp_path / "pages").mkdir()
        return await page_of(tmp_path / "a night", to=tmp_path / "pages" / "one.html")

    rows, _ = data(asyncio.run(main()))
    assert rows[0]["file"] == "../a%20night/videos/markup%20%231.mp4"


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """It is replaced as a whole or not at all; no draft stays behind."""
    page = troubled_night(tmp_path / "night", 3)
    page.unlink()
    page.mkdir()

    async def main() -> None:
        with pytest.raises(
            LedgerError, match=r"report\.html.*`seedance-async report` writes it anew"
        ):
            await page_of(tmp_path / "night")

    asyncio.run(main())
    assert not list((tmp_path / "night").glob(".report.html*"))


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("videos/fox.mp4", "videos/fox.mp4"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("videos/a b?c#d.mp4", "videos/a%20b%3Fc%23d.mp4"),
        ("videos\\fox.mp4", "videos/fox.mp4"),
    ],
)
def test_a_file_name_is_never_a_scheme_or_a_query(file: str, expected: str) -> None:
    assert href("", file) == expected


def test_endless_texts_are_cut_and_say_so(tmp_path: Path) -> None:
    """A hostile error may be megabytes long."""
    from seedance_async.batch.entries import RowProblem
    from seedance_async.report.facts import invalid_facts

    told = invalid_facts([RowProblem(1, None, "x" * 10 * LONGEST_TEXT)], again)["error"]["message"]
    assert len(told) < LONGEST_TEXT + 100
    assert told.endswith("more characters)")
