"""The frame around the commands: help, usage errors, our own bugs, what is not installed."""

import os
import subprocess
import sys

import pytest

from seedance_async.__main__ import main
from seedance_async.cli.app import COMMANDS, run
from seedance_async.cli.terminal import tell

NOT_FOR_HELP = {
    *("aiohttp", "anyio", "asyncio", "cattrs", "imagesize", "jinja2", "jsonschema", "sqlite3"),
    *("rich.live", "rich.progress", "ssl"),
    *("seedance_async.batch", "seedance_async.session", "seedance_async.simulator"),
}

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


def test_help_imports_no_client_and_no_command() -> None:
    """`--help` is looked at often: what it does not show, it does not wait for."""
    code = (
        "import sys; from seedance_async.cli.app import run; run(['--help']); print(*sys.modules)"
    )
    quiet = {**os.environ, "COVERAGE_PROCESS_START": ""}  # it imports modules of its own
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=quiet)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "seedance_async.cli.app" in loaded
    assert not loaded & {*NOT_FOR_HELP, *(f"seedance_async.cli.{name}" for name in COMMANDS)}


def test_an_interrupt_while_the_command_line_is_imported_shows_no_traceback() -> None:
    """Whoever mistyped is quick with Ctrl-C; most of the time goes into imports."""
    code = (
        "import sys; from seedance_async.__main__ import main\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'cyclopts': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted()); main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_the_door_of_the_command_line_imports_next_to_nothing() -> None:
    """Before `main` runs nobody catches an interrupt, so that time must be short."""
    code = "import sys, seedance_async.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    ours = {name for name in loaded if name.startswith("seedance_async")}
    assert ours == {"seedance_async", "seedance_async.__about__", "seedance_async.__main__"}
    assert not loaded & {"asyncio", "attrs", "cyclopts", "rich"}


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


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["--help", "", "batch --help", "--version"])
def test_help_whose_reader_goes_away_has_done_its_work(arguments: str, unbuffered: str) -> None:
    """`seedance-async --help | head -1` is no failure, also where a shell looks at every part."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:
        command = [sys.executable, "-m", "seedance_async", *arguments.split()]
        done = subprocess.run(
            command,
            stdout=gone,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert (done.returncode, done.stderr) == (0, "")
