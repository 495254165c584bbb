"""The files of a benchmark beside its ledger; each is replaced as a whole. The functions block."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from seedance_async.bench.page import page
from seedance_async.bench.report import BenchmarkReport, csv_rows, report_json
from seedance_async.bench.rounds import Round
from seedance_async.bench.samples import Record
from seedance_async.errors import LedgerError

__all__ = ["keep_conditions", "read_record", "write_record", "write_report"]

_RECORDS: Final = "rounds"
_AGAIN: Final = "Free space on the disk or mend the rights, then run the same command again"


def read_record(folder: Path, this: Round) -> Record | None:
    """Return what was seen of a round; None: nothing was kept.

    Raises:
        LedgerError: The file cannot be read, or is none.
    """
    path = _path(folder, this)
    try:
        return Record.from_json(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LedgerError(
            f"{path} is not what a benchmark wrote. Remove it: the round then has no throughput, "
            f"and nothing is paid again"
        ) from error


def write_record(folder: Path, record: Record) -> None:
    """Replace what was seen of a round.

    Raises:
        LedgerError: It cannot be written.
    """
    _replace(_path(folder, record.round), json.dumps(record.to_json()))


def write_report(folder: Path, report: BenchmarkReport) -> None:
    """Replace `benchmark.json`, `benchmark.csv` and `benchmark.html`.

    Raises:
        LedgerError: One cannot be written.
    """
    _replace(folder / "benchmark.json", f"{json.dumps(report_json(report), indent=1)}\n")
    table = io.StringIO()
    rows = csv_rows(report)
    writer = csv.DictWriter(table, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    _replace(folder / "benchmark.csv", table.getvalue())
    _replace(folder / "benchmark.html", page(report))


def keep_conditions(folder: Path, conditions: Mapping[str, str]) -> None:
    """Write down under which conditions a folder's benchmark runs, or find that they are equal.

    Raises:
        LedgerError: They differ from those before, or cannot be read or written.
    """
    path = folder / "conditions.json"
    try:
        before = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        _replace(path, json.dumps(dict(conditions), indent=1))
        return
    except (OSError, ValueError) as error:
        raise LedgerError(f"cannot read {path}: {error}") from error
    if before != conditions:
        raise LedgerError(
            f"{folder} holds a benchmark under other conditions ({_told(before)}; now "
            f"{_told(conditions)}): give it the same flags, or use another --out"
        )


def _told(conditions: object) -> str:
    if not isinstance(conditions, Mapping):
        return "unknown ones"
    return ", ".join(f"{name} {value}" for name, value in conditions.items()) or "none named"


def _path(folder: Path, this: Round) -> Path:
    return folder / _RECORDS / f"{this.name}.json"


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        with draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LedgerError(f"cannot write {path}: {error.strerror or error}. {_AGAIN}") from error
