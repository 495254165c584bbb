"""FILE.job.json: on disk before the POST, claimed by one process, never losing an id."""

import asyncio
import json
import threading
from pathlib import Path

import pytest

from seedance_async import Failed, InDoubt, ProFastTextToVideo, Succeeded, TimedOut
from seedance_async.cli.exits import CommandError, Exit
from seedance_async.cli.jobfile import SIMULATOR, JobFile, JobRecord, read_record
from seedance_async.cli.journal import JobFileJournal, SubmittingInterruptedError
from seedance_async.cli.output import claim_output
from seedance_async.errors import LedgerError
from seedance_async.jobs import ErrorInfo, Output

BASE = "https://model-api.runcomfy.net"
REQUEST = ProFastTextToVideo(text="A red fox")
VIDEO = Succeeded(
    request_id="id-1", video_url="https://v", output=Output(video="https://v"), cost_usd=0.25
)


def journal(path: Path = Path("fox.mp4.job.json"), base_url: str = BASE) -> JobFileJournal:
    return JobFileJournal(JobFile(path, JobRecord(base_url=base_url, file="fox.mp4")))


def on_disk() -> JobRecord:
    record = read_record(Path("fox.mp4.job.json"))
    assert record is not None
    return record


def leave_behind(state: str, base_url: str = BASE, request_id: str | None = "id-1") -> None:
    record = JobRecord(state=state, base_url=base_url, file="fox.mp4", request_id=request_id)
    JobFile(Path("fox.mp4.job.json"), record).write()


def claim(**options: bool) -> JobFile:
    given = {"overwrite": False, "again": False, **options}
    return claim_output(Path("fox.mp4"), base_url=BASE, **given)


def test_each_word_of_the_journal_is_on_disk() -> None:
    """The file tells at any moment what a killed process knew."""

    async def main() -> None:
        told = journal()
        await told.submitting("t", REQUEST)
        record = on_disk()
        assert (record.state, record.input, record.request_id) == (
            "submitting",
            REQUEST.input(),
            None,
        )
        await told.accepted("t", "id-1")
        assert (on_disk().state, on_disk().request_id) == ("submitted", "id-1")
        assert told.posting  # giving up `submit` now would cancel a paid job
        await told.finished("t", VIDEO)
        assert (on_disk().state, on_disk().video_url, on_disk().cost_usd) == (
            "succeeded",
            "https://v",
            0.25,
        )
        await told.downloaded(7, "abc")
        assert (on_disk().state, on_disk().bytes) == ("downloaded", 7)

    asyncio.run(main())
    assert list(Path().iterdir()) == [Path("fox.mp4.job.json")]


def test_what_is_not_known_is_not_called_failed() -> None:
    """A doubt, a timeout and a refusal are three states."""

    async def main() -> None:
        told = journal()
        await told.submitting("t", REQUEST)
        await told.not_sent("t", "refused")
        assert on_disk().state == "planned"
        await told.submitting("t", REQUEST)
        await told.in_doubt("t", "cut off")
        assert on_disk().state == "in_doubt"
        await told.finished("t", TimedOut(request_id="id-1", reason="late"))
        assert (on_disk().state, on_disk().finished_at) == ("timed_out", None)
        await told.finished("t", Failed(error=ErrorInfo("RejectedError", "no", code=422001)))
        assert on_disk().error == {"kind": "RejectedError", "code": 422001, "message": "no"}
        await told.finished("t", InDoubt(error=ErrorInfo("X", "who knows")))
        assert on_disk().state == "in_doubt"

    asyncio.run(main())


def test_never_pays_twice_two_processes_one_file() -> None:
    """Two that saw no job file both come to the POST; one is stopped before it leaves."""
    journals = [journal(), journal()]
    barrier = threading.Barrier(2)
    stopped: list[str] = []

    def submit(told: JobFileJournal) -> None:
        barrier.wait()
        try:
            asyncio.run(told.submitting("t", REQUEST))
        except LedgerError as error:
            stopped.append(str(error))

    threads = [threading.Thread(target=submit, args=(told,)) for told in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stopped) == 1
    assert "another process" in stopped[0]


def test_an_interrupted_journal_lets_nothing_more_out() -> None:
    """After the first Ctrl-C a 429 is not followed by another POST."""

    async def main() -> None:
        told = journal()
        await told.submitting("t", REQUEST)
        told.closed = True
        with pytest.raises(SubmittingInterruptedError):
            await told.not_sent("t", "429")
        assert on_disk().state == "planned"
        with pytest.raises(SubmittingInterruptedError):
            await told.submitting("t", REQUEST)

    asyncio.run(main())


def test_an_unwritable_job_file_sends_nothing(tmp_path: Path) -> None:
    """The session takes a LedgerError before the POST as: nothing leaves."""
    told = journal(tmp_path / "missing" / "fox.mp4.job.json")
    with pytest.raises(LedgerError, match="cannot write"):
        asyncio.run(told.submitting("t", REQUEST))
    assert not told.posting


@pytest.mark.parametrize(
    "state", ["submitting", "submitted", "in_doubt", "timed_out", "lost", "succeeded"]
)
def test_never_pays_twice_an_unfinished_job_file_refuses(state: str) -> None:
    """Whatever is or may be paid and is not in FILE yet stands in the way, with the way on."""
    leave_behind(state)
    with pytest.raises(CommandError, match=r"seedance-async wait fox\.mp4\.job\.json") as refused:
        claim()
    assert refused.value.code is Exit.UNWRITABLE


@pytest.mark.parametrize("state", ["planned", "failed", "cancelled", "downloaded"])
def test_a_job_file_that_is_over_does_not_refuse(state: str) -> None:
    """Nothing paid can get lost by a new generation."""
    leave_behind(state)
    assert claim().record.state == "planned"


def test_a_dead_simulators_job_does_not_refuse() -> None:
    """It cost nothing, and it is gone."""
    leave_behind("submitted", base_url=SIMULATOR)
    assert claim().record.state == "planned"


def test_never_loses_what_was_paid_again_keeps_the_earlier_record() -> None:
    """`--again` pays for another one; the id of the first stays in the file."""
    leave_behind("submitted")
    file = claim(again=True)
    assert on_disk().request_id == "id-1"
    asyncio.run(JobFileJournal(file).submitting("t", REQUEST))
    assert on_disk().request_id is None
    assert [earlier["request_id"] for earlier in on_disk().earlier] == ["id-1"]


def test_an_existing_file_refuses_before_anything_is_spent() -> None:
    """A video of yesterday is not overwritten unasked."""
    Path("fox.mp4").write_bytes(b"mine")
    with pytest.raises(CommandError, match="--overwrite") as refused:
        claim()
    assert refused.value.code is Exit.UNWRITABLE
    assert claim(overwrite=True).video == Path("fox.mp4")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"version": 1, "state": 7}'])
def test_a_strange_job_file_is_refused_not_overwritten(content: str) -> None:
    """It may be somebody else's, or tell of a job in words of another version."""
    Path("fox.mp4.job.json").write_text(content)
    with pytest.raises(CommandError, match="no job file") as refused:
        claim(again=True)
    assert refused.value.code is Exit.DATA
    assert Path("fox.mp4.job.json").read_text() == content


def test_a_newer_versions_job_file_is_not_touched() -> None:
    """Its words may mean something else."""
    Path("fox.mp4.job.json").write_text(json.dumps({"version": 2}))
    with pytest.raises(CommandError, match="newer version"):
        claim()


def test_a_job_file_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    """Its `file` is a name beside it, whatever somebody wrote into it."""
    record = JobRecord(state="submitted", base_url=BASE, file="../../etc/passwd")
    assert JobFile(tmp_path / "x.job.json", record).video == tmp_path / "passwd"
