"""The frame around the commands: help, usage errors, our own bugs, what is not installed."""

import subprocess
import sys

import pytest

from seedance_async.__main__ import main
from seedance_async.cli.app import COMMANDS, run
from seedance_async.cli.terminal import tell

PRELUDE = "import sys; sys.modules['cyclopts'] = None; sys.argv = ['seedance-async', 'models'];"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The list is what a newcomer sees first."""
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command can be imported and tells its flags."""
    assert run([name, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_help_imports_no_command_and_no_aiohttp() -> None:
    """`--help` is looked at often: it must not be slower than it needs to be."""
    code = (
        "import sys; from seedance_async.cli.app import run; run(['--help']);"
        "sys.exit(bool({'aiohttp', 'jsonschema', 'seedance_async.cli.demo'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["generat"], "generate"),
        (["generate"], "MODEL requires an argument"),
        (["generate", "pro-fast", "--prompt", "x"], "--out"),
        (["generate", "pro-fast", "-o", "x", "--seeed", "1"], "--seed"),
        (["simulate", "--port", "x"], "--port"),
        (["simulate", "--port", "70000"], "0 to 65535"),
        (["simulate", "--fault", "drop=0.1"], "drop-after-accept"),
        (["simulate", "--fault", "429"], "NAME=RATE"),
        (["simulate", "--speed", "0"], "--speed"),
        (["wait", "some-id", "--job-timeout", "-1"], "--job-timeout"),
        (["models", "nonesuch"], "pro-fast"),
        (["models", "--template", "csv"], "needs a model"),
    ],
)
def test_wrong_usage_is_64_and_says_what_is_right(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr, nothing on stdout, no traceback."""
    assert run(arguments) == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err


def test_without_the_extra_it_says_what_to_install() -> None:
    """`pip install seedance-async` alone brings the command, and the command must say so."""
    code = f"{PRELUDE} from seedance_async.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert "pip install 'seedance-async[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_console_script_leaves_with_the_commands_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`main` is what pip installs as `seedance-async`."""
    monkeypatch.setattr(sys, "argv", ["seedance-async", "models", "nonesuch"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 64
    assert "nonesuch" in capsys.readouterr().err


@pytest.mark.parametrize("verbose", [False, True])
def test_our_own_bug_is_70_without_the_token(
    verbose: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug says that it is one and how to report it; only -v shows the traceback."""
    monkeypatch.setenv("RUNCOMFY_TOKEN", "secret-token")

    def broken(*_: object, **__: object) -> None:
        raise ValueError("secret-token is odd")

    monkeypatch.setattr("seedance_async.cli.models._list", broken)
    assert run(["models", *(["-v"] if verbose else [])]) == 70
    text = capsys.readouterr().err
    assert "this is a bug in seedance-async" in text
    assert "report it" in text
    assert "secret-token" not in text
    assert ("Traceback" in text) is verbose


def test_plain_lines_have_no_colours_and_are_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere than on a terminal each line stays whole, for grep and logs."""
    text = f"a [bold]line[/bold] {'x' * 500}"
    tell(text, label="error", style="bold red")
    assert capsys.readouterr().err == f"error: {text}\n"


def test_a_reader_that_goes_away_is_no_bug() -> None:
    """`seedance-async models | head -1` ends quietly."""
    code = f"{sys.executable} -m seedance_async simulate --faults | true"
    done = subprocess.run(["/bin/sh", "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
