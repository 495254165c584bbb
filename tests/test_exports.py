"""The public API as a reviewed snapshot, and what importing it costs.

`python -m tests.test_exports` renews the snapshot.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from difflib import unified_diff
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_overloads

import attrs
import pytest

import seedance_async

SNAPSHOT = Path(__file__).with_name("public_api.txt")
HEAVY = ["aiohttp.web", "cyclopts", "rich", "jsonschema", "imagesize", "seedance_async.simulator"]
FOR_A_SESSION = ["aiohttp", "sqlite3"]
SPECIAL = {"__init__", "__await__", "__aiter__", "__anext__", "__aenter__", "__aexit__"}


def public_api() -> str:
    """Describe every public name, sorted, in the same words on every Python."""
    lines: list[str] = []
    for name in sorted(seedance_async.__all__):
        lines += _describe(name, getattr(seedance_async, name))
    return "\n".join(lines) + "\n"


def _describe(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {name}({bases})" if bases else f"class {name}"
        yield from (f"    {line}" for line in _fields(value))
        yield from (f"    {line}" for line in sorted(_methods(value)))
    elif inspect.isfunction(value):
        yield _function(name, value)
    elif get_args(value):
        yield f"{name} = {' | '.join(sorted(kind.__name__ for kind in get_args(value)))}"
    else:
        yield f"{name}: {type(value).__name__}"


def _fields(cls: type) -> Iterator[str]:
    """Tell what a value is made of, in the order in which it is given."""
    if issubclass(cls, Enum):
        yield from (f"{member.name} = {member.value!r}" for member in cls)
    elif attrs.has(cls):
        yield from (_field(field) for field in attrs.fields(cls) if field.init)


def _methods(cls: type) -> Iterator[str]:
    for name, member in inspect.getmembers_static(cls):
        if not _is_its_own(cls, name):
            continue
        if isinstance(member, property):
            yield f"{name} -> {_annotation(member.fget, 'return')}"
        elif inspect.isfunction(member):
            yield from (_function(name, one) for one in get_overloads(member) or [member])


def _is_its_own(cls: type, name: str) -> bool:
    """Leave out what is private, told of a public base, or written by attrs and typing."""
    if name.startswith("_") and (name not in SPECIAL or (name == "__init__" and attrs.has(cls))):
        return False
    owner = next(base for base in cls.__mro__ if name in vars(base))
    if owner is not cls and owner.__name__ in seedance_async.__all__:
        return False
    member = vars(owner)[name]
    return str(getattr(member, "__module__", owner.__module__)).startswith("seedance_async")


def _field(field: attrs.Attribute[Any]) -> str:
    default = "" if field.default is attrs.NOTHING else f" = {_default(field.default)}"
    return f"{field.alias}: {_text(field.type)}{default}{' (keyword)' if field.kw_only else ''}"


def _function(name: str, function: Any) -> str:
    parts: list[str] = []
    star = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            star = True
            parts.append("*")
        annotated = parameter.annotation is not parameter.empty
        text = parameter.name + (f": {_text(parameter.annotation)}" if annotated else "")
        if parameter.default is not parameter.empty:
            text += f" = {_default(parameter.default)}"
        parts.append(text)
    kind = "async def" if inspect.iscoroutinefunction(function) else "def"
    return f"{kind} {name}({', '.join(parts)}) -> {_annotation(function, 'return')}"


def _annotation(function: Any, name: str) -> str:
    return _text(inspect.get_annotations(function).get(name, "?"))


def _text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _default(value: Any) -> str:
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        return f"{value.factory.__name__}()"
    named = inspect.isroutine(value) or inspect.isclass(value)
    return value.__name__ if named else repr(value)


# --- tests ---------------------------------------------------------------------------------


def test_the_public_api_is_the_reviewed_one() -> None:
    """A name, signature or field that changes is seen, and gets a CHANGELOG line."""
    told = SNAPSHOT.read_text(encoding="utf-8")
    found = public_api()
    difference = "\n".join(
        unified_diff(told.splitlines(), found.splitlines(), "reviewed", "found", lineterm="")
    )
    assert told == found, (
        f"the public API changed:\n{difference}\n"
        f"If it was meant to, add a line to CHANGELOG.md, run `python -m tests.test_exports`, "
        f"and commit tests/{SNAPSHOT.name} with it."
    )


def test_all_is_what_the_door_imports() -> None:
    """Nothing is promised that is missing, and nothing is imported that is not promised."""
    names = seedance_async.__all__
    assert len(set(names)) == len(names)
    assert all(hasattr(seedance_async, name) for name in names)
    public = {name for name in vars(seedance_async) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(seedance_async, name))}
    assert public - modules <= set(names), "imported at the door, but not in `__all__`"


def _loaded(statement: str) -> set[str]:
    """Return the modules that a fresh process has after a statement."""
    return _printed(f"{statement}; import sys; print(*sys.modules)")


def _printed(code: str) -> set[str]:
    """Return the words that a fresh process prints."""
    output = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "COVERAGE_PROCESS_START": ""},  # it imports modules of its own
    )
    return set(output.stdout.split())


def test_importing_the_package_brings_nothing_but_its_names() -> None:
    """What an app does not use costs it no time when it starts."""
    loaded = _loaded("import seedance_async")
    ours = {name for name in loaded if name.startswith("seedance_async")}
    assert ours == {"seedance_async", "seedance_async.__about__"}
    assert not loaded.intersection([*HEAVY, *FOR_A_SESSION, "attrs", "asyncio", "cattrs", "ssl"])


def test_importing_a_session_brings_no_http_no_database_and_no_extra() -> None:
    """Without extras it imports; aiohttp comes when a session is opened."""
    loaded = _loaded("from seedance_async import Session")
    assert "seedance_async.session" in loaded
    assert not loaded.intersection([*HEAVY, *FOR_A_SESSION])


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    """The door opens for the names in `__all__` alone, and `dir` tells them before their use."""
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        seedance_async.Sesion  # type: ignore[attr-defined]  # noqa: B018
    told = _printed("import seedance_async; print(*dir(seedance_async))")
    assert set(seedance_async.__all__) <= told


if __name__ == "__main__":
    SNAPSHOT.write_text(public_api(), encoding="utf-8")
    print(f"written: {SNAPSHOT}")
