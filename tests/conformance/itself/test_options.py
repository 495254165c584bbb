"""The suite as a person runs it: in a process of its own, against a base URL.

Real processes, for options, conftests and plugins are what these tests are about. The service is
a double in the test's own loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path

import attrs

from seedance_async.simulator import FaultPlan
from tests.conformance.double import Double, open_double

ROOT = Path(__file__).parents[3]
SUITE = "tests/conformance"
TOKEN = "a-token-of-the-tests"
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SECONDS = 120
"""After which a process counts as hanging."""


@attrs.frozen
class Run:
    """A process that has ended: its code, and both its outputs."""

    code: int
    output: str


async def pytest_run(*arguments: str, token: str = TOKEN, **environment: str) -> Run:
    """Run pytest at the root of the project; the answers of both outputs come together."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments),
        cwd=ROOT,
        env={**os.environ, "RUNCOMFY_TOKEN": token, "COLUMNS": "120", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Run(process.returncode, output.decode())


def run_against(double: Double, *arguments: str) -> Run:
    """Run the suite against a double as if it were the live service."""
    double.token = TOKEN

    async def main() -> Run:
        async with open_double(double) as base_url:
            return await pytest_run(SUITE, "--base-url", base_url, *arguments)

    run = asyncio.run(main())
    assert TOKEN not in run.output
    return run


def run(*arguments: str, **environment: str) -> Run:
    """Run pytest without any service."""
    return asyncio.run(pytest_run(*arguments, **environment))


def ours(double: Double) -> list[str]:
    """Return the ids that the double gave to anybody but its strangers."""
    return [entry.request_id for entry in double.books.accepted if "stranger" not in entry.body]


def test_without_a_budget_nothing_is_paid_and_the_skips_say_what_it_would_cost() -> None:
    """Free checks only, and none of the tests of the checks themselves."""
    double = Double()
    run = run_against(double, "-rs")
    assert run.code == 0, run.output
    assert ours(double) == []
    assert "would cost about $0.10; --budget 0.10 lets it run" in run.output
    assert "where this service differs from the double" in run.output
    assert "nowhere, as far as was looked" in run.output
    assert "itself" not in run.output


def test_with_a_budget_two_generations_are_paid_and_every_id_is_told(tmp_path: Path) -> None:
    """At once and in the summary; nothing differs, and the file says the same."""
    double, file = Double(), tmp_path / "differences.json"
    run = run_against(double, "--budget", "0.2", "--differences", str(file))
    assert run.code == 0, run.output
    told_at_once, _, summary = run.output.partition("where this service differs")
    assert ID.findall(told_at_once) == ours(double)
    assert set(ours(double)) <= set(ID.findall(summary))
    report = json.loads(file.read_text())
    assert report["differences"] == []
    assert [paid["request_id"] for paid in report["paid"]] == ours(double)
    assert len(ours(double)) == 2


def test_differences_fail_and_stand_in_the_table_and_in_the_file(tmp_path: Path) -> None:
    """Exit code 1; where, expected and seen; and the fact with its section."""
    faults = FaultPlan({"code-and-message": 1.0, "succeeded": 1.0})
    file = tmp_path / "differences.json"
    arguments = ("--budget", "1", "--differences", str(file))
    run = run_against(Double(faults=faults), *arguments)
    assert run.code == 1
    assert "the wire's section on results: success is `completed`" in run.output
    rows = {row["where"]: row for row in json.loads(file.read_text())["differences"]}
    row = rows["result at the end, status"]
    assert (row["expected"], row["seen"]) == ("'completed'", "'succeeded', error None")
    assert "result of an unknown id, the error, error_code" in rows


def test_what_cannot_be_done_is_a_usage_error() -> None:
    """Exit code 4, before any check."""
    result = run(SUITE, "--collect-only", "--base-url", "https://127.0.0.1:9", token="")
    assert result.code == 4
    assert "set RUNCOMFY_TOKEN" in result.output


def test_another_plugins_base_url_serves_as_well(tmp_path: Path) -> None:
    """An option of that name is not added twice, and its value is the one that counts."""
    (tmp_path / "other_plugin.py").write_text(
        "def pytest_addoption(parser):\n"
        "    parser.addoption('--base-url', dest='base_url', metavar='url', default=None)\n"
    )
    double = Double(token=TOKEN)

    async def main() -> Run:
        async with open_double(double) as base_url:
            arguments = ("-p", "other_plugin", SUITE, "--base-url", base_url, "-k", "for_nothing")
            return await pytest_run(*arguments, PYTHONPATH=str(tmp_path))

    result = asyncio.run(main())
    assert result.code == 0, result.output
    assert double.books.requests("catalog") > 0


def test_the_whole_suite_runs_it_on_the_simulator_without_a_word(tmp_path: Path) -> None:
    """There the options are not known when the command line is read, and nothing is printed."""
    package = tmp_path / "tests"
    shutil.copytree(ROOT / SUITE, package / "conformance", ignore=shutil.ignore_patterns("itself"))
    (package / "__init__.py").touch()
    arguments = ("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(package))
    result = run(*arguments, token="", PYTHONPATH=str(tmp_path))
    assert result.code == 0, result.output
    assert "where this service differs" not in result.output
