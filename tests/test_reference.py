"""The README's command reference is what the code says.

`python -m tests.test_reference` renews it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from seedance_async.cli.app import COMMANDS, make_app

README = Path(__file__).parent.parent / "README.md"
_PLACE = re.compile(
    r"(<!-- made by `python -m tests\.test_reference` -->\n).*?(<!-- end -->)", re.DOTALL
)


def reference() -> str:
    """Describe each command and its flags in Markdown."""
    return "\n".join(line for name in COMMANDS for line in _command(name))


def _command(name: str) -> Iterator[str]:
    command = make_app(name)[name]
    arguments = [found for found in command.assemble_argument_collection() if found.names != ("*",)]
    given = [found for found in arguments if not found.names[0].startswith("-")]
    words = [f"{_shown(found)}..." if _is_list(found) else _shown(found) for found in given]
    text, _, _ = (inspect.getdoc(command.default_command) or "").partition("\n")
    yield f"**`{' '.join(['seedance-async', name, *words])}`** {text}\n"
    yield "| | |\n|---|---|"
    for found in arguments:
        help_text = _one_line(found.parameter.help or "")
        yield f"| `{_names(found)}` | {help_text}{_default(found)} |"
    yield ""


def _names(found: Any) -> str:
    if not found.names[0].startswith("-"):
        return _shown(found)
    if bool in (found.hint, *get_args(found.hint)) or found.parameter.count:
        return ", ".join(found.names)
    return f"{', '.join(found.names)} {_metavar(found)}"


def _metavar(found: Any) -> str:
    return str(found.parameter.metavar or found.names[0].lstrip("-").replace("-", "_").upper())


def _shown(found: Any) -> str:
    word = found.names[0]
    return word if found.required else f"[{word}]"


def _is_list(found: Any) -> bool:
    return str(found.hint).startswith(("tuple", "list"))


def _default(found: Any) -> str:
    value = found.field_info.default
    if value is True:
        return " Default: on."
    shown = found.parameter.show_default is True and value is not inspect.Parameter.empty
    return f" Default: {value:g}." if shown and isinstance(value, int | float) else ""


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _with_reference(text: str) -> str:
    return _PLACE.sub(lambda found: f"{found[1]}\n{reference()}\n{found[2]}", text)


def test_the_readme_names_every_flag_as_the_code_does() -> None:
    text = README.read_text("utf-8")
    assert _PLACE.search(text)
    assert text == _with_reference(text), "run `python -m tests.test_reference`"


if __name__ == "__main__":
    README.write_text(_with_reference(README.read_text("utf-8")), encoding="utf-8")
    print(f"written: {README}")
