"""A real browser: the system's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["Visit", "chromium", "visit"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser, or skip; with CI=true in the environment its absence is a failure."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    missing = []
    if find_spec("playwright") is None:
        missing.append("the Python package playwright (extra dev)")
    if path is None:
        missing.append(f"a browser: none of {', '.join(_NAMES)} is installed")
    if missing:
        why = f"needs {' and '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@attrs.define
class Visit:
    """A page that is open, and all that it should not do."""

    page: Page
    complaints: list[str]
    requests: list[str]

    def until(self, condition: str) -> None:
        """Wait until an expression is true; asked from outside, for the policy bars `eval`."""
        deadline = time.monotonic() + 20
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, f"it never came true: {condition}"
            self.page.wait_for_timeout(20)

    def keys(self) -> list[str]:
        """Return the keys of the cards that are there, in the order of the gallery."""
        told: list[str] = self.page.eval_on_selector_all(
            ".card",
            """cards => cards.sort((a, b) => a.dataset.place - b.dataset.place)
                 .map(card => card.getAttribute("aria-label").split(", ")[0])""",
        )
        return told

    def found(self) -> str:
        """Return how many rows the gallery says it shows."""
        return self.page.locator("#found").inner_text()


@contextmanager
def visit(browser: Browser, path: Path, **options: Any) -> Iterator[Visit]:
    """Open a page from disk; in the end it has complained of nothing and asked nobody."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(20_000)
    page = context.new_page()
    visited = Visit(page, [], [])
    page.on("console", lambda message: visited.complaints.append(message.text))
    page.on("pageerror", lambda error: visited.complaints.append(str(error)))
    page.on("dialog", lambda dialog: visited.complaints.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: visited.requests.append(request.url))
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("#found:not(:empty)")
    try:
        yield visited
        assert visited.complaints == []
        folder = path.resolve().parent.as_uri()
        strangers = [
            url for url in visited.requests if not url.startswith((folder, "data:,", "blob:"))
        ]
        assert strangers == []
    finally:
        context.close()
