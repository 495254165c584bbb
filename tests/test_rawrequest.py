"""Requests for models that are not known, and which ids and inputs are refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from seedance_async.errors import InvalidRequestError
from seedance_async.rawrequest import RawRequest, check_model_id


def violated(make: Callable[[], object]) -> dict[str, str]:
    """Return the rules by field that `make` is refused for."""
    with pytest.raises(InvalidRequestError) as caught:
        make()
    return {violation.field: violation.rule for violation in caught.value.violations}


def test_a_raw_request_cannot_be_changed_from_outside() -> None:
    """What the journal saw is what is sent, whatever a caller does to his dict."""
    images = ["a", "b"]
    request = RawRequest("bytedance/seedance-2.0/pro", {"image_url": images})
    images.append("c")
    request.input()["image_url"] = []
    assert request.input() == {"image_url": ["a", "b"]}
    assert request == RawRequest("bytedance/seedance-2.0/pro", {"image_url": ["a", "b"]})
    assert hash(request) == hash(copy.copy(request))
    assert attrs.evolve(request, model_id="a/b").input() == request.input()


@pytest.mark.parametrize("model_id", ["a", "a/b", "bytedance/seedance-v1.5-pro/x_y", "a..b/c"])
def test_usable_model_ids(model_id: str) -> None:
    """Ids stay raw path segments, dots included."""
    check_model_id(model_id)
    assert RawRequest(model_id, {}).model_id == model_id


@pytest.mark.parametrize(
    "model_id",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "./a",
        "a b",
        "a%2Fb",
        "a?b",
        "a#b",
        "\u00e4",
        "a\n",
        5,
    ],
)
def test_unusable_model_ids(model_id: Any) -> None:
    """No id can lead to another endpoint."""
    assert set(violated(lambda: RawRequest(model_id, {}))) == {"model_id"}
    assert set(violated(lambda: check_model_id(model_id))) == {"model_id"}


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "given",
    [
        [],
        "text",
        None,
        {1: "a"},
        {"a": {None: 1}},
        {"a": float("nan")},
        {"a": [float("inf")]},
        {"a": "\ud800"},
        {"\ud800": 1},
        {"a": {1, 2}},
        {"a": b"bytes"},
        {"a": nested(100_000)},
    ],
    ids=lambda value: type(value).__name__,
)
def test_inputs_that_are_no_json_objects(given: Any) -> None:
    """Nothing is found out in the middle of a POST, and nothing is silently rewritten."""
    rules = violated(lambda: RawRequest("a/b", given))
    assert rules["input"].startswith("must be a JSON object: ")


def test_a_raw_request_reports_id_and_input_together() -> None:
    """All violations at once, here too."""
    assert set(violated(lambda: RawRequest("../x", {"a": {1}}))) == {"model_id", "input"}
