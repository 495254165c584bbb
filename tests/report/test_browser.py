"""The page in a real browser, opened from disk. Real time: the browser has its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seedance_async.cli.keyfile import named_keys
from tests.batch.ledgers import opened, plan, submit, succeeded

from .browsing import chromium, visit
from .scenes import HOSTILE, page_of, troubled_night

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty rows with all kinds of trouble, in a folder whose name needs quoting."""
    return troubled_night(tmp_path_factory.mktemp("a night") / "50% #1 <b>&amp;")


def test_it_opens_from_disk_without_a_word_and_asks_nobody(browser: Browser, night: Path) -> None:
    """No console message, no request but for the videos beside it; the numbers are there."""
    with visit(browser, night) as seen:
        seen.until("document.querySelector('.card video')?.readyState >= 1")
        assert seen.found() == "61 rows"
        assert seen.page.locator("h1").inner_text() == "50% #1 <b>&amp;"
        tiles = seen.page.locator(".tiles").inner_text()
        assert "39\nof 61 rows" in tiles
        assert "8 min 23 s" in tiles
        legend = seen.page.locator(".legend").inner_text().replace("\n", " ")
        assert "36 downloaded" in legend
        assert "3 in doubt" in legend
        assert seen.page.locator(".timeline rect.job").count() == 54
        assert any("/videos/" in url for url in seen.requests)


def test_the_summary_tells_each_part_and_of_how_many_it_is_known(
    browser: Browser, night: Path
) -> None:
    """Queue, run, lateness and requests, each with its median, its 95% and its number of jobs."""
    with visit(browser, night) as seen:
        found = {
            tile.split("\n")[0]: tile.split("\n")[1:]
            for tile in seen.page.locator(".tile").all_inner_texts()
        }
        assert found["Queue, median"] == [
            "6.0 s", "95% within 8.0 s, longest 8.0 s", "known for 40 of 48 jobs that ended"
        ]  # fmt: skip
        assert found["Lateness, median"] == [
            "1.5 s", "95% within 2.5 s, longest 2.5 s", "known for 42 of 48 jobs that ended"
        ]  # fmt: skip
        assert found["Run, median"][-1].endswith("of 39 videos")
        assert found["Queue and run, median"][-1] == "known for 39 of 39 videos"
        assert found["Requests a job"] == [
            "5.9", "its submission and 4.9 polls on average", "known for 40 of 48 jobs that ended"
        ]  # fmt: skip
        head = seen.page.locator("#charts thead").inner_text().split("\t")
        assert head[2:4] == ["Time", "Videos"]
        assert {"run", "queue and run"} == set(
            seen.page.locator("#charts tbody td:nth-child(3)").all_inner_texts()
        )


def test_a_bar_tells_its_parts_and_opens_its_row(browser: Browser, night: Path) -> None:
    """Submission, queue, run and download are drawn one after the other, and told in words."""
    with visit(browser, night) as seen:
        page = seen.page
        legend = page.locator(".parts").inner_text()
        assert legend.split("\n") == [
            "submission", "queue", "run", "queue and run, not told apart", "download"
        ]  # fmt: skip
        places = page.evaluate(
            """[...document.querySelectorAll(".timeline [data-bar='11']")].map((part) =>
                 [part.classList[0], Number(part.getAttribute("x"))])"""
        )
        kinds = [kind for kind, _ in places]
        assert kinds[-1] == "download"
        assert kinds.index("queue") < kinds.index("job")
        assert [x for _, x in places] == sorted(x for _, x in places)
        page.locator(".timeline rect.job[data-bar='11']").hover()
        tip = page.locator("#tip").inner_text()
        assert "fox-12 · succeeded" in tip
        assert "queue 4.0 s, run until its end was known 37 s" in tip
        assert "download 3.0 s" in tip
        page.locator(".timeline rect.job[data-bar='11']").click()
        details = page.locator("#details dl").inner_text()
        for word, value in (("Queue", "4.0 s"), ("Run", "35 s"), ("Lateness", "1.5 s")):
            assert f"{word}\n{value}" in details
        assert "Polls\n5" in details


def test_a_page_of_an_older_ledger_says_what_it_does_not_know(
    browser: Browser, tmp_path: Path
) -> None:
    """No zero where nothing was written down."""
    page = troubled_night(tmp_path / "night", 20, seen=False)
    with visit(browser, page) as seen:
        tiles = seen.page.locator(".tiles").inner_text()
        assert "Lateness, median\n\N{EN DASH}\nknown for 0 of 16 jobs that ended" in tiles
        assert "Requests a job\n\N{EN DASH}\nnot known" in tiles
        assert "Queue and run, median" in tiles
        assert seen.page.locator(".parts").inner_text().split("\n") == [
            "submission", "queue and run, not told apart"
        ]  # fmt: skip
        assert seen.page.locator(".timeline rect.queue, .timeline rect.download").count() == 0


def test_hostile_text_stays_text(browser: Browser, night: Path) -> None:
    """Prompts, errors, keys and settings become no element, no script and no link."""
    with visit(browser, night) as seen:
        page = seen.page
        for key, prompt in HOSTILE.items():
            page.fill("#query-text", key if key != "unbroken" else "wwww")
            page.wait_for_selector(f'.card[aria-label^="{key},"]')
            card = page.locator(f'.card[aria-label^="{key},"]')
            assert card.locator(".prompt").text_content() == prompt
            card.locator(".prompt").click()
            assert page.locator("#details .whole").text_content() == prompt
            assert page.locator("#details .whole *").count() == 0
            hrefs = page.eval_on_selector_all("a[href]", "all => all.map(a => a.protocol)")
            assert set(hrefs) <= {"file:", "https:"}
            page.keyboard.press("Escape")
        page.evaluate(
            "document.querySelectorAll('#troubles details').forEach(d => (d.open = true))"
        )
        assert "<b>the prompt</b> was refused" in page.locator("#troubles").inner_text()
        assert page.locator("img, iframe, object, embed, main script, dialog script").count() == 0


def test_the_policy_lets_no_other_script_run(browser: Browser, night: Path) -> None:
    """Even if markup got in somewhere: an inline script, a handler and a request are refused."""
    with visit(browser, night) as seen:
        refused = seen.page.evaluate(
            """async () => {
                const refused = [];
                document.addEventListener("securitypolicyviolation",
                    (event) => refused.push(event.effectiveDirective));
                const script = document.createElement("script");
                try { script.text = "window.ran = true"; } catch { refused.push("trusted types"); }
                script.append("window.ran = true");
                document.body.append(script);
                try { document.body.innerHTML = "<b>"; } catch { refused.push("innerHTML"); }
                await fetch("https://example.com/").catch(() => {});
                await new Promise((done) => setTimeout(done, 100));
                return [window.ran === undefined, ...new Set(refused)];
            }"""
        )
        assert refused[0] is True
        assert {"trusted types", "innerHTML", "connect-src"} <= set(refused[1:])
        seen.complaints.clear()  # the browser tells of what it refused


def test_a_video_plays_on_hover_and_rests_after(browser: Browser, night: Path) -> None:
    """Muted, and only while the pointer is on the card."""
    with visit(browser, night) as seen:
        video = seen.page.locator(".card video").first
        assert video.evaluate("video => video.muted && video.paused")
        seen.page.locator(".card .picture").first.hover()
        seen.until("document.querySelector('.card video').currentTime > 0.1")
        seen.page.locator("#found").hover()
        seen.until(
            """(video => video.paused && video.currentTime === 0)(
                document.querySelector('.card video'))"""
        )


def test_nothing_moves_for_who_wants_no_motion(browser: Browser, night: Path) -> None:
    """prefers-reduced-motion: hovering starts nothing; the space bar still plays."""
    with visit(browser, night, reduced_motion="reduce") as seen:
        seen.page.locator(".card .picture").first.hover()
        seen.page.locator(".card").first.focus()
        seen.page.wait_for_timeout(200)
        assert seen.page.evaluate("document.querySelector('.card video').paused")
        seen.page.keyboard.press("Space")
        seen.until("document.querySelector('.card video').currentTime > 0.1")


_SEEN = "card => card.getBoundingClientRect().top < 800 && card.getBoundingClientRect().bottom > 0"


def test_two_thousand_rows_hold_few_cards_and_fewer_videos(
    browser: Browser, tmp_path: Path
) -> None:
    """What is far from the window is not there, and a video is asked for only near it."""
    page_file = troubled_night(tmp_path / "night", 2_000)
    with visit(browser, page_file) as seen:
        page = seen.page
        assert seen.found() == "2,001 rows"
        whole = page.evaluate("document.getElementById('grid').offsetHeight")
        for share in (0.0, 0.3, 0.6, 0.95):
            page.evaluate(f"scrollTo(0, grid.offsetTop + {share} * {whole})")
            seen.until("[...document.querySelectorAll('.card video')].some(v => v.src)")
            seen.until(f"[...document.querySelectorAll('.card')].some({_SEEN})")
            assert page.locator(".card").count() < 60
            assert page.locator(".card video[src]").count() < 60
        asked = [url for url in seen.requests if "/videos/" in url]
        assert 0 < len(set(asked)) < 300
        page.fill("#query-text", "take 1999")
        page.wait_for_timeout(250)
        assert seen.keys() == ["fox-1999"]


def test_the_details_tell_all_that_is_known_of_a_row(browser: Browser, night: Path) -> None:
    """Model, settings, seed, cost, times, a link to the file, and the request id to copy."""
    with visit(browser, night) as seen:
        page = seen.page
        page.fill("#query-text", "fox-12")
        page.wait_for_timeout(250)
        page.locator(".card .prompt").first.click()
        told = page.locator("#details dl").inner_text().split("\n")
        found = dict(zip(told[::2], told[1::2], strict=False))
        assert found["Model"] == "lite"
        assert (found["Resolution"], found["Duration"], found["Seed"]) == ("1080p", "5", "52")
        assert (found["Cost"], found["Estimate"], found["Attempts"]) == ("$0.31", "$0.30", "1")
        assert {"Submitted", "Accepted", "End known"} <= found.keys()
        link = page.locator("#details dl a[href*='videos/']")
        assert link.get_attribute("href") == "videos/fox-12%20%2312.mp4"
        copying = page.get_by_label("Copy the request id")
        copying.click()
        assert copying.inner_text() == "Copied"


def test_search_filters_and_order_give_the_right_rows(browser: Browser, night: Path) -> None:
    """All words must be there, in prompt, key, id or error; filters hold together."""
    with visit(browser, night) as seen:
        page = seen.page

        def search(text: str) -> str:
            page.fill("#query-text", text)
            page.wait_for_timeout(250)
            return seen.found()

        assert search("FOX take 12") == "1 of 61 rows"
        assert seen.keys() == ["fox-12"]
        assert search("000000000021") == "1 of 61 rows"
        assert search("refused by the filter") == "3 of 61 rows"
        assert search("nothing like it") == "0 of 61 rows"
        search("")
        page.select_option("#query-state", "failed")
        assert seen.keys() == ["fox-9", "fox-29", "fox-49"]
        page.select_option("#query-state", "troubled")
        assert seen.found() == "22 of 61 rows"
        page.select_option("#query-state", "downloaded")
        page.select_option("#query-model", "lite")
        page.select_option("#query-resolution", "720p")
        assert seen.keys() == ["fox-18", "fox-60"]
        page.select_option("#query-sort", "newest")
        assert seen.keys() == ["fox-60", "fox-18"]


def _save(page: Page, selector: str, to: Path) -> str:
    with page.expect_download() as waiting:
        page.click(selector)
    waiting.value.save_as(to)
    return to.read_text("utf-8")


def test_marks_survive_a_reload_and_are_exported(
    browser: Browser, night: Path, tmp_path: Path
) -> None:
    """Keys one a line, as `--only @FILE` reads them; another attempt's video is unmarked."""
    with visit(browser, night) as seen:
        page = seen.page
        page.locator(".card .keep").nth(0).click()
        page.locator(".card .keep").nth(1).click()
        page.locator(".card .reject").nth(2).click()
        page.locator(".card .keep").nth(1).click()  # taken back
        page.reload()
        page.wait_for_selector("#save-keep:not([hidden])")
        assert page.locator("#save-keep").inner_text() == "Save 1 kept"
        page.select_option("#query-mark", "reject")
        assert seen.keys() == ["template"]
        assert _save(page, "#save-keep", tmp_path / "keep.txt") == "markup\n"
        assert _save(page, "#save-reject", tmp_path / "reject.txt") == "template\n"
        assert named_keys([f"@{tmp_path / 'keep.txt'}"]) == ["markup"]

        text = night.read_text("utf-8")
        later = text.replace("000000000001", "00000000ffff")
        night.write_text(later, "utf-8")  # as after another attempt of the first row
        try:
            page.reload()
            page.wait_for_selector("#save-reject:not([hidden])")
            assert page.locator("#save-keep").is_hidden()
        finally:
            night.write_text(text, "utf-8")


def test_two_to_four_clips_play_together(browser: Browser, night: Path) -> None:
    """Side by side from the same moment; a fifth is not taken, rows without a video neither."""
    with visit(browser, night) as seen:
        page = seen.page
        for place in range(5):
            page.locator(".card .pick input").nth(place).click(force=True)
        assert page.locator("#tray strong").inner_text() == "4 of 4 chosen"
        assert page.locator(".card .pick input:checked").count() == 4
        page.click("#tray .main")
        assert page.locator("#compare video").count() == 4
        seen.until(
            "[...document.querySelectorAll('#compare video')].every(v => v.currentTime > 0.2)"
        )
        apart = page.evaluate(
            """(times => Math.max(...times) - Math.min(...times))(
                [...document.querySelectorAll('#compare video')].map(v => v.currentTime))"""
        )
        assert apart < 0.5
        page.locator("#compare .mark.keep").first.click()
        page.keyboard.press("Escape")
        assert page.locator(".card").first.get_attribute("data-marked") == "keep"


def test_the_keyboard_does_all(browser: Browser, night: Path) -> None:
    """Search, move, mark, choose, open, go on, close; the focus comes back to the card."""
    with visit(browser, night) as seen:
        page = seen.page
        page.keyboard.press("/")
        page.keyboard.type("red fox")
        page.wait_for_timeout(250)
        page.locator(".card").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("k")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("x")
        marked = page.eval_on_selector_all(
            ".card[data-marked]:not([data-marked=''])",
            """all => all.map(card =>
                 [card.getAttribute('aria-label').split(',')[0], card.dataset.marked])""",
        )
        assert sorted(marked) == [["fox-10", "reject"], ["fox-14", "keep"]]
        page.keyboard.press("Enter")
        assert page.locator("#details-title").inner_text() == "fox-10"
        page.keyboard.press("ArrowRight")
        assert page.locator("#details-title").inner_text() == "fox-11"
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.className") == "card"
        page.keyboard.press("End")
        focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert focused == "fox-60, downloaded"


def test_troubles_tell_their_error_and_the_command_that_resolves_them(
    browser: Browser, night: Path
) -> None:
    """Doubts come first; the command names the row; keys of a kind are saved together."""
    with visit(browser, night) as seen:
        groups = seen.page.locator("#troubles details")
        assert groups.count() == 8
        groups.first.locator("summary").click()
        told = groups.first.inner_text()
        assert "in doubt" in told
        assert "the connection broke after <the request> was sent" in told
        codes = groups.first.locator(".command code").all_inner_texts()
        assert codes[0].endswith("fox-15 --request-id ID")
        assert codes[1].endswith("fox-15 --not-billed")


def test_errors_that_differ_in_the_id_of_their_job_alone_are_one_kind(
    browser: Browser, night: Path
) -> None:
    """So that the keys of all lost rows are saved together; the details tell the id."""
    with visit(browser, night) as seen:
        lost = seen.page.locator("#troubles details", has_text="unknown request id")
        assert lost.locator("summary .count").all_inner_texts() == ["3"]
        assert "for job ID. Check the id." in lost.locator("summary").inner_text()
        lost.locator("summary").click()
        assert lost.get_by_role("button", name="Save 3 keys").is_visible()
        lost.locator("button.link").first.click()
        told = seen.page.locator("#details").inner_text()
        assert "for job 00000000-0000-4000-8000-000000000013." in told


def test_videos_that_are_gone_are_told_and_not_asked_for(browser: Browser, night: Path) -> None:
    """Deleted before the page was written; no error in the console, and a way to get them back."""
    with visit(browser, night) as seen:
        seen.page.fill("#query-text", "fox-18")
        seen.page.wait_for_timeout(250)
        assert "The file is no longer there" in seen.page.locator(".card").first.inner_text()
        seen.page.locator(".card .prompt").first.click()
        assert "--retry-downloads --only fox-18" in seen.page.locator("#details").inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "dark")])
def test_nothing_is_wider_than_the_window_and_all_text_can_be_read(
    browser: Browser, night: Path, width: int, scheme: str
) -> None:
    """No sideways scrolling, and WCAG AA contrast (4.5 to 1) of the words on their grounds."""
    window = {"width": width, "height": 800}
    with visit(browser, night, viewport=window, color_scheme=scheme) as seen:
        page = seen.page
        page.evaluate(
            "document.querySelectorAll('#troubles details').forEach(d => (d.open = true))"
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        poor = page.evaluate(_POOR_CONTRAST)
        assert poor == []


_POOR_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = (data) => {
    const [r, g, b] = [...data].slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const data = rgba(getComputedStyle(at).backgroundColor);
      if (data[3] > 230) return light(data);
    }
    return light(rgba("Canvas"));
  };
  const poor = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const words = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!words || !element.checkVisibility() || element.closest(":disabled, .picture, svg, select"))
      continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), ground(element)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.add(`${element.className || element.tagName} ${ratio.toFixed(2)}`);
  }
  return [...poor];
}"""


@pytest.mark.parametrize(("cost", "shown"), [(None, "unknown"), (0.25, "$0.25"), (0.0, "$0.00")])
def test_a_cost_that_nobody_told_is_not_shown_as_nothing(
    browser: Browser, tmp_path: Path, cost: float | None, shown: str
) -> None:
    async def main() -> None:
        async with await opened(tmp_path) as ledger:
            await plan(ledger, "a")
            await submit(ledger, "a")
            await ledger.finished("a", succeeded("id-a", cost))
        await page_of(tmp_path)

    with ThreadPoolExecutor(1) as pool:  # the browser's own loop runs in this one
        pool.submit(lambda: asyncio.run(main())).result()
    with visit(browser, tmp_path / "report.html") as seen:
        tiles = seen.page.locator(".tile").all_inner_texts()
        assert [tile.split("\n")[1] for tile in tiles if tile.startswith("Settled")] == [shown]
