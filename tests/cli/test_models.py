"""`models`: what is known, for people, programs and spreadsheets."""

import csv
import io
import json

import pytest

from seedance_async.cli.app import run
from seedance_async.cli.fields import known_models
from seedance_async.models import TypedRequest, build_request


def test_the_list_is_one_line_a_model_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """So that grep finds a model with its fields."""
    assert run(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(known_models())
    assert any("v15-pro" in line and "camera_fixed" in line for line in lines)


@pytest.mark.parametrize("model", known_models(), ids=lambda model: model.short_name)
def test_the_template_is_a_valid_row(
    model: type[TypedRequest], capsys: pytest.CaptureFixture[str]
) -> None:
    """Header and sample row build a request as they stand, and use no default of the service."""
    assert run(["models", model.short_name, "--template", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 1
    typed: dict[str, object] = {}
    for name, cell in rows[0].items():
        typed[name] = {"true": True, "false": False, "": None}.get(cell, cell)
        if cell.isdigit():
            typed[name] = int(cell)
    assert typed.pop("key") == "fox-at-dawn"
    assert build_request(model.model_id, typed).model_id == model.model_id


def test_json_lists_rules(capsys: pytest.CaptureFixture[str]) -> None:
    """The same facts for a program."""
    assert run(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["models"]
    assert {entry["short_name"] for entry in listed} == {"lite", "v15-pro", "pro-fast"}
    assert run(["models", "lite", "--json"]) == 0
    fields = {field["name"]: field for field in json.loads(capsys.readouterr().out)["fields"]}
    assert fields["duration"]["choices"] == [5, 10]


def test_one_model_shows_its_rules(capsys: pytest.CaptureFixture[str]) -> None:
    """A full id serves as well as a short name."""
    assert run(["models", "bytedance/seedance-1-0/lite/image-to-video"]) == 0
    text = capsys.readouterr().out
    assert "(required)" in text
    assert "at most 1900 characters" in text
