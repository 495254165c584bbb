"""Reading manifests from memory, and writing them as programs do."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seedance_async.batch.dialect import Form
from seedance_async.batch.manifest import ManifestRow, RowError, read_manifest
from seedance_async.models import ProFastTextToVideo

FAST = ProFastTextToVideo.model_id
OTHER = "bytedance/seedance-2.0/pro"
IMAGE = "https://example.com/fox.png"
ROW = '{"text": "a fox"}'
CSV_UTF8 = 'export the sheet as "CSV UTF-8 (comma delimited)"'


def read(
    data: bytes | str,
    *,
    model: str | None = "pro-fast",
    form: Form = "jsonl",
    ignore: Sequence[str] = (),
) -> list[ManifestRow | RowError]:
    stream = io.BytesIO(data.encode() if isinstance(data, str) else data)
    return list(read_manifest(stream, model=model, form=form, ignore_columns=ignore))


def rows(
    data: bytes | str,
    *,
    model: str | None = "pro-fast",
    form: Form = "jsonl",
    ignore: Sequence[str] = (),
) -> list[ManifestRow]:
    found = read(data, model=model, form=form, ignore=ignore)
    assert [str(row) for row in found if isinstance(row, RowError)] == []
    return [row for row in found if isinstance(row, ManifestRow)]


def jsonl(*items: Mapping[str, Any]) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


def sheet(items: Iterable[Mapping[str, Any]]) -> str:
    """Write rows as a spreadsheet does: one column for each name, true and false in words."""
    items = list(items)
    columns = list(dict.fromkeys(name for item in items for name in item))
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, columns)
    writer.writeheader()
    words = {True: "TRUE", False: "false"}
    for item in items:
        cells = {n: words[v] if isinstance(v, bool) else v for n, v in item.items()}
        writer.writerow(cells)
    return file.getvalue()
