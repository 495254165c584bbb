"""Generate ByteDance's Seedance videos through RunComfy's Model API from asyncio.

It never pays twice, never loses what was paid, and never lies about what is not known.
"""

import importlib
import typing

from seedance_async.__about__ import __version__

if typing.TYPE_CHECKING:
    from seedance_async.batch import (
        BatchReport,
        InvalidManifestError,
        ManifestError,
        RowChange,
        RowState,
        Stop,
        StopReason,
        UnknownKeyError,
        run_batch,
    )
    from seedance_async.bench import BenchmarkReport, run_benchmark
    from seedance_async.budget import Budget
    from seedance_async.catalog import CatalogModel
    from seedance_async.credentials import CredentialsWarning
    from seedance_async.download import DownloadedFile, DownloadRules
    from seedance_async.errors import (
        ApiError,
        AuthenticationError,
        BudgetExceededError,
        CredentialsError,
        DownloadError,
        InsufficientBalanceError,
        InvalidRequestError,
        JobCancelledError,
        JobError,
        JobFailedError,
        JobLostError,
        JobTimeoutError,
        LedgerError,
        NotFoundError,
        PermissionDeniedError,
        ProtocolError,
        RateLimitedError,
        RejectedError,
        SeedanceError,
        ServerError,
        SessionClosedError,
        StorageError,
        SubmissionInDoubtError,
        SubmittingStoppedError,
        TransportError,
        Violation,
    )
    from seedance_async.events import (
        CancelAttempted,
        Downloaded,
        Event,
        GateChanged,
        JobAttached,
        JobFinished,
        JobSubmitted,
        LimitChanged,
        RateLimited,
        RetryScheduled,
        StatusChanged,
        SubmissionInDoubt,
        SubmissionRefused,
    )
    from seedance_async.handle import Job
    from seedance_async.images import ImageReport, check_images
    from seedance_async.jobs import (
        Cancelled,
        CancelResult,
        ErrorInfo,
        Failed,
        InDoubt,
        InProgress,
        InQueue,
        Lost,
        Outcome,
        Output,
        State,
        Status,
        Succeeded,
        TimedOut,
        Timings,
    )
    from seedance_async.journal import FileJournal, Journal, JournalEntry
    from seedance_async.mapping import Done, Fanout
    from seedance_async.models import (
        LiteImageToVideo,
        ProFastTextToVideo,
        RawRequest,
        Request,
        RequestAdvice,
        V15ProImageToVideo,
        build_request,
    )
    from seedance_async.pacing import RetryPolicy
    from seedance_async.polling import (
        BackoffPolling,
        FixedPolling,
        LearnedPolling,
        Polling,
        Schedule,
    )
    from seedance_async.session import Session
    from seedance_async.state import Statistics

__all__ = [
    "ApiError",
    "AuthenticationError",
    "BackoffPolling",
    "BatchReport",
    "BenchmarkReport",
    "Budget",
    "BudgetExceededError",
    "CancelAttempted",
    "CancelResult",
    "Cancelled",
    "CatalogModel",
    "CredentialsError",
    "CredentialsWarning",
    "Done",
    "DownloadError",
    "DownloadRules",
    "Downloaded",
    "DownloadedFile",
    "ErrorInfo",
    "Event",
    "Failed",
    "Fanout",
    "FileJournal",
    "FixedPolling",
    "GateChanged",
    "ImageReport",
    "InDoubt",
    "InProgress",
    "InQueue",
    "InsufficientBalanceError",
    "InvalidManifestError",
    "InvalidRequestError",
    "Job",
    "JobAttached",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobFinished",
    "JobLostError",
    "JobSubmitted",
    "JobTimeoutError",
    "Journal",
    "JournalEntry",
    "LearnedPolling",
    "LedgerError",
    "LimitChanged",
    "LiteImageToVideo",
    "Lost",
    "ManifestError",
    "NotFoundError",
    "Outcome",
    "Output",
    "PermissionDeniedError",
    "Polling",
    "ProFastTextToVideo",
    "ProtocolError",
    "RateLimited",
    "RateLimitedError",
    "RawRequest",
    "RejectedError",
    "Request",
    "RequestAdvice",
    "RetryPolicy",
    "RetryScheduled",
    "RowChange",
    "RowState",
    "Schedule",
    "SeedanceError",
    "ServerError",
    "Session",
    "SessionClosedError",
    "State",
    "Statistics",
    "Status",
    "StatusChanged",
    "Stop",
    "StopReason",
    "StorageError",
    "SubmissionInDoubt",
    "SubmissionInDoubtError",
    "SubmissionRefused",
    "SubmittingStoppedError",
    "Succeeded",
    "TimedOut",
    "Timings",
    "TransportError",
    "UnknownKeyError",
    "V15ProImageToVideo",
    "Violation",
    "__version__",
    "build_request",
    "check_images",
    "run_batch",
    "run_benchmark",
]

_HOMES = {
    "batch": (
        "BatchReport",
        "InvalidManifestError",
        "ManifestError",
        "RowChange",
        "RowState",
        "Stop",
        "StopReason",
        "UnknownKeyError",
        "run_batch",
    ),
    "bench": ("BenchmarkReport", "run_benchmark"),
    "budget": ("Budget",),
    "catalog": ("CatalogModel",),
    "credentials": ("CredentialsWarning",),
    "download": ("DownloadedFile", "DownloadRules"),
    "errors": (
        "ApiError",
        "AuthenticationError",
        "BudgetExceededError",
        "CredentialsError",
        "DownloadError",
        "InsufficientBalanceError",
        "InvalidRequestError",
        "JobCancelledError",
        "JobError",
        "JobFailedError",
        "JobLostError",
        "JobTimeoutError",
        "LedgerError",
        "NotFoundError",
        "PermissionDeniedError",
        "ProtocolError",
        "RateLimitedError",
        "RejectedError",
        "SeedanceError",
        "ServerError",
        "SessionClosedError",
        "StorageError",
        "SubmissionInDoubtError",
        "SubmittingStoppedError",
        "TransportError",
        "Violation",
    ),
    "events": (
        "CancelAttempted",
        "Downloaded",
        "Event",
        "GateChanged",
        "JobAttached",
        "JobFinished",
        "JobSubmitted",
        "LimitChanged",
        "RateLimited",
        "RetryScheduled",
        "StatusChanged",
        "SubmissionInDoubt",
        "SubmissionRefused",
    ),
    "handle": ("Job",),
    "images": ("ImageReport", "check_images"),
    "jobs": (
        "Cancelled",
        "CancelResult",
        "ErrorInfo",
        "Failed",
        "InDoubt",
        "InProgress",
        "InQueue",
        "Lost",
        "Outcome",
        "Output",
        "State",
        "Status",
        "Succeeded",
        "TimedOut",
        "Timings",
    ),
    "journal": ("FileJournal", "Journal", "JournalEntry"),
    "mapping": ("Done", "Fanout"),
    "models": (
        "LiteImageToVideo",
        "ProFastTextToVideo",
        "RawRequest",
        "Request",
        "RequestAdvice",
        "V15ProImageToVideo",
        "build_request",
    ),
    "pacing": ("RetryPolicy",),
    "polling": ("BackoffPolling", "FixedPolling", "LearnedPolling", "Polling", "Schedule"),
    "session": ("Session",),
    "state": ("Statistics",),
}
"""Which module each public name comes from."""

_MODULES = {name: module for module, names in _HOMES.items() for name in names}

if not typing.TYPE_CHECKING:  # a type checker that saw it would take any name for a public one

    def __getattr__(name: str) -> object:
        """Import a public name's module when the name is first asked for.

        So the command line prints its help without a client, and a client needs no database.
        """
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
