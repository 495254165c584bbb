"""Numbers beside what they count: one is no plural, wherever a command says it."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Doubt, Money
from seedance_async.batch.purse import Purse
from seedance_async.batch.stops import Stop
from seedance_async.bench.figures import round_figures
from seedance_async.bench.report import report_of
from seedance_async.bench.rounds import plan_benchmark
from seedance_async.budget import Account
from seedance_async.cli.batchboard import Board
from seedance_async.cli.benchtable import next_steps
from seedance_async.cli.commandline import CommandLine
from seedance_async.cli.doubts import Listing, say_what_next
from seedance_async.cli.watch import Watch
from seedance_async.cli.words import earlier_runs
from seedance_async.counting import counted
from seedance_async.models import ProFastTextToVideo, shape
from tests.session.scene import fox

from .test_batchboard import Seen, glance


@attrs.frozen
class Nothing:
    """A run that is not run."""

    async def run(self) -> None:
        pass

    def stop(self, message: str) -> None:
        pass

    def leave(self) -> None:
        pass


@pytest.mark.parametrize(
    ("number", "rows", "posts"),
    [
        (0, "0 rows", "0 POSTs were"),
        (1, "1 row", "1 POST was"),
        (2, "2 rows", "2 POSTs were"),
        (1_234, "1,234 rows", "1,234 POSTs were"),
    ],
)
def test_one_is_no_plural(number: int, rows: str, posts: str) -> None:
    assert counted(number, "row") == rows
    assert counted(number, "POST was", "POSTs were") == posts


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "1 POST was under way and is in doubt: `seedance-async resolve run`."),
        (2, "2 POSTs were under way and are in doubt: `seedance-async resolve run`."),
    ],
)
def test_a_third_interrupt_counts_the_posts_that_are_in_doubt(number: int, words: str) -> None:
    view = Seen(glance(submitting=number, in_flight=number))
    watch = Watch(
        Nothing(),
        view,
        Board(download=True),
        folder="run",
        again="seedance-async batch",
        simulated=False,
    )
    assert words in watch._last_words()


@pytest.mark.parametrize(("number", "words"), [(1, "1 job is"), (2, "2 jobs are")])
def test_what_a_benchmark_left(number: int, words: str) -> None:
    plan = plan_benchmark((1,), jobs=4)
    counts = {RowState.PLANNED: number}
    rounds = [round_figures(this, None, jobs=4, counts=counts, cost=0) for this in plan.rounds()]
    report = report_of(plan, rounds, service="simulator", money=Money(0, 0, 0, 0))
    (step,) = next_steps(report, Path("run"), CommandLine(("bench",)))
    assert step == f"{words} not over: `seedance-async bench` goes on"


@pytest.mark.parametrize(("number", "words"), [(1, "1 video of this"), (2, "2 videos of this")])
def test_what_is_paid_for_already(number: int, words: str) -> None:
    purse = Purse(Account(None), number)
    for _ in range(number):
        purse.reserve(shape(fox()))
    found = purse.reserve(shape(fox()))
    assert isinstance(found, Stop)
    assert found.message.startswith(f"{words} folder {'is' if number == 1 else 'are'} or may be")


@pytest.mark.parametrize(
    ("estimates", "words"),
    [
        ([250_000], "1 row in doubt: $0.25 stays reserved for what may be billed\n"),
        ([250_000] * 2, "2 rows in doubt: $0.50 stays reserved for what may be billed\n"),
        ([None], "1 row in doubt: an unknown sum stays reserved for what may be billed\n"),
        ([None, 10_000], "2 rows in doubt: $0.01 stays reserved for what may be billed; 1 without"),
    ],
)
def test_doubts_and_what_stays_reserved_for_them(
    estimates: list[int | None], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Money that nobody knows is no amount here either."""
    doubts = [
        Doubt(
            key=f"fox-{number}",
            line=number,
            model_id=ProFastTextToVideo.model_id,
            input_json="{}",
            submitted_at=0.0,
            seen="cut off",
            estimate=estimate,
        )
        for number, estimate in enumerate(estimates)
    ]
    listing = Listing(doubts=doubts, simulated=False, recovered=0, submitting=0, held=None)
    say_what_next(Path("run"), listing)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (Account(None), []),
        (Account(None, 250_000, 0), ["$0.25 settled, $0.00 reserved"]),
        (Account(None, unpriced=3), ["3 of unknown cost settled, $0.00 reserved"]),
        (
            Account(None, 250_000, 0, unpriced=1, unestimated=2),
            ["$0.25 settled (1 of unknown cost), 2 of unknown cost reserved"],
        ),
    ],
    ids=["nothing", "known", "unknown", "both"],
)
def test_who_is_asked_for_money_is_not_told_that_what_is_unknown_was_nothing(
    account: Account, said: list[str]
) -> None:
    assert earlier_runs(Path("d"), account) == [f"Earlier runs of d: {each}." for each in said]
