"""The double shares nothing with what it judges."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import seedance_async.simulator

FILES = sorted(Path(seedance_async.simulator.__file__).parent.glob("*.py"))


def imported(path: Path) -> set[str]:
    """Name what a file imports; its own package is `.`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level or (node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_a_file_imports_none_of_the_client(path: Path) -> None:
    """Only its own package, the standard library and four others; aiohttp in web.py alone."""
    allowed = {"attrs", "jsonschema", "imagesize", "."} | sys.stdlib_module_names
    if path.name == "web.py":
        allowed.add("aiohttp")
    assert imported(path) <= allowed


def test_importing_the_simulator_does_not_import_aiohttp() -> None:
    """The pure core stays light; whoever wants sockets asks for them."""
    code = """
import sys, types
package = types.ModuleType("seedance_async")
package.__path__ = sys.argv[1:]
sys.modules["seedance_async"] = package
import seedance_async.simulator
assert "aiohttp" not in sys.modules
"""
    folder = str(FILES[0].parent.parent)
    subprocess.run([sys.executable, "-c", code, folder], check=True)
