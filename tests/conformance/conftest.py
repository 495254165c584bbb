"""The options of the examination, the service that it is about, and the table at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import attrs
import pytest

from . import lives
from .double import Double, open_double
from .examination import Examination, NotPaid, Report, examine
from .lives import Life
from .notes import Check
from .settings import OPTIONS, Settings, read_settings
from .summary import TITLE, lines, write_json

S = TypeVar("S")

_REPORT = pytest.StashKey[Report]()
_ITSELF = Path(__file__).parent / "itself"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, except those of a name that another plugin has: its value is ours too."""
    taken = vars(parser.parse_known_args([]))
    group = parser.getgroup("conformance", "examining a service (tests/conformance)")
    for name, (value, words) in OPTIONS.items():
        if _key(name) not in taken:
            group.addoption(name, metavar=value, help=words)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse at once what cannot be done."""
    settings = _settings(config)
    if settings.base_url and _in_parallel(config):
        raise pytest.UsageError("run this without pytest-xdist: each process would pay")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests of the checks themselves where a service is examined."""
    return True if collection_path == _ITSELF and _option(config)("base_url") else None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print where the service differs from the double."""
    report = config.stash.get(_REPORT, None)
    if report is None:
        return
    settings = _settings(config)
    if settings.differences:
        write_json(report, settings.differences)
    if settings.base_url or settings.differences or report.differences:
        terminalreporter.section(TITLE)
        for line in lines(report, shutil.get_terminal_size().columns):
            terminalreporter.line(line)


@attrs.frozen
class Stage:
    """An examination, and the loop in which it runs from test to test."""

    examination: Examination
    runner: asyncio.Runner

    def judge(self, check: Check[S], subject: S) -> None:
        """Run one check, and fail with all that it found."""
        notes = self.runner.run(self.examination.judge(check, subject))
        if notes.differences:
            found = "\n".join(f"- {difference}" for difference in notes.differences)
            pytest.fail(f"{check.rule}\n{found}", pytrace=False)

    def live(self, purpose: str) -> Life:
        """Pay for one generation, or skip with what it would cost."""
        try:
            return self.runner.run(self.examination.live(purpose))
        except NotPaid as why:
            pytest.skip(str(why))


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """The service of --base-url, or a double on a port of its own."""
    config = request.config
    report = config.stash.setdefault(_REPORT, Report())
    settings = _settings(config)
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        opening = _open(stack, settings, report, _announcer(config))
        yield Stage(runner.run(opening), runner)
        runner.run(stack.aclose())


@pytest.fixture(scope="session")
def followed(stage: Stage) -> Life:
    """The one job that is followed to its end."""
    return stage.live(lives.FOLLOWED)


@pytest.fixture(scope="session")
def withdrawn(stage: Stage) -> Life:
    """The one job that is cancelled at once."""
    return stage.live(lives.WITHDRAWN)


async def _open(
    stack: AsyncExitStack, settings: Settings, report: Report, announce: Callable[[str], None]
) -> Examination:
    if not settings.base_url:
        double = Double()
        base_url = await stack.enter_async_context(open_double(double))
        settings = attrs.evolve(settings, base_url=base_url, token=double.token or "")
        return await stack.enter_async_context(examine(settings, report, lambda _line: None))
    return await stack.enter_async_context(examine(settings, report, announce))


def _announcer(config: pytest.Config) -> Callable[[str], None]:
    """Return a function that prints at once, past pytest's capturing."""

    def announce(line: str) -> None:
        capturing = config.pluginmanager.getplugin("capturemanager")
        if capturing is None:
            print(f"\n{line}", flush=True)
            return
        with capturing.global_and_fixture_disabled():
            print(f"\n{line}", flush=True)

    return announce


def _settings(config: pytest.Config) -> Settings:
    try:
        return read_settings(_option(config), os.environ)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def _option(config: pytest.Config) -> Callable[[str], str | None]:
    """Return a look at the options, which may not be there when the whole suite runs."""
    return lambda name: config.getoption(name, default=None)


def _key(name: str) -> str:
    return name.removeprefix("--").replace("-", "_")


def _in_parallel(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput") or bool(config.getoption("numprocesses", default=None))
