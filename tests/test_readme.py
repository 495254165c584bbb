"""The README's Python runs, its set-up commands are two, and what it shows is what is printed."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from seedance_async.cli.app import run
from seedance_async.simulator import Simulator
from seedance_async.simulator.web import serve

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text("utf-8")
CONSOLES = re.findall(
    r"^```console\n\$ seedance-async (.*?)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL
)
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_each_python_block_runs_as_it_stands(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester
) -> None:
    """On a simulator at speed 200, in a folder of its own. Real sockets, so real time."""
    if "def test_" in block:
        pytester.makeconftest('pytest_plugins = ["seedance_async.testing"]')
        pytester.makepyfile(block)
        ran = pytester.runpytest_inprocess("--strict-markers", "-p", "no:cacheprovider")
        ran.assert_outcomes(passed=block.count("def test_"))
        return
    monkeypatch.chdir(tmp_path)
    if "asyncio.run(main())" in block:
        exec(compile(block.replace("speed=20", "speed=200"), "README.md", "exec"), {})
        assert (tmp_path / "fox.mp4").stat().st_size > 1000
        return
    asyncio.run(_run(block, monkeypatch))


async def _run(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(Simulator(speed=200)) as service:
        monkeypatch.setenv("RUNCOMFY_TOKEN", "simulator-token")
        monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", service.base_url)
        code = compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        names: dict[str, Any] = {"__name__": "readme"}
        result = eval(code, names)
        if inspect.isawaitable(result):
            await result
        if "app" in names:
            await _use(names["app"])


async def _use(app: FastAPI) -> None:
    """Be a client of the FastAPI example: create a video, then ask for it until it is there."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            created = await client.post("/videos", params={"prompt": "A red fox"})
            address = f"/videos/{created.json()['id']}"
            while (answer := (await client.get(address)).json())["url"] is None:
                await asyncio.sleep(0.05)  # real sockets, so real time
            assert answer["state"] == "Succeeded"


@pytest.mark.usefixtures("logging_ends")
@pytest.mark.parametrize(("command", "shown"), CONSOLES, ids=[c for c, _ in CONSOLES])
def test_a_command_prints_what_stands_below_it(
    command: str,
    shown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Word for word but for spaces at the ends of lines; in virtual time, so on any machine."""
    monkeypatch.chdir(tmp_path)
    assert run(tuple(shlex.split(command))) == 0
    printed = capsys.readouterr().out
    assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines()


def test_there_are_exactly_two_set_up_commands_and_an_early_example() -> None:
    """The gate runs these two lines; the first example stands within 30 lines."""
    assert len(re.findall(r"^python3 -m venv \.venv && ", TEXT, re.MULTILINE)) == 2
    assert TEXT[: TEXT.index("asyncio.run(main())")].count("\n") < 30


def test_pictures_are_there_and_small() -> None:
    """Who clones the project does not load them for long; `.pictures/make.py` makes them anew."""
    named = set(re.findall(r"\.pictures/\w+\.png", TEXT))
    assert len(named) == 3
    sizes = [(README.parent / name).stat().st_size for name in sorted(named)]
    assert max(sizes) < 150_000
    assert sum(sizes) < 400_000


def test_links_lead_somewhere() -> None:
    """Every relative link names a file or folder of the project."""
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (README.parent / target).exists(), target
