"""Manifests: good rows become requests, wherever they are read from."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import pytest

from seedance_async.batch.keys import row_digest
from seedance_async.batch.manifest import ManifestError, ManifestRow, read_manifest
from seedance_async.models import (
    MODELS,
    LiteImageToVideo,
    ProFastTextToVideo,
    RawRequest,
    RequestAdvice,
    V15ProImageToVideo,
    build_request,
)
from tests.batch.reading import CSV_UTF8, FAST, IMAGE, OTHER, ROW, jsonl, rows, sheet


def test_a_row_is_a_request_with_its_line_key_and_digest() -> None:
    """What a plan needs of a row, and nothing else."""
    (row,) = rows('{"text": "a fox", "duration": 8.0, "key": "fox-1"}')
    assert row == ManifestRow(
        line=1,
        key="fox-1",
        model_id=FAST,
        request=ProFastTextToVideo(text="a fox", duration=8),
        digest=row_digest(FAST, {"text": "a fox", "duration": 8}),
    )


def test_a_row_names_its_model_or_takes_the_one_given() -> None:
    """By short name or full id; an unknown id gives a request without rules."""
    found = rows(
        jsonl(
            {"text": "a"},
            {"model": None, "text": "a"},
            {"model": "lite", "prompt": "a", "first_frame_image_url": IMAGE},
            {"model": V15ProImageToVideo.model_id, "text": "a", "first_frame_image_url": IMAGE},
            {"model": OTHER, "prompt": "a", "shots": [1, {"x": None}]},
        )
    )
    assert [type(row.request) for row in found] == [
        ProFastTextToVideo,
        ProFastTextToVideo,
        LiteImageToVideo,
        V15ProImageToVideo,
        RawRequest,
    ]
    assert found[4].model_id == OTHER
    assert found[4].request.input() == {"prompt": "a", "shots": [1, {"x": None}]}
    assert rows('{"prompt": "a"}', model=OTHER)[0].request == RawRequest(OTHER, {"prompt": "a"})


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (ROW, [1]),
        (f"{ROW}\n", [1]),
        (f"\ufeff{ROW}\r\n{ROW}\r\n", [1, 2]),
        (f"\n \t\n{ROW}\n\n{ROW}\n\n\n", [3, 5]),
        (f"  {ROW}  \n", [1]),
    ],
)
def test_bom_crlf_and_blank_lines_are_fine(data: str, lines: list[int]) -> None:
    """Lines are counted as an editor counts them."""
    assert [row.line for row in rows(data)] == lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ("text\na fox", [2]),
        ("\ufefftext,duration\r\na fox,\r\na hare,5\r\n", [2, 3]),
        ("\ufeff\r\ntext\r\n\r\na fox\r\n,\r\n", [4]),
        ('"text","duration"\n"a fox","5"\n', [2]),
        (' text , duration ,\n"a\nred, ""fox""",5,\na hare,,\n', [2, 4]),
        ("text,duration\n,\n , \na fox,5\n", [4]),
    ],
)
def test_sheets_as_programs_write_them(data: str, lines: list[int]) -> None:
    """BOM, CRLF, quoted breaks, rows of empty cells, a nameless column without values."""
    if data.startswith("\ufeff\r\n"):
        data = data.replace(",\r\n", "\r\n")
    assert [row.line for row in rows(data, form="csv")] == lines


def test_cells_are_typed_by_the_schema() -> None:
    """Text is all that a cell is: its model knows which are numbers."""
    (row,) = rows(
        "prompt,first_frame_image_url,duration,generate_audio,camera_fixed,resolution\n"
        f"1984,{IMAGE}, 8.0 ,FALSE,true, 720p\n",
        model="v15-pro",
        form="csv",
    )
    assert row.request == V15ProImageToVideo(
        prompt="1984",
        first_frame_image_url=IMAGE,
        duration=8,
        generate_audio=False,
        camera_fixed=True,
        resolution="720p",
    )


def test_cells_of_an_unknown_model_are_json_scalars_or_text() -> None:
    """Its prompt stays text; marks of its own keep another cell text."""
    data = sheet(
        [
            {
                "model": OTHER,
                "prompt": "1984",
                "a": "5",
                "b": "5.5",
                "c": "true",
                "d": "null",
                "e": "007",
                "f": "[1]",
                "g": '"5"',
                "h": "NaN",
                "i": "1e999",
                "j": "9" * 5000,
                "k": "",
            }
        ]
    )
    assert rows(data, model=None, form="csv")[0].request.input() == {
        "prompt": "1984",
        "a": 5,
        "b": 5.5,
        "c": True,
        "d": None,
        "e": "007",
        "f": "[1]",
        "g": "5",
        "h": "NaN",
        "i": "1e999",
        "j": "9" * 5000,
    }


def test_a_mixed_sheet_does_not_mind_other_models_columns() -> None:
    """An empty cell is absent, so columns of other models, known or not, trouble nobody."""
    found = rows(
        "model,key,text,first_frame_image_url,seed,shots\n"
        "pro-fast,one,a fox,,7,\n"
        f" lite ,2,a hare,{IMAGE},,\n"
        f"{OTHER},,an owl,,,3\n",
        model=None,
        form="csv",
    )
    assert [row.key for row in found] == ["one", "2", None]
    assert [row.request for row in found] == [
        ProFastTextToVideo(text="a fox", seed=7),
        LiteImageToVideo(prompt="a hare", first_frame_image_url=IMAGE),
        RawRequest(OTHER, {"text": "an owl", "shots": 3}),
    ]


@pytest.mark.parametrize("key", ["x", "a/b", "CON", "..", "ключ 1", "k" * 200])
def test_a_key_is_any_text(key: str) -> None:
    """What a file may be called is the downloads' concern."""
    assert rows(jsonl({"text": "a", "key": key}))[0].key == key


def test_a_numbered_row_has_the_same_key_in_json_and_in_a_sheet() -> None:
    """A whole number is its digits."""
    assert rows('{"text": "a", "key": 7}')[0].key == "7"
    assert rows("text,key\na,7\n", form="csv")[0].key == "7"
    assert rows("text,key\na,007\n", form="csv")[0].key == "007"


def test_ignored_columns_are_as_if_they_were_not_there() -> None:
    """In both forms; even one that would be an error, or a column that stands twice."""
    data = '{"text": "a fox", "notes": "nice", "duration": 99}'
    (row,) = rows(data, ignore=["notes", "duration", "elsewhere"])
    assert row.digest == row_digest(FAST, {"text": "a fox"})
    data = "text,notes,notes,duration\na fox,nice,x,99\n"
    assert rows(data, form="csv", ignore=["notes", "duration"])[0].digest == row.digest


def test_advice_is_collected_and_nobody_is_warned() -> None:
    """A hundred thousand warnings help nobody; elsewhere the warning stays."""
    fields = {"prompt": "a", "first_frame_image_url": "http://example.com/fox.png"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (row,) = rows(jsonl(fields), model="lite")
        with pytest.raises(RequestAdvice):
            build_request("lite", fields)
    (advice,) = row.advice
    assert advice.startswith("first_frame_image_url is no https URL")
    assert rows(ROW)[0].advice == ()


def test_every_known_model_can_be_a_sheet() -> None:
    """What `models MODEL --template csv` prints is a manifest."""
    from seedance_async.cli.models import _sample_csv

    for model in dict.fromkeys(MODELS.values()):
        (row,) = rows(_sample_csv(model), model=model.short_name, form="csv")
        assert row.model_id == model.model_id


# --- where it is read from -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jsonl", "a.NDJSON", "a.json-lines"])
def test_a_file_is_read_by_its_suffix(tmp_path: Path, name: str) -> None:
    """As text or as a path."""
    path = tmp_path / name
    path.write_text(ROW)
    assert list(read_manifest(path, model="pro-fast")) == rows(ROW)
    path = tmp_path / "b.CSV"
    path.write_text("text\na fox\n")
    (row,) = read_manifest(str(path), model="pro-fast")
    assert isinstance(row, ManifestRow)
    assert row.digest == rows(ROW)[0].digest
    (row,) = read_manifest(str(path.rename(tmp_path / "b.txt")), model="pro-fast", form="csv")
    assert isinstance(row, ManifestRow)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing.jsonl", "missing.jsonl: there is no such file: check the path"),
        ("file/x.csv", "there is no such file"),
        ("folder.csv", "folder.csv: it cannot be read (Is a directory): check the path"),
        ("nul\0.csv", "it cannot be read (embedded null byte): check the path"),
        ("a.xlsx", f"is JSON Lines (.jsonl) or CSV (.csv) by its suffix: {CSV_UTF8}"),
        ("a.json", "write one JSON object on each line, and name the file .jsonl"),
        ("a.tsv", "save it with commas, as .csv"),
        ("a.txt", "name it .jsonl or .csv, whichever it is"),
        ("a", "name it .jsonl or .csv, whichever it is"),
    ],
)
def test_a_wrong_path_is_one_error(tmp_path: Path, name: str, says: str) -> None:
    """Said when the first row is asked for."""
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    manifest = read_manifest(f"{tmp_path}/{name}", model="pro-fast")
    with pytest.raises(ManifestError) as caught:
        next(manifest)
    assert says in str(caught.value)


class Breaking(io.BytesIO):
    """A disk that fails after the first line."""

    def readline(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().readline(size)


def test_a_disk_that_fails_is_one_error() -> None:
    """Rows before it have been yielded."""
    manifest = read_manifest(Breaking(f"{ROW}\n{ROW}\n".encode()), model="pro-fast")
    assert isinstance(next(manifest), ManifestRow)
    with pytest.raises(ManifestError, match=r"it cannot be read on \(Input/output error\)"):
        next(manifest)


def test_standard_input_is_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named `-`, and errors call it what it is."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ROW.encode())))
    assert list(read_manifest("-", model="pro-fast")) == rows(ROW)
    with pytest.raises(ManifestError, match="standard input: it is empty"):
        list(read_manifest("-", model="pro-fast"))


def test_rows_come_as_they_are_read() -> None:
    """A manifest is never held as a whole."""
    stream = io.BytesIO(f"{ROW}\n".encode() * 1000)
    manifest = read_manifest(stream, model="pro-fast")
    next(manifest)
    assert stream.tell() == len(ROW) + 1
