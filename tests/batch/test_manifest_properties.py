"""What holds of every manifest, made by chance."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seedance_async.batch.dialect import Form
from seedance_async.batch.keys import derived_key
from seedance_async.batch.manifest import ManifestError, ManifestRow, RowError, read_manifest
from tests.batch.reading import OTHER, ROW, jsonl, rows, sheet

PIECES = st.one_of(
    st.binary(max_size=8),
    st.text(max_size=4).map(str.encode).map(bytes),
    st.sampled_from(
        [
            *(b"\n", b"\r\n", b"\r", b",", b";", b'"', b"{", b"}", b"[", b":", b"\xef\xbb\xbf"),
            *(b"text", b"model", b"key", b"duration", b"seed", b"prompt", b'"text"', b'"model"'),
            *(b"5", b"5.0", b"true", b"null", b"NaN", b"1e999", b'"a"', b'"pro-fast"', b'"a/b"'),
            *(b"text,seed\n", b"model,text,x\n", b"pro-fast,a,1\n", b"a/b,a,1\n", ROW.encode()),
            *(b'{"model": "a/b", ', b'"\\ud800"', b'"key": "k"}', b'{"text": "a", '),
        ]
    ),
)


@given(
    st.lists(PIECES, max_size=25).map(b"".join),
    st.sampled_from(["jsonl", "csv"]),
    st.sampled_from([None, "pro-fast", "lite", OTHER]),
)
def test_any_bytes_are_rows_or_errors(data: bytes, form: Form, model: str | None) -> None:
    """Whatever a file holds, it is told what is wrong, in words that can be printed."""
    found: list[ManifestRow | RowError | ManifestError] = []
    try:
        stream = io.BytesIO(data)
        found.extend(read_manifest(stream, model=model, form=form))
    except ManifestError as error:
        found.append(error)
    for row in found:
        if isinstance(row, ManifestRow):
            json.dumps(row.request.input(), ensure_ascii=False, allow_nan=False).encode()
            assert 1 <= row.line <= data.count(b"\n") + 1
        else:
            assert str(row).isprintable()
            str(row).encode()


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(str.strip)
Fields = Mapping[str, st.SearchStrategy[Any]]
FIELDS: Mapping[str, tuple[Fields, Fields]] = {
    "pro-fast": (
        {"text": TEXTS},
        {
            "duration": st.sampled_from([2, 5, 12, 5.0]),
            "seed": st.integers(-(10**20), 10**20),
            "ratio": st.sampled_from(["16:9", "1:1"]),
        },
    ),
    "v15-pro": (
        {"text": TEXTS, "first_frame_image_url": TEXTS},
        {"generate_audio": st.booleans(), "resolution": st.sampled_from(["480p", "720p"])},
    ),
    OTHER: (
        {"text": TEXTS},
        {"shots": st.integers(), "scale": st.floats(allow_nan=False, allow_infinity=False)},
    ),
}
MANIFESTS = st.lists(
    st.one_of(
        [
            st.fixed_dictionaries(
                {"model": st.just(model), **required},
                optional={**optional, "key": st.from_regex("[a-z0-9]{1,5}", fullmatch=True)},
            )
            for model, (required, optional) in FIELDS.items()
        ]
    ),
    min_size=1,
    max_size=6,
)


@given(MANIFESTS)
def test_a_sheet_and_json_lines_of_the_same_rows_are_the_same(items: list[dict[str, Any]]) -> None:
    """Keys, requests and digests: whoever changes the form pays for nothing twice."""
    as_json = rows(jsonl(*items), model=None)
    as_sheet = rows(sheet(items), model=None, form="csv")
    assert [(row.key, row.request, row.digest) for row in as_sheet] == [
        (row.key, row.request, row.digest) for row in as_json
    ]


@given(MANIFESTS, st.randoms(use_true_random=False))
def test_moving_rows_renames_nothing(items: list[dict[str, Any]], random: Any) -> None:
    """The keys of a manifest do not depend on its order."""

    def keys(of: list[dict[str, Any]]) -> Counter[str]:
        seen: Counter[str] = Counter()
        named = []
        for row in rows(jsonl(*of), model=None):
            if row.key is None:
                seen[row.digest] += 1
            named.append(row.key or derived_key(row.digest, seen[row.digest]))
        return Counter(named)

    moved = random.sample([*items, *items], 2 * len(items))
    assert keys(moved) == keys([*items, *items])
