"""Bad rows of manifests: sentences that say where, what and how to go on."""

from __future__ import annotations

import attrs
import pytest

from seedance_async.batch.dialect import MAX_LINE
from seedance_async.batch.manifest import ManifestRow, RowError, read_manifest
from tests.batch.reading import ROW, jsonl, read

ONE_LINE = "write each row as one JSON object on a line of its own"

BAD_JSON = [
    ('{"text": ', ["line 1 is no JSON (Expecting value at column 10)"]),
    ('{"text": "a"} {}', ["line 1 is no JSON (Extra data at column 15)", ONE_LINE]),
    ("{'text': 'a'}", ["line 1 is no JSON (Expecting property name", ONE_LINE]),
    ("[1]", ['line 1 must be one JSON object, such as {"text": "A red fox"', "(given: [1])"]),
    ("null", ["line 1 must be one JSON object", "(given: None)"]),
    ('{"text": "a", "text": "b"}', ["line 1: text stands twice in one object: keep one"]),
    ('{"text": "a", "x": {"y": 1, "y": 1}}', ["line 1: y stands twice in one object"]),
    ('{"text": "a", "seed": NaN}', ["line 1 is no JSON (NaN is no JSON number)"]),
    ('{"text": "a", "seed": -Infinity}', ["line 1 is no JSON (-Infinity is no JSON number)"]),
    ('{"text": "a", "seed": 1e999}', ["line 1 is no JSON (1e999 is too large a number)"]),
    ('{"seed": ' + "9" * 5000 + "}", ["line 1 is no JSON (a number has too many digits)"]),
    ("[" * 100_000, ["line 1 is nested too deeply: a row is an object of plain values"]),
    (
        '{"text": "a", "seed": ' + "[" * 100_000 + "]" * 100_000 + "}",
        ["line 1 is nested too deeply"],
    ),
    ('{"text": "a", "duration": "5"}', ["line 1: duration must be one of 2, 3,", "(given: '5')"]),
    ('{"text": "a", "duration": true}', ["line 1: duration must be one of 2, 3", "(given: True)"]),
    ('{"text": ["a"]}', ["line 1: text must be text (given: ['a'])"]),
    ('{"duration": 5}', ["line 1: text is required: give it text"]),
    ('{"text": null}', ["line 1: text is required: give it text"]),
    ('{"text": "a", "prompt": "b"}', ["line 1: prompt means text, which is given too: keep one"]),
    ('{"text": "\\ud800"}', ["line 1: text must be text that UTF-8 can hold"]),
    (
        '{"text": "a", "durration": 5}',
        [
            "line 1: durration is no field of this model: did you mean duration or ratio?; or",
            "; or pass it by with --ignore-columns (given: 5)",
        ],
    ),
    ('{"text": "a", "input": 5}', ["line 1: input is no field of this model"]),
    ('{"text": "a", "model_id": "x"}', ["line 1: model_id is no field of this model"]),
    ('{"text": "a", "": 1}', ["line 1: '' is no field of this model"]),
    ('{"text": "a", "\\u001b[2J\\n": 1}', ["line 1: '\\x1b[2J\\n' is no field of this model"]),
    ('{"text": "a", "\\ud800": 1}', ["line 1: '\\ud800' is no field of this model"]),
    ('{"model": 5, "text": "a"}', ["line 1: model must be a short name or", "(given: 5)"]),
    ('{"model": "pro-fest", "text": "a"}', ["line 1: model must be a short name (lite, v15-pro"]),
    ('{"model": "a//b", "text": "a"}', ["line 1: model must be segments of", "(given: 'a//b')"]),
    ('{"model": "a/b", "x": "\\ud800"}', ["line 1: x must be text that UTF-8 can hold"]),
    ('{"model": "a/b", "x": ["\\ud800"]}', ["line 1 must be a JSON object", "surrogates"]),
    ('{"text": "a", "key": ""}', ["line 1: key must have 1 to 200 characters, not 0"]),
    (
        jsonl({"text": "a", "key": "k" * 201}),
        ["line 1: key must have 1 to 200 characters, not 201: leave it out to get one derived"],
    ),
    (
        '{"text": "a", "key": "a\\nb"}',
        ["line 1: key must not have control characters: remove U+000A at character 2"],
    ),
    ('{"text": "a", "key": "a\\ud800"}', ["key must not have control", "remove U+D800"]),
    ('{"text": "a", "key": 5.0}', ["line 1: key must be text or a whole number", "(given: 5.0)"]),
    ('{"text": "a", "key": true}', ["line 1: key must be text or a whole number"]),
    ('{"text": "a", "key": ["b"]}', ["line 1: key must be text or a whole number"]),
]


@pytest.mark.parametrize(("data", "says"), BAD_JSON, ids=[data[:30] for data, _ in BAD_JSON])
def test_a_bad_json_row_is_one_sentence_and_ends_nothing(data: str, says: list[str]) -> None:
    """With line, field, rule and the way out; the row after it is read."""
    found = read(f"{data.strip()}\n{ROW}\n")
    assert len(found) == 2
    assert isinstance(found[0], RowError)
    assert all(part in str(found[0]) for part in says), str(found[0])
    assert str(found[0]).isprintable()
    assert len(str(found[0])) < 400
    assert isinstance(found[1], ManifestRow)
    assert found[1].line == 2


BAD_CELLS = [
    ("text,duration\na,5,6\n", ["line 2 must have 2 cells like the header, not 3: put cells with"]),
    ("text\na,5\n", ["line 2 must have 1 cell like the header, not 2"]),
    ("text,duration\na\n", ["line 2 must have 2 cells like the header, not 1"]),
    ("text,duration\na,7s\n", ["line 2: duration must be one of 2, 3", "(given: '7s')"]),
    ("text,duration\na,13\n", ["line 2: duration must be one of 2, 3", "(given: 13)"]),
    ("text,seed\na,1.23E+09\n", ["line 2: seed must be a whole number (given: '1.23E+09')"]),
    ("text,seed\na,5.5\n", ["line 2: seed must be a whole number (given: '5.5')"]),
    ("text,seed\n ,5\n", ["line 2: text is required: give it text"]),
    ("text,generate_audio\na,true\n", ["line 2: generate_audio is no field of this model"]),
    ("text,\na,note\n", ["line 2 has 'note' in column 2, which has no name"]),
    ("text,model\na,pro-fest\n", ["line 2: model must be a short name (lite, v15-pro"]),
    ('text,seed\n"a"b,5\n', ["line 2 is no CSV (',' expected after '\"')", "double those within"]),
    ("text,seed\na\rb,5\n", ["line 2 is no CSV (new-line character seen"]),
    (f"text,seed\n{'a' * 140_000},5\n", ["line 2 has a cell of more than 131,072 characters"]),
    (f"text,seed\n{'a' * MAX_LINE},5\n", ["line 2 has more than 2,000,000 bytes"]),
]


@pytest.mark.parametrize(("data", "says"), BAD_CELLS, ids=[data[:30] for data, _ in BAD_CELLS])
def test_a_bad_row_of_a_sheet_is_one_sentence_and_ends_nothing(data: str, says: list[str]) -> None:
    """The same words as in JSON, for the same judge speaks."""
    width = data.partition("\n")[0].count(",")
    found = read(f"{data}a fox{',' * width}\n", form="csv")
    assert len(found) == 2
    assert isinstance(found[0], RowError)
    assert all(part in str(found[0]) for part in says), str(found[0])
    assert isinstance(found[1], ManifestRow)
    assert found[1].line == 3


@pytest.mark.parametrize("model", ["a/b", "pro-fast"])
def test_depth_is_a_rows_own_trouble(model: str) -> None:
    """Parsing, copying and hashing give up at different depths, all with the same sentence."""
    said = set()
    for depth in range(1, 1100):
        nested = "[" * depth + "5.0" + "]" * depth
        first, second = read(f'{{"model": "{model}", "text": "a", "seed": {nested}}}\n{ROW}\n')
        assert isinstance(second, ManifestRow)
        said.add(first.rule.partition(":")[0] if isinstance(first, RowError) else model)
    right = model if model == "a/b" else "must be a whole number"
    assert said <= {right, "is nested too deeply"}


def test_all_that_is_wrong_with_a_row_is_said_at_once() -> None:
    """One error for each rule, all of the same line."""
    found = read('\n{"text": "a", "duration": 1, "ratio": "2:1", "what": 1, "key": 0.5}\n')
    assert [(row.line, row.field) for row in found if isinstance(row, RowError)] == [
        (2, "ratio"),
        (2, "duration"),
        (2, "what"),
        (2, "key"),
    ]
    found = read('{"key": "", "text": "a"}', model=None)
    assert [row.field for row in found if isinstance(row, RowError)] == ["model", "key"]
    found = read("text,key,duration\na,\x07,1\n", form="csv")
    assert [row.field for row in found if isinstance(row, RowError)] == ["duration", "key"]


def test_the_line_of_a_row_is_where_it_begins() -> None:
    """A quoted cell may have many lines."""
    data = 'text,duration\n"a\n\n\r\nfox",5\n\n"a\nhare",1\nan owl,5\n'
    assert [row.line for row in read(data, form="csv")] == [2, 7, 9]


def test_a_row_error_is_plain_values() -> None:
    """So that `errors.jsonl` can hold it."""
    (error,) = read(jsonl({"text": "x" * 501}))
    assert attrs.asdict(error) == {
        "line": 1,
        "field": "text",
        "rule": "must have at most 500 characters: shorten it by 1",
        "value": f"'{'x' * 76}...",
    }


class Endless:
    """A line of 50 MB, then a row; counts how much is held at once."""

    name = "endless"

    def __init__(self) -> None:
        self.left = 50_000_000
        self.asked = 0
        self.row = ROW.encode()

    def readline(self, size: int, /) -> bytes:
        self.asked = max(self.asked, size)
        if self.left:
            part = b"x" * min(size, self.left)
            self.left -= len(part)
            return part if self.left else part[:-1] + b"\n"
        row, self.row = self.row, b""
        return row


def test_a_long_line_is_passed_by_without_being_held() -> None:
    """The rest of the manifest is read; memory is bounded by what is asked for."""
    stream = Endless()
    error, row = read_manifest(stream, model="pro-fast")
    assert isinstance(row, ManifestRow)
    assert row.line == 2
    assert str(error) == (
        "line 1 has more than 2,000,000 bytes: give images as URLs, and check that each row has "
        "a line of its own"
    )
    assert stream.asked <= MAX_LINE + 1


@pytest.mark.parametrize(("excess", "good"), [(0, True), (1, False)])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_the_limit_of_a_line(excess: int, good: bool, end: bytes) -> None:
    """It counts the line without its end."""
    frame = b'{"model": "a/b", "x": ""}'
    data = frame[:-2] + b"x" * (MAX_LINE - len(frame) + excess) + frame[-2:] + end
    assert isinstance(read(data)[0], ManifestRow if good else RowError)
