"""The runner: each row is paid for once and comes to its end, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from seedance_async import Budget, RawRequest
from seedance_async.batch.edges import RowState
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.names import video_name
from seedance_async.batch.planning import plan_manifest
from seedance_async.batch.report import BatchReport
from seedance_async.batch.runner import Batch, Wishes
from seedance_async.batch.running import account_of, run_batch
from seedance_async.batch.selection import UnknownKeyError
from seedance_async.batch.stops import StopReason
from seedance_async.bodies import Answer
from seedance_async.errors import LedgerError, TransportError
from seedance_async.simulator import Account as ServiceAccount
from tests.batch.night import Night, foxes
from tests.session.scene import fox, run


def reason(report: BatchReport) -> StopReason | None:
    return None if report.stop is None else report.stop.reason


def test_every_row_is_paid_once_and_downloaded_and_the_same_again_submits_nothing(
    tmp_path: Path,
) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        report = await night.run(foxes(20))
        assert report.stop is None
        assert report.counts[RowState.DOWNLOADED] == report.submitted == report.downloaded == 20
        assert [line["key"] for line in night.results()] == [f"fox-{n}" for n in range(1, 21)]
        assert (tmp_path / "videos" / "fox-7.mp4").stat().st_size > 1000
        before = night.simulator.books.requests("result")
        again = await night.run(foxes(20))
        assert again.submitted == again.downloaded == 0
        assert again.counts[RowState.DOWNLOADED] == 20
        assert night.simulator.books.requests("submit") == 20
        assert night.simulator.books.requests("result") == before
        await night.judge()

    run(main)


def test_equal_rows_are_two_videos(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        report = await night.run([fox(), fox(), fox(1)])
        assert report.submitted == 3
        assert len(list((tmp_path / "videos").iterdir())) == 3

    run(main)


def test_no_more_rows_are_under_way_than_the_pool_and_a_few_that_wait(tmp_path: Path) -> None:
    night = Night(tmp_path, capacity=50)
    most = 0

    async def main() -> None:
        nonlocal most
        async with (
            night.session(max_in_flight=4) as session,
            await Ledger.open(tmp_path, origin="simulator") as ledger,
        ):
            await plan_manifest(ledger, foxes(300), errors=None)
            batch = Batch(
                ledger,
                session,
                tmp_path,
                account=await account_of(ledger, None),
                wishes=Wishes(download=False),
                on_change=lambda _change: look(batch),
            )
            report = await batch.run()
            assert report.counts[RowState.SUCCEEDED] == 300

    def look(batch: Batch) -> None:
        nonlocal most
        seen = batch.glance()
        most = max(most, seen.in_flight + seen.waiting)

    run(main)
    assert 4 <= most <= 4 + 17


@pytest.mark.parametrize(
    "fault", ["drop-after-accept", "5xx-after-accept", "truncated-json", "drop-before-accept"]
)
def test_doubts_are_set_aside_and_never_sent_again(tmp_path: Path, fault: str) -> None:
    night = Night(tmp_path, faults=[f"{fault}=0.2"])

    async def main() -> None:
        for _ in range(3):
            await night.run(foxes(30), session={"max_in_doubt": 30})
            await night.judge()
        states = Counter((await night.states()).values())
        assert states.keys() == {"downloaded", "in_doubt"}
        assert night.simulator.books.requests("submit") == 30

    run(main)


def test_the_brake_stops_after_doubts_in_a_row_and_what_runs_is_finished(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        night.wire.after = broken_from_fourth()
        report = await night.run(foxes(40), session={"max_in_flight": 4, "max_submitting": 1})
        assert reason(report) is StopReason.BRAKE
        assert report.counts[RowState.IN_DOUBT] == 3
        assert report.counts[RowState.PLANNED] == 34
        assert report.counts[RowState.DOWNLOADED] == 3
        assert night.simulator.books.requests("submit") == 6
        await night.judge()

    def broken_from_fourth() -> Callable[[str, str, Answer], Answer | Exception]:
        posts = 0

        def after(method: str, path: str, answer: Answer) -> Answer | Exception:
            nonlocal posts
            if method != "POST" or path.endswith("/cancel"):
                return answer
            posts += 1
            return answer if posts < 4 else Answer(502, {}, b"<html>", True)

        return after

    run(main)


def test_an_account_without_balance_stops_the_batch_and_no_row_is_at_fault(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        night.simulator.account = ServiceAccount.EMPTY
        report = await night.run(foxes(12))
        assert reason(report) is StopReason.ACCOUNT
        assert report.counts[RowState.PLANNED] == 12
        assert night.simulator.books.requests("submit") <= 8  # those that were under way
        night.simulator.account = ServiceAccount.ACTIVE
        report = await night.run(foxes(12))
        assert report.counts[RowState.DOWNLOADED] == 12
        await night.judge()

    run(main)


def test_a_refused_row_fails_alone_and_is_tried_again_only_on_demand(tmp_path: Path) -> None:
    night = Night(tmp_path)
    bad = ("bad", RawRequest("bytedance/seedance-9/none", {"prompt": "x"}))

    async def main() -> None:
        report = await night.run([*foxes(3), bad])
        assert report.counts[RowState.FAILED] == 1
        assert report.counts[RowState.DOWNLOADED] == 3
        assert (await night.run([*foxes(3), bad])).submitted == 0
        assert night.simulator.books.requests("submit") == 4
        await night.run([*foxes(3), bad], retry=["failed"])
        assert night.simulator.books.requests("submit") == 5
        assert (await night.entries())["bad"].attempts == 2

    run(main)


def test_a_budget_admits_while_settled_and_reserved_and_the_next_estimate_fit(
    tmp_path: Path,
) -> None:
    """At 0.05 a second, five seconds cost 0.25: four of them fit into 1.10, never a fifth."""
    night = Night(tmp_path)
    budget = Budget(usd=1.10, price_per_second=0.05)

    async def main() -> None:
        report = await night.run(foxes(12), budget=budget)
        assert reason(report) is StopReason.BUDGET
        assert report.counts[RowState.DOWNLOADED] == 4
        assert report.money.settled == 1_000_000
        assert (await night.run(foxes(12), budget=budget)).submitted == 0
        more = Budget(usd=1.50, price_per_second=0.05)
        assert (await night.run(foxes(12), budget=more)).submitted == 2
        assert night.simulator.books.billed == 1_500_000
        await night.judge()

    run(main)


def test_an_estimate_too_high_is_settled_by_the_cost_and_makes_room(tmp_path: Path) -> None:
    """Estimated at 0.50 and settled at 0.25: of 1.00, two at a time, then one, and one more."""
    night = Night(tmp_path)

    async def main() -> None:
        report = await night.run(foxes(12), budget=Budget(usd=1.0, price_per_second=0.1))
        assert report.counts[RowState.DOWNLOADED] == 3
        assert report.money.settled == 750_000
        assert reason(report) is StopReason.BUDGET

    run(main)


def test_an_estimate_too_low_is_learned_from_the_dearest_cost(tmp_path: Path) -> None:
    """Said to cost 0.01 a second, each costs 0.25: the first ones teach it, across runs too."""
    night = Night(tmp_path)
    budget = Budget(usd=0.60, price_per_second=0.01)

    async def main() -> None:
        report = await night.run(foxes(12), budget=budget, session={"max_in_flight": 1})
        assert report.money.settled == 500_000
        assert reason(report) is StopReason.BUDGET
        assert (await night.run(foxes(12), budget=budget)).submitted == 0

    run(main)


def test_max_videos_bounds_all_runs_together(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        for submitted in (5, 0):
            report = await night.run(foxes(12), max_videos=5)
            assert report.submitted == submitted
            assert reason(report) is StopReason.MAX_VIDEOS
        assert (await night.run(foxes(12), max_videos=7)).submitted == 2

    run(main)


def test_the_first_rows_only_and_the_same_limit_again_submits_nothing(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        for submitted in (3, 0):
            report = await night.run(foxes(12), limit=3)
            assert report.submitted == submitted
            assert report.counts[RowState.DOWNLOADED] == sum(report.counts.values()) == 3
            assert report.stop is None
        assert set(await night.states()) == {f"fox-{n}" for n in range(1, 13)}
        assert (await night.run(foxes(12), only=["fox-9", "fox-1"])).submitted == 1
        with pytest.raises(UnknownKeyError, match="fox-10"):
            await night.run(foxes(12), only=["fox-100"])

    run(main)


def test_rows_that_vanish_are_tracked_and_downloaded_but_not_submitted(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        report = await night.run(foxes(6), limit=2, session={"job_timeout": 0.5})
        assert report.counts[RowState.TIMED_OUT] == 2
        report = await night.run(foxes(8)[6:])
        assert report.counts[RowState.DOWNLOADED] == 4
        assert report.counts[RowState.PLANNED] == 0
        assert [line["line"] for line in night.results()][:2] == [1, 2]
        assert {line["key"]: line["state"] for line in night.results() if line["line"] is None} == {
            "fox-1": "downloaded",
            "fox-2": "downloaded",
            **{f"fox-{n}": "planned" for n in range(3, 7)},
        }
        await night.judge()

    run(main)


def test_timed_out_rows_are_attached_again_by_the_same_command(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        report = await night.run(foxes(6), session={"job_timeout": 1.0})
        assert report.counts[RowState.TIMED_OUT] == 6
        report = await night.run(foxes(6))
        assert report.submitted == 0
        assert report.counts[RowState.DOWNLOADED] == 6
        await night.judge()

    run(main)


def test_an_unreachable_service_stops_the_batch_with_nothing_sent(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        night.wire.script = lambda _method, _path: TransportError("no route to host", sent=False)
        report = await night.run(foxes(3))
        assert reason(report) is StopReason.UNREACHABLE
        assert report.counts[RowState.PLANNED] == 3

    run(main)


def test_a_denied_poll_leaves_the_row_submitted(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        night.wire.script = lambda method, _path: (
            Answer(403, {}, b'{"error_code": 403001, "error_message": "not yours"}', True)
            if method == "GET"
            else None
        )
        report = await night.run(foxes(2))
        assert report.counts[RowState.SUBMITTED] == 2
        assert report.denied is not None
        assert report.denied.kind == "PermissionDeniedError"
        night.wire.script = lambda _method, _path: None
        assert (await night.run(foxes(2))).counts[RowState.DOWNLOADED] == 2
        await night.judge()

    run(main)


def test_leaving_cancels_what_is_queued_and_detaches_the_rest(tmp_path: Path) -> None:
    night = Night(tmp_path, capacity=2)

    async def main() -> None:
        async with night.session(max_in_flight=6) as session:
            async with await Ledger.open(tmp_path, origin=session.base_url) as ledger:
                await plan_manifest(ledger, foxes(12), errors=None)
                batch = Batch(
                    ledger,
                    session,
                    tmp_path,
                    account=await account_of(ledger, None),
                    wishes=Wishes(),
                )
                running = asyncio.create_task(batch.run())
                await asyncio.sleep(12)
                batch.stop("enough")
                await asyncio.sleep(1)
                batch.leave()
                report = await running
        assert reason(report) is StopReason.INTERRUPTED
        assert report.counts[RowState.CANCELLED] == len(night.simulator.books.cancelled) > 0
        assert report.counts[RowState.TIMED_OUT] == 2
        assert report.counts[RowState.PLANNED] == 12 - report.submitted
        await night.judge()
        report = await night.run(foxes(12))
        assert report.counts[RowState.DOWNLOADED] == 12 - report.counts[RowState.CANCELLED]
        await night.judge()

    run(main)


@pytest.mark.parametrize("after", [0.01, 0.06, 0.11, 1.0, 7.0, 20.0, 31.0, 45.0])
def test_cancelled_it_loses_nothing_and_the_next_run_comes_back(
    tmp_path: Path, after: float
) -> None:
    night = Night(tmp_path, capacity=3)

    async def main() -> None:
        running = asyncio.create_task(night.run(foxes(15)))
        await asyncio.sleep(after)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert "in_doubt" not in (await night.states()).values()
        await night.judge()
        report = await night.run(foxes(15))
        assert report.counts[RowState.DOWNLOADED] == 15
        assert not night.simulator.books.cancelled
        await night.judge()

    run(main)


def test_a_batch_in_a_session_that_does_other_things_too(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:

        async with night.session(exit_timeout=None) as session:
            other = asyncio.create_task(session.generate(fox(99)))
            one, two = await asyncio.gather(
                run_batch(foxes(5), session=session, out=tmp_path / "one"),
                run_batch(foxes(9)[5:], session=session, out=tmp_path / "two"),
            )
            assert (await other).video_url
        assert (one.submitted, two.submitted) == (5, 4)
        assert not night.simulator.books.paid_twice()

    run(main)


@pytest.mark.parametrize("word", ["submitting", "accepted", "finished", "downloaded"])
def test_a_ledger_that_cannot_be_written_stops_submitting_and_the_next_run_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """The disk is full at the fourth such word and stays so; then it is mended."""
    night = Night(tmp_path)
    told = 0
    whole = getattr(Ledger, word)

    async def full(self: Ledger, *args: object, **more: object) -> None:
        nonlocal told
        told += 1
        if told >= 4:
            raise LedgerError("disk full. Free space, then run the same command again")
        await whole(self, *args, **more)

    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, word, full)
            report = await night.run(foxes(12), session={"max_in_flight": 2})
        assert reason(report) is StopReason.LEDGER
        assert night.simulator.books.requests("submit") < 12
        await night.judge()
        report = await night.run(foxes(12))
        doubts = report.counts[RowState.IN_DOUBT]
        assert (doubts == 0) or word == "accepted"
        assert report.counts[RowState.DOWNLOADED] == 12 - doubts
        await night.judge()

    run(main)


def test_a_bad_callback_harms_nothing(tmp_path: Path) -> None:
    night = Night(tmp_path)

    def bad(change: object) -> None:
        raise RuntimeError("mine")

    async def main() -> None:
        report = await night.run(foxes(3), on_change=bad)
        assert report.counts[RowState.DOWNLOADED] == 3

    run(main)


def test_what_is_told_of_each_row(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        await night.run(foxes(1))
        steps = [attrs.astuple(change)[3:5] for change in night.changes]
        assert [state for state, _ in steps] == [
            "submitting",
            "submitted",
            "submitted",
            "succeeded",
            "downloaded",
        ]
        assert steps[2][1] == "in progress"
        assert steps[4][1] == "videos/fox-1.mp4"

    run(main)


def test_on_a_simulator_that_died_with_its_process_rows_start_again(tmp_path: Path) -> None:
    async def main() -> None:
        night = Night(tmp_path)
        await night.run(foxes(4), simulated=True, limit=2, download=False)
        await night.run(foxes(4), simulated=True, session={"job_timeout": 0.5})
        assert set((await night.states()).values()) <= {"succeeded", "timed_out"}
        night = Night(tmp_path, seed=8)
        report = await night.run(foxes(4), simulated=True)
        assert report.submitted == report.counts[RowState.DOWNLOADED] == 4

    run(main)


def test_no_two_rows_share_a_file(tmp_path: Path) -> None:
    """Keys that differ by case, that are paths, that read like another's second video."""
    night = Night(tmp_path, faults=["videos=1"])  # two videos each
    keys = ["fox", "Fox", "fox-2", "FOX-2", "../fox", "..\\fox", "CON", "con", "a b", "a_b"]
    rows = [(key, fox(number)) for number, key in enumerate(keys)]

    async def main() -> None:
        report = await night.run(rows)
        assert report.counts[RowState.DOWNLOADED] == len(keys)
        names = [path.name.casefold() for path in (tmp_path / "videos").iterdir()]
        assert len(set(names)) == len(names) == 2 * len(keys)
        assert {path.parent for path in tmp_path.rglob("*.mp4")} == {tmp_path / "videos"}
        assert (tmp_path / "videos" / "fox.mp4").exists()
        await night.judge()

    run(main)


def test_a_hash_of_two_rows_is_told_apart_by_a_longer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight digits would do for most; here all keys have the same eight."""
    night = Night(tmp_path)

    def short(key: str, number: int = 1, *, taken: bool = False, digits: int = 8) -> str:
        return "same.mp4" if digits == 8 else video_name(key, number, taken=True, digits=digits)

    monkeypatch.setattr("seedance_async.batch.downloading.video_name", short)

    async def main() -> None:
        await night.run(foxes(2))
        await night.run(foxes(4))
        assert len(list((tmp_path / "videos").iterdir())) == 4
        await night.judge()

    run(main)


def test_deleted_videos_are_fetched_again_on_demand_for_nothing(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        await night.run(foxes(5))
        (tmp_path / "videos" / "fox-2.mp4").unlink()
        (tmp_path / "videos" / "fox-4.mp4").write_bytes(b"cut")
        assert (await night.run(foxes(5))).downloaded == 0
        assert (await night.run(foxes(5), retry_downloads=True)).downloaded == 2
        assert night.simulator.books.requests("submit") == 5
        await night.judge()

    run(main)


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_a_folder_that_lost_its_ledger_is_not_paid_for_again(tmp_path: Path, left: str) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        await night.run(foxes(2))
        (tmp_path / "ledger.sqlite").unlink()
        if left != "nothing":
            (tmp_path / "ledger.sqlite").touch()
        with pytest.raises(LedgerError, match="a new one would pay again"):
            await night.run(foxes(2))
        assert night.simulator.books.requests("submit") == 2

    run(main)


def test_a_videos_folder_that_cannot_be_is_told_before_anything_is_paid(tmp_path: Path) -> None:
    night = Night(tmp_path)
    (tmp_path / "videos").write_text("mine")

    async def main() -> None:
        with pytest.raises(LedgerError, match="videos cannot be made"):
            await night.run(foxes(2))
        assert night.simulator.books.requests("submit") == 0
        assert (await night.run(foxes(2), download=False)).submitted == 2

    run(main)


def test_a_folder_in_which_nothing_was_submitted_may_change_its_service(tmp_path: Path) -> None:
    night = Night(tmp_path)

    async def main() -> None:
        async with await Ledger.open(tmp_path, origin="https://elsewhere.example") as ledger:
            await plan_manifest(ledger, foxes(2), errors=None)
        assert (await night.run(foxes(2))).submitted == 2
        with pytest.raises(LedgerError, match="belongs to"):
            await Ledger.open(tmp_path, origin="https://elsewhere.example")

    run(main)
