"""The request classes against their schemas, and what surrounds them."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from seedance_async.errors import InvalidRequestError
from seedance_async.models import (
    MODELS,
    LiteImageToVideo,
    ProFastTextToVideo,
    RawRequest,
    RequestAdvice,
    Shape,
    TypedRequest,
    V15ProImageToVideo,
    build_request,
    field_rules,
    find_model,
    shape,
)
from seedance_async.rules import read_schema

CLASSES = tuple(dict.fromkeys(MODELS.values()))
IMAGE = "https://example.com/fox.png"


def violated(make: Callable[[], object]) -> dict[str, str]:
    """Return the rules by field that `make` is refused for."""
    with pytest.raises(InvalidRequestError) as caught:
        make()
    return {violation.field: violation.rule for violation in caught.value.violations}


def strict_validator(model: type[TypedRequest]) -> Draft202012Validator:
    """Return the schema's own judge, which knows no other fields."""
    return Draft202012Validator({**read_schema(model.model_id), "additionalProperties": False})


# --- the classes are their schemas ---------------------------------------------------------


@pytest.mark.parametrize("model", CLASSES)
def test_fields_and_defaults_are_the_schemas(model: type[TypedRequest]) -> None:
    """A class has the schema's fields in its order with its defaults, and no others."""
    properties = read_schema(model.model_id)["properties"]
    fields = attrs.fields_dict(model)
    assert list(fields) == list(properties)
    for name, says in properties.items():
        required = name in read_schema(model.model_id)["required"]
        default = attrs.NOTHING if required else says.get("default")
        assert fields[name].default == default
        assert type(fields[name].default) is type(default)


@pytest.mark.parametrize("model", CLASSES)
def test_schemas_hold_no_rule_that_is_not_checked(model: type[TypedRequest]) -> None:
    """A new keyword in a schema file is not silently ignored."""
    schema = read_schema(model.model_id)
    assert set(schema) <= {"$comment", "type", "title", "required", "properties"}
    checked = {"title", "description", "type", "default", "enum", "maxLength", "validations"}
    for says in schema["properties"].values():
        assert set(says) <= checked
        assert says["type"] in {"string", "integer", "boolean"}


def test_every_class_is_listed() -> None:
    """Whoever adds a class and forgets to list it is told."""
    assert set(TypedRequest.__subclasses__()) == set(CLASSES)


ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 14),
    st.integers(),
    st.integers(-2, 14).map(float),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["480P", " 480p", "5", "true", "", "adaptive"]),
    st.lists(st.integers(), max_size=1),
    st.dictionaries(st.text(max_size=1), st.integers(), max_size=1),
)


def values_around(says: Mapping[str, Any]) -> st.SearchStrategy[object]:
    """Return values that a property's schema allows, and values just beside them."""
    choices: list[Any] = says.get("enum", [])
    typed: dict[str, st.SearchStrategy[Any]] = {
        "string": st.text(max_size=20),
        "integer": st.integers(),
        "boolean": st.booleans(),
    }
    good: st.SearchStrategy[Any] = st.sampled_from(choices) if choices else typed[says["type"]]
    around = [good, good, good, ODD_VALUES]
    if says["type"] == "integer" and choices:
        around.append(st.sampled_from([float(choice) for choice in choices]))
        around.append(st.sampled_from([choice + 0.5 for choice in choices]))
    if "maxLength" in says:
        lengths = st.integers(says["maxLength"] - 1, says["maxLength"] + 1)
        characters = st.sampled_from(["a", "\u72d0", "\U0001f98a", "e\u0301"])
        border = st.builds(lambda n, char: (char * n)[:n], lengths, characters)
        around += [border] * 8  # one_of is flat: more than the odd values together
    return st.one_of(around)


@st.composite
def inputs(draw: st.DrawFn) -> tuple[type[TypedRequest], dict[str, object]]:
    """Draw a model with an input that is valid, nearly so, or not."""
    model = draw(st.sampled_from(CLASSES))
    schema = read_schema(model.model_id)
    # The names that stand for each other are a courtesy beyond the schema, tested below.
    strange = st.sampled_from(["resolutoin", "Seed", "model"]) | st.text(max_size=8).filter(
        lambda name: name not in {"prompt", "text"}
    )
    fields = {name: draw(values_around(says)) for name, says in schema["properties"].items()}
    for name in draw(st.sets(st.sampled_from(list(fields)), max_size=4)):
        if name not in schema["required"] or draw(st.integers(0, 4)) == 0:
            del fields[name]
    if draw(st.integers(0, 4)) == 0:
        fields.setdefault(draw(strange), draw(ODD_VALUES))
    return model, fields


def fields_that_jsonschema_refuses(model: type[TypedRequest], given: object) -> set[str]:
    assert isinstance(given, dict)
    schema = read_schema(model.model_id)
    refused: set[str] = set()
    for error in strict_validator(model).iter_errors(given):
        if error.validator == "required":
            refused |= set(schema["required"]) - set(given)
        elif error.validator == "additionalProperties":
            refused |= set(given) - set(schema["properties"])
        else:
            refused.add(str(error.path[0]))
    return refused


@given(inputs())
def test_building_agrees_with_jsonschema(
    drawn: tuple[type[TypedRequest], dict[str, object]],
) -> None:
    """What is refused, and for which fields, is exactly what a JSON Schema validator refuses."""
    model, fields = drawn
    present = {name: value for name, value in fields.items() if value is not None}
    refused = fields_that_jsonschema_refuses(model, present)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RequestAdvice)
        if refused:
            assert set(violated(lambda: build_request(model.short_name, fields))) == refused
            return
        request = build_request(model.short_name, fields)
        assert request == model(**present)
    sent = request.input()
    assert strict_validator(model).is_valid(sent)
    assert sent.items() >= present.items()
    assert not any(isinstance(value, float) for value in sent.values())


@given(inputs())
def test_construction_agrees_with_jsonschema(
    drawn: tuple[type[TypedRequest], dict[str, object]],
) -> None:
    """The classes by themselves refuse the same values, and None only where none is allowed."""
    model, fields = drawn
    rules = field_rules(model)
    known = {rule.name: fields.get(rule.name, rule.default) for rule in rules}
    absent = {rule.name for rule in rules if not rule.required and rule.default is None}
    present = {
        name: value for name, value in known.items() if value is not None or name not in absent
    }
    refused = fields_that_jsonschema_refuses(model, present)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RequestAdvice)
        if refused:
            assert set(violated(lambda: model(**known))) == refused
        else:
            model(**known)


@pytest.mark.parametrize("character", ["a", "\u72d0", "\U0001f98a", "\u0301"])
def test_lengths_count_code_points(character: str) -> None:
    """Neither bytes, nor UTF-16 units, nor what a reader sees as one character (section 8)."""
    assert len(ProFastTextToVideo(text=character * 500).text) == 500
    assert set(violated(lambda: ProFastTextToVideo(text=character * 501))) == {"text"}


# --- what a class does ---------------------------------------------------------------------


def test_input_is_the_body_with_defaults_and_without_what_is_absent() -> None:
    """A ledger can say what was asked, since the defaults are sent."""
    assert ProFastTextToVideo(text="a fox", duration=7).input() == {
        "text": "a fox",
        "resolution": "480p",
        "ratio": "16:9",
        "duration": 7,
    }


def test_whole_floats_become_integers() -> None:
    """JSON Schema takes 5.0 as an integer, the service's own code may not."""
    request = build_request("pro-fast", {"text": "a fox", "duration": 5.0, "seed": 7.0})
    assert request == ProFastTextToVideo(text="a fox", duration=5, seed=7)
    assert [type(request.input()[name]) for name in ("duration", "seed")] == [int, int]


def test_all_violations_come_at_once_in_the_schemas_order() -> None:
    """Nobody mends a request one error a time, and each rule says the way out."""
    rules = violated(
        lambda: build_request(
            "lite", {"prompt": "x" * 1903, "resolution": "4k", "duration": True, "durration": 5}
        )
    )
    assert rules == {
        "prompt": "must have at most 1900 characters: shorten it by 3",
        "first_frame_image_url": "is required: give it text",
        "resolution": "must be one of 480p, 720p, 1080p (text)",
        "duration": "must be one of 5, 10 (a whole number)",
        "durration": "is no field of this model: did you mean duration?",
    }
    assert list(rules) == [
        "prompt",
        "first_frame_image_url",
        "resolution",
        "duration",
        "durration",
    ]


def test_none_is_refused_where_a_default_exists() -> None:
    """A class does not guess; in `build_request` None is an empty cell."""
    rules = violated(lambda: ProFastTextToVideo(text="a fox", duration=None))  # type: ignore[arg-type]
    assert rules["duration"].endswith("leave it out for 5")
    assert build_request("pro-fast", {"text": "a fox", "duration": None, "notes": None}) == (
        ProFastTextToVideo(text="a fox")
    )


def test_lone_surrogates_are_refused() -> None:
    """What UTF-8 cannot hold could not be sent; better before the slot than in the POST."""
    rules = violated(lambda: ProFastTextToVideo(text="a fox \ud83e"))
    assert rules == {"text": "must be text that UTF-8 can hold: remove the lone surrogate at 6"}
    assert ProFastTextToVideo(text="a fox \U0001f98a").text.endswith("\U0001f98a")


def test_requests_are_values() -> None:
    """Requests can be compared, hashed, copied and sent to another process, but not changed."""
    request = ProFastTextToVideo(text="a fox")
    assert pickle.loads(pickle.dumps(request)) == request == copy.deepcopy(request)
    assert {request: 1}[ProFastTextToVideo(text="a fox")] == 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.text = "a hare"  # type: ignore[misc]


def test_import_reads_no_schema() -> None:
    """An app that only attaches jobs pays for no schema: files are read at the first request."""
    code = (
        "import sys, seedance_async.models as m\n"
        "assert 'importlib.resources' not in sys.modules\n"
        "m.ProFastTextToVideo(text='a fox')\n"
        "assert m.schema_rules.cache_info().misses == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- advice --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: V15ProImageToVideo(prompt="x" * 501, first_frame_image_url=IMAGE), "500"),
        (
            lambda: LiteImageToVideo(
                prompt="x",
                first_frame_image_url=IMAGE,
                last_frame_image_url=IMAGE,
                resolution="1080p",
            ),
            "no effect at 1080p",
        ),
        (
            lambda: LiteImageToVideo(prompt="x", first_frame_image_url="data:image/png;base64,"),
            "data: URI",
        ),
        (
            lambda: LiteImageToVideo(
                prompt="x", first_frame_image_url=IMAGE, last_frame_image_url="http://a/b.png"
            ),
            "last_frame_image_url is no https URL",
        ),
        (
            lambda: build_request("v15-pro", {"prompt": "x", "first_frame_image_url": "fox.png"}),
            "no https URL",
        ),
        (
            lambda: attrs.evolve(
                V15ProImageToVideo(prompt="x", first_frame_image_url=IMAGE), prompt="x" * 501
            ),
            "500",
        ),
    ],
)
def test_advice_warns_the_code_that_makes_the_request(
    make: Callable[[], TypedRequest], word: str
) -> None:
    """What is allowed but will disappoint is a warning at the caller's line, and a value."""
    with pytest.warns(RequestAdvice, match=word) as caught:
        request = make()
    assert [warning.filename for warning in caught] == [__file__]
    assert request.advice() == (str(caught[0].message),)


def test_good_requests_get_no_advice() -> None:
    """At the bounds nothing is said; a capital scheme is a scheme."""
    V15ProImageToVideo(prompt="x" * 500, first_frame_image_url="HTTPS://example.com/a.png")
    request = LiteImageToVideo(prompt="x", first_frame_image_url=IMAGE, resolution="1080p")
    assert request.advice() == ()


# --- by name -------------------------------------------------------------------------------


def test_models_are_found_by_full_id_and_short_name() -> None:
    """Both names lead to one class, and each class is listed once."""
    for model in CLASSES:
        assert find_model(model.model_id) is find_model(model.short_name) is model
    assert [model.short_name for model in CLASSES] == ["lite", "v15-pro", "pro-fast"]
    assert find_model("bytedance/seedance-2.0/pro") is None


def test_prompt_and_text_are_taken_for_each_other() -> None:
    """One spreadsheet serves models that call their prompt by different names."""
    assert build_request("pro-fast", {"prompt": "a fox"}).input()["text"] == "a fox"
    fields = {"text": "a fox", "first_frame_image_url": IMAGE}
    assert build_request("lite", fields).input()["prompt"] == "a fox"
    assert build_request("lite", {**fields, "prompt": None}).input()["prompt"] == "a fox"
    assert violated(lambda: build_request("lite", {**fields, "prompt": "a hare"})) == {
        "text": "means prompt, which is given too: keep one"
    }


def test_an_unknown_id_is_let_through_and_a_misspelt_short_name_is_not() -> None:
    """New models come every month; `lte` is none of them."""
    request = build_request("bytedance/seedance-2.0/pro", {"prompt": "a fox", "seed": None})
    assert isinstance(request, RawRequest)
    assert request.input() == {"prompt": "a fox", "seed": None}
    assert "lite, v15-pro, pro-fast" in violated(lambda: build_request("lte", {}))["model"]


def test_field_rules_tell_what_a_command_line_needs() -> None:
    """Flags, listings and templates come from the rules."""
    rules = {rule.name: rule for rule in field_rules(V15ProImageToVideo)}
    assert list(rules) == list(read_schema(V15ProImageToVideo.model_id)["properties"])
    assert rules["prompt"].required
    assert rules["first_frame_image_url"].is_image
    assert rules["duration"].choices == (4, 5, 6, 7, 8, 9, 10, 11, 12)
    assert (rules["generate_audio"].type, rules["generate_audio"].default) == ("boolean", True)
    assert field_rules(ProFastTextToVideo)[0].max_length == 500


# --- shapes --------------------------------------------------------------------------------


def test_shapes_are_what_prices_depend_on() -> None:
    """The shape is read from what is sent, and strange values are absent ones."""
    assert shape(ProFastTextToVideo(text="a", duration=7)) == Shape(
        ProFastTextToVideo.model_id, "480p", 7, None
    )
    assert shape(V15ProImageToVideo(prompt="a", first_frame_image_url=IMAGE)).audio is True
    raw = RawRequest("a/b", {"resolution": 720, "duration": "5", "generate_audio": 1})
    assert shape(raw) == Shape("a/b")
    assert shape(RawRequest("a/b", {"duration": 5.0})).duration == 5
    assert shape(RawRequest("a/b", {"duration": True})).duration is None


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_blank_prompt_is_allowed_by_the_schema_and_warned_of(text: str) -> None:
    """It is paid for like any other."""
    with pytest.warns(RequestAdvice, match="text is blank"):
        ProFastTextToVideo(text=text)
    with pytest.warns(RequestAdvice, match="prompt is blank"):
        LiteImageToVideo(prompt=text, first_frame_image_url="https://example.com/a.png")
