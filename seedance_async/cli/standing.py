"""How a run stands when somebody interrupts it: rows beside money, narrow enough for any screen.

Pure, and quick: the last of these tables is written from a signal handler.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.report import Glance
from seedance_async.budget import known_sum, shown, to_usd

__all__ = ["Standing", "standing_json", "standing_lines", "standing_of"]

_UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class Standing:
    """Rows by what is to become of them, and money in micro-dollars.

    Attributes:
        what: What the rows are called: rows, jobs.
        done: With a video.
        failed: Over without one: failed, cancelled or lost.
        running: Being submitted, or accepted and tracked.
        left: Accepted, not over, and tracked no longer.
        downloading: With a video that is still to come to the disk.
        in_doubt: Perhaps accepted.
        waiting: Not submitted.
        settled: Spent; None: not known.
        unpriced: How many of what is settled have no cost that is known.
        committed: Set aside for what runs, is in doubt or lost, or ended without a cost; None: no
            price is known.
        unestimated: For how many of those no price is known, so that `committed` lacks them.
        not_spent: The estimate of what waits; None: no price is known.
        budget: The bound of all of it; None: there is none.
    """

    what: str = "rows"
    done: int = 0
    failed: int = 0
    running: int = 0
    left: int = 0
    downloading: int = 0
    in_doubt: int = 0
    waiting: int = 0
    settled: int | None = None
    unpriced: int = 0
    committed: int | None = None
    unestimated: int = 0
    not_spent: int | None = None
    budget: int | None = None

    def doubting(self, sending: int) -> Standing:
        """Return the same with so many POSTs that were under way in doubt."""
        return attrs.evolve(self, running=self.running - sending, in_doubt=self.in_doubt + sending)


def standing_of(
    glance: Glance, *, waiting: int, to_come: int | None, budget: int | None, what: str = "rows"
) -> Standing:
    """Return how a run stands.

    Args:
        glance: Its numbers.
        waiting: Rows that would have been submitted.
        to_come: Their estimate; None: no price is known.
        budget: The bound.
        what: What the rows are called.
    """
    counts = glance.counts
    return Standing(
        what=what,
        done=counts[RowState.DOWNLOADED] + counts[RowState.SUCCEEDED] - glance.downloading,
        failed=counts[RowState.FAILED] + counts[RowState.CANCELLED] + counts[RowState.LOST],
        running=glance.in_flight,
        left=counts[RowState.TIMED_OUT],
        downloading=glance.downloading,
        in_doubt=counts[RowState.IN_DOUBT],
        waiting=waiting,
        settled=known_sum(glance.settled, glance.unpriced),
        unpriced=glance.unpriced,
        committed=known_sum(glance.reserved, glance.unestimated),
        unestimated=glance.unestimated,
        not_spent=to_come if waiting else 0,
        budget=budget,
    )


def standing_lines(standing: Standing) -> list[str]:
    """Return the table; no line is wider than 40 characters unless the numbers are."""
    always = ("done", "running", "in doubt", "waiting")
    rows = [
        (name, f"{number:,}")
        for name, number in (
            ("done", standing.done),
            ("failed", standing.failed),
            ("running", standing.running),
            ("left", standing.left),
            ("to load", standing.downloading),
            ("in doubt", standing.in_doubt),
            ("waiting", standing.waiting),
        )
        if number or name in always
    ]
    money = [
        *_money("settled", standing.settled, standing.unpriced),
        *_money("committed", standing.committed, standing.unestimated),
        *_money("not spent", standing.not_spent),
    ]
    if standing.budget is not None:
        money += _money("budget", standing.budget)
    many = max(len(standing.what) - 8, *(len(number) for _, number in rows), 3)
    wide = max(len(purpose) + 2 + len(amount) for purpose, amount in money)
    lines = [f"  {standing.what:<{many + 10}}  money"]
    for (name, number), (purpose, amount) in zip_longest(rows, money, fillvalue=("", "")):
        line = f"  {name:<8}  {number:>{many}}  {purpose}{amount:>{wide - len(purpose)}}"
        lines.append(line.rstrip())
    return lines


def _money(what: str, micro: int | None, unknown: int = 0) -> list[tuple[str, str]]:
    """Return a sum, and for how many jobs the cost is not known; the latter in fewer columns."""
    sums = [(f"{what:<9}", _UNKNOWN if micro is None else shown(micro))]
    if not unknown:
        return sums
    some = f"{unknown:,} {_UNKNOWN}"
    return [(f"{what:<9}", some)] if micro is None else [*sums, ("with", some)]


def standing_json(standing: Standing) -> dict[str, Any]:
    """Return it for a program: numbers, and money in USD."""
    return {
        "done": standing.done,
        "failed": standing.failed,
        "running": standing.running,
        "left": standing.left,
        "downloading": standing.downloading,
        "in_doubt": standing.in_doubt,
        "waiting": standing.waiting,
        "settled_usd": _number(standing.settled),
        "reserved_usd": _number(standing.committed),
        "unpriced": standing.unpriced,
        "unestimated": standing.unestimated,
        "not_spent_usd": _number(standing.not_spent),
        "budget_usd": _number(standing.budget),
    }


def _number(micro: int | None) -> float | None:
    return None if micro is None else to_usd(micro)
