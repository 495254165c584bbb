"""A night's work: a manifest's rows, planned, submitted once, downloaded and accounted for."""

from seedance_async.batch.dialect import ManifestError
from seedance_async.batch.edges import RowState
from seedance_async.batch.planning import InvalidManifestError
from seedance_async.batch.report import BatchReport, RowChange
from seedance_async.batch.running import run_batch
from seedance_async.batch.selection import UnknownKeyError
from seedance_async.batch.stops import Stop, StopReason

__all__ = [
    "BatchReport",
    "InvalidManifestError",
    "ManifestError",
    "RowChange",
    "RowState",
    "Stop",
    "StopReason",
    "UnknownKeyError",
    "run_batch",
]
