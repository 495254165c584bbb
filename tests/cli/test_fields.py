"""The flags of `generate` are the fields of the models."""

import attrs
import pytest

from seedance_async.cli.app import run
from seedance_async.cli.exits import CommandError
from seedance_async.cli.fields import Fields, given_fields, known_models
from seedance_async.models import build_request, field_rules


def test_every_field_of_every_model_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """A new model's schema is enough: its fields show up by themselves."""
    wanted = {rule.name for model in known_models() for rule in field_rules(model)}
    assert {field.name for field in attrs.fields(Fields)} == wanted
    run(["generate", "--help"])
    text = capsys.readouterr().out
    assert all(f"--{name.replace('_', '-')}" in text for name in wanted)


def test_numbers_are_numbers_and_absent_flags_are_absent() -> None:
    """What is not given is the schema's to fill in."""
    fields = Fields(text="a fox", duration="5", seed="-3")  # type: ignore[call-arg]
    assert given_fields(fields, None) == {"text": "a fox", "duration": 5, "seed": -3}


def test_a_prompt_that_looks_like_a_number_stays_text() -> None:
    """Only fields whose rule says integer are read as such."""
    assert given_fields(Fields(prompt="1984"), None) == {"prompt": "1984"}  # type: ignore[call-arg]


def test_input_brings_the_fields_of_unknown_models() -> None:
    """Models change faster than this package."""
    fields = given_fields(Fields(prompt="a fox"), '{"aspect_ratio": "16:9"}')  # type: ignore[call-arg]
    request = build_request("bytedance/seedance-2.0/pro", fields)
    assert request.input() == {"prompt": "a fox", "aspect_ratio": "16:9"}


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "not JSON"), ("[1]", "JSON object"), ('{"seed": 1}', "given twice")],
)
def test_a_bad_input_is_refused(text: str, says: str) -> None:
    """Before anything is built or sent."""
    with pytest.raises(CommandError, match=says):
        given_fields(Fields(seed="2"), text)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lite", "--prompt", "x", "--duration", "7"], "duration must be one of 5, 10"),
        (["pro-fast", "--prompt", "x", "--duration", "long"], "duration must be one of 2, 3, 4"),
        (["pro-fast", "--text", "x", "--prompt", "y"], "prompt means text, which is given too"),
        (["pro-fast", "--prompt", "x", "--camera-fixed"], "camera_fixed is no field"),
        (["pro-fest", "--prompt", "x"], "lite, v15-pro, pro-fast"),
        (["pro-fast"], "text is required"),
    ],
)
def test_a_wrong_value_names_field_and_rule(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The request class judges, so flags, rows and code get the same words."""
    assert run(["generate", *arguments, "-o", "x.mp4", "--yes"]) == 64
    assert says in capsys.readouterr().err
