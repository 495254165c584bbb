"""Keys name rows: equal rows are equal, and nothing ever renames one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_async.batch import keys
from seedance_async.batch.keys import KEY_VERSION, derived_key, row_digest
from seedance_async.models import MODELS, field_rules

FAST = MODELS["pro-fast"].model_id
V15 = MODELS["v15-pro"].model_id
OTHER = "bytedance/seedance-2.0/pro"
GOLDEN = json.loads(Path(__file__).with_name("golden_keys.json").read_text("utf-8"))


@pytest.mark.parametrize("vector", GOLDEN["rows"], ids=lambda vector: vector["says"])
def test_golden_vectors(vector: Mapping[str, Any]) -> None:
    """What version 1 has named stays named so; if this fails, rows would be paid for again.

    Never change a vector: another algorithm is another `KEY_VERSION` with vectors of its own.
    """
    assert GOLDEN["version"] == KEY_VERSION
    digest = row_digest(vector["model_id"], vector["fields"])
    assert digest == vector["digest"]
    assert [derived_key(digest, 1), derived_key(digest, 2)] == vector["keys"]


def test_golden_vectors_do_not_depend_on_the_hash_seed() -> None:
    """Another process, with other hashes of strings, gives the same names."""
    code = (
        "import json, sys; from seedance_async.batch.keys import row_digest; "
        "print(json.dumps([row_digest(r['model_id'], r['fields']) for r in json.load(sys.stdin)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(GOLDEN["rows"]),
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == [vector["digest"] for vector in GOLDEN["rows"]]


def test_frozen_defaults_are_still_the_schemas() -> None:
    """A schema that has changed a default needs a thought, not an edit of the frozen table.

    Version 1 goes on with its own defaults for the ledgers that exist: write version 2.
    """
    schemas = {
        model.model_id: {
            rule.name: rule.default for rule in field_rules(model) if rule.default is not None
        }
        for model in MODELS.values()
    }
    frozen = {model_id: dict(defaults) for model_id, defaults in keys._DEFAULTS.items()}
    assert frozen.items() <= schemas.items()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"text": "fox"}, {"prompt": "fox"}),
        ({"text": "fox", "duration": 8}, {"duration": 8.0, "text": "fox"}),
        ({"text": "fox"}, {"text": "fox", "duration": 5, "ratio": "16:9", "resolution": "480p"}),
        ({"text": "fox"}, {"text": "fox", "duration": 5.0}),
        ({"text": "fox"}, {"text": "fox", "seed": None}),
    ],
)
def test_other_words_for_the_same_are_the_same(
    one: dict[str, object], other: dict[str, object]
) -> None:
    """Whoever tidies up a manifest pays for nothing twice."""
    assert row_digest(FAST, one) == row_digest(FAST, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"text": "fox"}, {"text": "Fox"}),
        ({"text": "fox"}, {"text": "fox "}),
        ({"text": "e\u0301"}, {"text": "\u00e9"}),
        ({"text": "fox"}, {"text": "fox", "seed": 0}),
        ({"text": "fox", "seed": 1}, {"text": "fox", "seed": 2}),
        ({"text": "fox", "seed": 1}, {"text": "fox", "seed": "1"}),
    ],
)
def test_what_differs_has_another_digest(one: dict[str, object], other: dict[str, object]) -> None:
    """Text is taken as it stands."""
    assert row_digest(FAST, one) != row_digest(FAST, other)


def test_models_differ() -> None:
    """The same words for another model are another video; true is no 1."""
    fields = {"prompt": "fox", "first_frame_image_url": "https://example.com/fox.png"}
    lite = MODELS["lite"].model_id
    assert len({row_digest(model, fields) for model in (FAST, V15, lite, OTHER)}) == 4
    assert row_digest(V15, {**fields, "camera_fixed": True}) == row_digest(V15, fields)
    assert row_digest(V15, {**fields, "camera_fixed": 1}) != row_digest(V15, fields)


def test_of_an_unknown_model_only_numbers_are_normalised() -> None:
    """Nobody knows its defaults and synonyms; null is sent, so it counts."""
    assert row_digest(OTHER, {"n": 5.0, "m": [2.0, {"k": 3.0}]}) == row_digest(
        OTHER, {"m": [2, {"k": 3}], "n": 5}
    )
    rows: list[dict[str, object]] = [
        {"text": "fox"},
        {"prompt": "fox"},
        {"text": "fox", "duration": 5},
        {"text": "fox", "seed": None},
        {"text": "fox", "n": 0.5},
        {"text": "fox", "n": True},
        {"text": "fox", "n": 1},
    ]
    assert len({row_digest(OTHER, row) for row in rows}) == len(rows)


def test_numbers_without_an_end_have_no_digest() -> None:
    """They are no JSON, and rules refuse them before."""
    with pytest.raises(ValueError, match="JSON"):
        row_digest(OTHER, {"n": float("nan")})


def test_equal_rows_are_two_videos() -> None:
    """The second of them is named after the first; the names are files' on all systems."""
    digest = row_digest(FAST, {"text": "fox"})
    names = [derived_key(digest, occurrence) for occurrence in (1, 2, 10)]
    assert names == [f"r{digest[:16]}", f"r{digest[:16]}_2", f"r{digest[:16]}_10"]
    assert all(re.fullmatch(r"r[0-9a-f]{16}(_[0-9]+)?", name) for name in names)
    with pytest.raises(ValueError, match="count from 1"):
        derived_key(digest, 0)


def keys_of(rows: list[dict[str, object]]) -> Counter[str]:
    """Name rows as a plan does: occurrences count in the manifest's order."""
    seen: Counter[str] = Counter()
    named: Counter[str] = Counter()
    for row in rows:
        digest = row_digest(FAST, row)
        seen[digest] += 1
        named[derived_key(digest, seen[digest])] += 1
    return named


ROWS = st.lists(
    st.fixed_dictionaries(
        {"text": st.sampled_from(["a fox", "a hare"])},
        optional={"duration": st.sampled_from([5, 5.0, 8])},
    ),
    max_size=12,
)


@given(ROWS, st.data())
def test_moving_and_inserting_rows_renames_nothing(
    rows: list[dict[str, object]], data: st.DataObject
) -> None:
    """A moved row keeps its key, an inserted one adds one, and no key is given twice."""
    before = keys_of(rows)
    assert keys_of(data.draw(st.permutations(rows))) == before
    at = data.draw(st.integers(0, len(rows)))
    after = keys_of([*rows[:at], {"text": "a fox", "duration": 8}, *rows[at:]])
    assert before <= after
    assert max(after.values()) == 1
