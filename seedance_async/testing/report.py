"""What a failed test shows of its simulator, so that the failure can be repeated."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, get_args

import attrs

from seedance_async.counting import counted
from seedance_async.simulator import Acceptance, Books, Simulator
from seedance_async.simulator.books import RequestKind

__all__ = ["tell"]

_MOST: Final = 40
"""Lines of faults, and of jobs, that are shown."""


def tell(simulator: Simulator, books: Books, arguments: Mapping[str, object]) -> str:
    """Tell how to repeat, which faults happened, and what the books say.

    Args:
        simulator: What the test used.
        books: Its books, when all that was sent has arrived.
        arguments: What it was made with.
    """
    return "\n".join(_lines(simulator, books, arguments))


def _lines(simulator: Simulator, books: Books, arguments: Mapping[str, object]) -> Iterator[str]:
    given = ", ".join(f"{name}={_spell(value)}" for name, value in arguments.items())
    yield f"repeat with @pytest.mark.seedance({given})"
    log = simulator.faults_log
    yield f"faults that happened, in seconds after its start: {len(log) or 'none'}"
    yield from _first(log, (fault.to_json() for fault in log))
    yield _summary(books)
    yield from _first(books.accepted, (_job(books, entry) for entry in books.accepted))


def _spell(value: Any) -> str:
    """Spell a value as one would write it: without what is the default anyway."""
    if isinstance(value, enum.Enum):
        return str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_spell(one) for one in value)}]"
    if not attrs.has(type(value)):
        return repr(value)
    fields = [(field, getattr(value, field.name)) for field in attrs.fields(type(value))]
    given = [f"{field.name}={_spell(own)}" for field, own in fields if own != field.default]
    return f"{type(value).__name__}({', '.join(given)})"


def _summary(books: Books) -> str:
    asked = {kind: books.requests(kind) for kind in get_args(RequestKind)}
    requests = ", ".join(f"{kind} {count}" for kind, count in asked.items() if count)
    return (
        f"books: accepted {len(books.accepted)}, cancelled {len(books.cancelled)}, "
        f"billed {books.billed_usd:.2f} USD, paid twice {len(books.paid_twice())}; "
        f"requests: {requests or 'none'}"
    )


def _job(books: Books, entry: Acceptance) -> str:
    polls = counted(books.polls(entry.request_id), "time")
    return f"{entry.request_id}, polled {polls}: {entry.body}"


def _first(whole: tuple[object, ...], lines: Iterable[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in islice(lines, _MOST))
    if len(whole) > _MOST:
        yield f"  and {len(whole) - _MOST} more"
