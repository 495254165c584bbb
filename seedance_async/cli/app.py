"""The commands by name, and what becomes of whatever they raise."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import platform
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from cyclopts import App, CycloptsError, Parameter

from seedance_async.__about__ import __version__
from seedance_async.cli.commandline import GIVEN
from seedance_async.cli.exits import CommandError, Exit, exit_code, hint
from seedance_async.cli.takeover import CAME
from seedance_async.cli.terminal import help_console, tell
from seedance_async.credentials import TOKEN_VARIABLES, CredentialsWarning, find_token
from seedance_async.errors import SeedanceError
from seedance_async.models import RequestAdvice
from seedance_async.redaction import hide

__all__ = ["COMMANDS", "make_app", "run"]

COMMANDS: Final = {
    "generate": "Generate one video (paid, or --simulate).",
    "batch": "Generate a video for each row of a manifest (paid, or --simulate).",
    "demo": "A batch of forty videos on a simulator: no token, no money.",
    "wait": "Come back to a job by its id or FILE.job.json, and download its video.",
    "status": "Say what a job is doing.",
    "result": "Print the URL of a finished job's video.",
    "cancel": "Try to cancel a job, or a batch's jobs, that still wait in the queue.",
    "resolve": "Settle the rows in doubt of a batch, with what a person found out.",
    "results": "Write what became of a batch's rows, and count them.",
    "bench": "Measure how many generations in flight pay off, on a simulator (or --live, paid).",
    "report": "Write a page that shows a batch's videos, costs, times and troubles.",
    "models": "List the known models, or one model's fields.",
    "simulate": "Run a double of the service on this machine.",
    "doctor": "Check token, address, proxy, versions and the way to the service.",
}
"""Each is a function of that name in a file of that name, imported when it is called."""

_HELP: Final = (
    "Seedance videos through RunComfy's Model API; it never pays twice.\n\n"
    "Begin with `seedance-async demo`, which needs no token."
)

_HELP_FLAGS: Final = frozenset({"--help", "-h", "--version"})


def make_app(chosen: str | None) -> App:
    """Return the command line; no command's file is imported yet, the chosen one's will be."""
    app = App(
        name="seedance-async",
        help=_HELP,
        console=help_console(),
        version=__version__,
        help_format="plaintext",
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(show_default=False),
    )
    for place, (name, text) in enumerate(COMMANDS.items()):
        # The chosen command's help is its docstring, which is longer.
        words = None if name == chosen else text
        path = f"seedance_async.cli.{name}:{name}"
        app.command(path, name=name, help=words, sort_key=place)
    return app


def run(arguments: Sequence[str], *, loaded: Callable[[], object] = lambda: None) -> int:
    """Run one command and return its exit code; nothing but a missing package comes out.

    Args:
        arguments: Of the command line, without the program's name.
        loaded: Called when the command's file is imported, before the command begins.
    """
    with warnings.catch_warnings():
        for kind in (RequestAdvice, CredentialsWarning):
            warnings.simplefilter("always", kind)
        warnings.showwarning = _show_warning
        return _run(arguments, loaded)


def _run(arguments: Sequence[str], loaded: Callable[[], object]) -> int:
    chosen = next((word for word in arguments if word in COMMANDS), None)
    signals: list[int] = []
    given, came = GIVEN.set(tuple(arguments)), CAME.set(signals)
    try:
        _load(chosen)
        loaded()
        code = make_app(chosen)(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        help_command = " ".join(filter(None, ["seedance-async", chosen, "--help"]))
        return _fail(f"{error} See `{help_command}`.", Exit.USAGE)
    except CommandError as error:
        return _fail(str(error), error.code)
    except SeedanceError as error:
        return _fail(f"{error}{hint(error)}", exit_code(error))
    except KeyboardInterrupt:
        return _fail("interrupted", _interrupted(signals, Exit.INTERRUPTED))
    except ModuleNotFoundError:
        raise
    except OSError as error:
        helped = isinstance(error, BrokenPipeError) and _asks_for_help(arguments)
        return _end_unwritten(error, _interrupted(signals, Exit.OK if helped else Exit.UNWRITABLE))
    except Exception as error:  # noqa: BLE001  the last line of defence says how to report
        return _fail_by_bug(error)
    finally:
        GIVEN.reset(given)
        CAME.reset(came)
    return code if isinstance(code, int) else Exit.OK


def _load(chosen: str | None) -> None:
    if chosen is not None:
        importlib.import_module(f"seedance_async.cli.{chosen}")


def _interrupted(signals: Sequence[int], otherwise: int) -> int:
    """Return the exit code of the first signal that was taken, if there was one."""
    return 128 + signals[0] if signals else otherwise


def _end_unwritten(error: OSError, code: int) -> int:
    """Say why the output could not be written, where anybody is left to read it."""
    if error.errno not in (errno.EPIPE, errno.EIO, errno.ENOSPC, errno.EBADF):
        return _fail_by_bug(error)
    if error.errno in (errno.EPIPE, errno.EIO):  # its reader has gone, or the terminal
        # Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        return code
    return _fail(f"the output cannot be written: {error.strerror}", code)


def _asks_for_help(arguments: Sequence[str]) -> bool:
    """Tell whether a reader that has seen enough, such as `head`, has seen what it wanted."""
    return not arguments or not _HELP_FLAGS.isdisjoint(arguments)


def _fail(text: str, code: int) -> int:
    tell(text, label="error", style="bold red")
    return code


def _fail_by_bug(error: Exception) -> int:
    if logging.getLogger("seedance_async").isEnabledFor(logging.INFO):
        tell(_without_tokens("".join(traceback.format_exception(error))))
    what = _without_tokens(f"{type(error).__name__}: {error}")
    return _fail(
        f"this is a bug in seedance-async, not yours: {what}. What was submitted is noted in its "
        f"job file or ledger. Please report it with the output of the same command with -v, this "
        f"version ({__version__}) and system (Python {platform.python_version()}, "
        f"{platform.platform()}).",
        Exit.BUG,
    )


def _without_tokens(text: str) -> str:
    for secret in _tokens():
        text = hide(text, secret)
    return text


def _tokens() -> Iterator[str]:
    """Yield every token that this process could have found, in a variable or in the file."""
    for name in TOKEN_VARIABLES:
        yield os.environ.get(name, "").strip()
    elsewhere = {name: os.environ[name] for name in os.environ if name not in TOKEN_VARIABLES}
    with suppress(SeedanceError, RuntimeError, OSError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield find_token(None, elsewhere, Path.home()).reveal()


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    del filename, lineno, file, line
    if issubclass(category, RequestAdvice | CredentialsWarning):
        tell(str(message), label="warning", style="yellow")
    else:
        logging.getLogger("seedance_async").info("%s: %s", category.__name__, message)
