"""Invalid rows on the page, in a real browser: what goes on with them, and what does not."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.processes import command

from .browsing import chromium, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def skipped(tmp_path: Path) -> Path:
    """A simulated batch that went on without its invalid rows: two planned, five left out."""
    rows: list[dict[str, object]] = [
        {"text": "good", "key": "good"},
        {"text": "a bad length", "duration": 99, "key": "bad"},
        {"text": "a bad length", "duration": 99},
        {"text": "a bad length", "duration": 99},
        {"text": "twice", "key": "twice"},
        {"text": "twice again", "key": "twice"},
        {"text": "a bad length", "duration": 99},
    ]
    manifest = tmp_path / "films.jsonl"
    manifest.write_text("".join(f"{json.dumps({'model': 'pro-fast', **row})}\n" for row in rows))
    asked = ["batch", str(manifest), "--out", str(tmp_path / "run"), "--skip-invalid"]
    assert command(*asked, "--simulate", "--speed", "500", "--no-download").code == 1
    return tmp_path / "run" / "report.html"


def test_invalid_rows_are_offered_what_goes_on_and_no_keys(browser: Browser, skipped: Path) -> None:
    """Their lines are told, and the commands work: once corrected the rows are planned."""
    with visit(browser, skipped) as seen:
        for summary in seen.page.locator("#troubles summary").all():
            summary.click()
        assert "Save" not in seen.page.locator("#troubles").inner_text()
        lines = seen.page.locator("#troubles .lines").all_inner_texts()
        assert lines == ["Lines 2\N{EN DASH}4, 7", "Line 6"]
        names = seen.page.locator("#troubles .who").all_inner_texts()
        assert names == ["line 2: bad", "line 3", "line 4", "line 7", "line 6: twice"]
        check, go_on = seen.page.locator("#troubles .command code").all_inner_texts()[:2]
    words = shlex.split(check)
    assert command(*words[1:]).code == 65, "it tells what is wrong"
    manifest = Path(words[2])
    text = manifest.read_text()
    manifest.write_text(text.replace("99", "5").replace('again", "key": "twice"', 'again"'))
    assert "7 rows, 5 new" in command(*words[1:]).err
    assert command(*shlex.split(go_on)[1:]).code == 0


def test_an_invalid_row_takes_no_mark_and_gives_none_to_the_row_of_its_key(
    browser: Browser, skipped: Path
) -> None:
    """What is kept is a list that `--only` takes: neither an empty key nor one of another row."""
    with visit(browser, skipped) as seen:
        page = seen.page
        assert page.locator(".card").count() == 7
        assert page.locator(".card .keep").count() == 2
        page.locator('.card[aria-label^="twice,"] .keep').click()
        for name in ("line 2: bad", "line 3", "line 6: twice"):
            page.locator(f'.card[aria-label^="{name},"]').focus()
            page.keyboard.press("x")
            page.keyboard.press("Enter")
            assert page.locator("#details-title").inner_text() == name
            assert page.locator("#details .mark").count() == 0
            page.keyboard.press("k")
            page.keyboard.press("Escape")
        with page.expect_download() as waiting:
            page.locator("#save-keep").click()
        assert Path(waiting.value.path()).read_text() == "twice\n"
        assert page.locator("#save-reject").is_hidden()
