"""Manifests that cannot be read: one error that says how to make the file right."""

from __future__ import annotations

import io

import pytest

from seedance_async.batch.dialect import MAX_LINE, Form
from seedance_async.batch.manifest import ManifestError, read_manifest
from tests.batch.reading import CSV_UTF8, OTHER, ROW, read, rows

SEMICOLONS = "its cells are separated by semicolons, not commas: export it as"
NO_HEADER = "the first line names no field of a model: begin with a header, such as text,duration"

UNREADABLE: list[tuple[bytes, Form, list[str]]] = [
    (b"", "jsonl", ["in.x: it is empty: write one line for each video"]),
    (b"\xef\xbb\xbf\r\n \n", "jsonl", ["in.x: it is empty"]),
    (b"", "csv", ["in.x: it is empty"]),
    (b"text,duration\n\n,\n", "csv", ["in.x: there is a header, but no row"]),
    ("text\nfox\n".encode("utf-16"), "csv", ["in.x: this is UTF-16, not UTF-8", CSV_UTF8]),
    ("text\nfox\n".encode("utf-16-le"), "csv", ["in.x: this is UTF-16, not UTF-8", CSV_UTF8]),
    (ROW.encode("utf-16-be"), "jsonl", ["in.x: this is UTF-16, not UTF-8: save it as UTF-8"]),
    (
        b'{"text": "a"}\n{"text": "\xfcber"}\n',
        "jsonl",
        ["in.x, line 2: byte 11 (0xfc, ü in Windows-1252) is not UTF-8: save it as UTF-8"],
    ),
    (
        b"\xef\xbb\xbftext\nfox\ncaf\xe9\n",
        "csv",
        ["in.x, line 3: byte 4 (0xe9, é in Windows-1252) is not UTF-8: " + CSV_UTF8],
    ),
    (b"\xef\xbb\xbftext\x81\n", "csv", ["in.x, line 1: byte 8 (0x81) is not UTF-8"]),
    (b"PK\x03\x04\x14\x00", "csv", ["in.x: this is a spreadsheet's own format, or", CSV_UTF8]),
    (b"\x1f\x8b\x08\x00", "jsonl", ["in.x: this is compressed: decompress it"]),
    (b"text;duration\nfox;5\n", "csv", [f"in.x, line 1: {SEMICOLONS}", "LibreOffice"]),
    (b'"text";"duration"\n"fox";5\n', "csv", [SEMICOLONS]),
    (b"sep=;\ntext;duration\n", "csv", [SEMICOLONS]),
    (b"text\tduration\nfox\t5\n", "csv", ["separated by tabs, not commas"]),
    (b"text,seed\rfox,5\r", "csv", ["in.x, line 1: its lines end with carriage returns alone"]),
    (b'{"text": "fox"}\n', "csv", ["in.x, line 1: this looks like JSON Lines: name it .jsonl"]),
    (
        b"text,durration,my notes\nfox,5,\n",
        "csv",
        [
            "in.x, line 1: no model has a field named 'durration' (did you mean duration or ",
            "ratio?), 'my notes': correct the header, or pass by with ",
            " with --ignore-columns durration --ignore-columns 'my notes'",
        ],
    ),
    (b"Text\nfox\n", "csv", ["no model has a field named 'Text' (did you mean text?)"]),
    (b"text,\x1b[2J\n", "csv", ["no model has a field named '\\x1b[2J': correct the header"]),
    (b"A red fox crosses a lake\nfox\n", "csv", [NO_HEADER]),
    (b"text,seed,text,seed\nfox,1,fox,1\n", "csv", ["the header has 'text', 'seed' twice"]),
    (b"text,prompt\nfox,\n", "csv", ["the header has prompt and text, which are taken for each"]),
    (
        b'text,seed\nfox,1\n"a fox,5\na hare,5\n',
        "csv",
        ["in.x, line 3: a quotation mark of the row that begins here is not closed"],
    ),
    (b'text,seed\n"a"b "fox,5\n"a hare,5\n', "csv", ["in.x, line 2: a quotation mark of the"]),
    (
        b'text\n"' + b"a fox\n" * 30_000,
        "csv",
        ["in.x, line 2: a quotation mark of the row that begins here is not closed"],
    ),
    (
        b"text,seed,ratio\n" + b'"' + (b'a\n","' * 500_000),
        "csv",
        ["in.x, line 2: a quotation mark of the row that begins here is not closed"],
    ),
    (
        b'text,seed\n"a\n' + b"b" * MAX_LINE + b'"\n',
        "csv",
        ["in.x, line 2: a quotation mark of the row that begins here is not closed"],
    ),
    (b"x" * (MAX_LINE + 1) + b"\ntext\n", "csv", ["in.x, line 1: has more than 2,000,000 bytes"]),
]


@pytest.mark.parametrize(
    ("data", "form", "says"), UNREADABLE, ids=[repr(data[:24]) for data, *_ in UNREADABLE]
)
def test_an_unreadable_manifest_is_one_error(data: bytes, form: Form, says: list[str]) -> None:
    """It says what is wrong with the file, where, and how to make it right."""
    stream = io.BytesIO(data)
    stream.name = "in.x"
    with pytest.raises(ManifestError) as caught:
        list(read_manifest(stream, model="pro-fast", form=form))
    assert all(part in str(caught.value) for part in says), str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("column", ["text", "text,notes"])
def test_a_sheet_needs_a_model(column: str) -> None:
    """Once for the sheet, and not at every row."""
    with pytest.raises(ManifestError, match="line 1: there is no column named model: add one, or"):
        read(f"{column}\nfox\n", model=None, form="csv")
    with pytest.raises(ManifestError, match="names no field of a model"):
        read("a red fox\na hare\n", model=None, form="csv")


def test_a_column_may_be_unknown_until_a_known_model_uses_it() -> None:
    """Beside unknown models nobody can tell before; then it is one error again."""
    data = f"model,text,shots\n{OTHER},an owl,3\npro-fast,a fox,\n"
    assert len(rows(data, model=None, form="csv")) == 2
    with pytest.raises(ManifestError, match="line 1: no model has a field named 'shots'"):
        read(f"{data}pro-fast,a hare,2\n", model=None, form="csv")
    assert len(rows(f"{data}pro-fast,a hare,2\n", model=None, form="csv", ignore=["shots"])) == 3


def test_a_wrong_model_argument_is_said_once() -> None:
    """It is not the rows' fault."""
    with pytest.raises(ManifestError, match=r"--model 'pro-fest' must be a short name \(lite"):
        read(ROW * 3, model="pro-fest")
