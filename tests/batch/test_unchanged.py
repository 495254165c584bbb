"""A batch that is over costs next to nothing to look at again."""

from __future__ import annotations

from pathlib import Path

from seedance_async.batch.edges import RowState
from tests.batch.night import Night, foxes
from tests.session.scene import run


def test_results_are_written_again_only_if_something_changed(tmp_path: Path) -> None:
    """A million lines take seconds; a file that somebody touched is written anew."""
    night = Night(tmp_path)
    manifest = tmp_path / "rows.jsonl"
    manifest.write_text('{"key": "a", "text": "x"}\n{"key": "b", "text": "y"}\n')
    results = tmp_path / "results.jsonl"

    async def main() -> None:
        await night.run(manifest, model="pro-fast")
        first = results.stat()
        await night.run(manifest, model="pro-fast")
        assert results.stat() == first
        results.write_text("mine\n")
        await night.run(manifest, model="pro-fast")
        assert len(list(night.results())) == 2
        manifest.write_text('{"key": "b", "text": "y"}\n{"key": "a", "text": "x"}\n')
        await night.run(manifest, model="pro-fast")
        assert [line["key"] for line in night.results()] == ["b", "a"]
        results.unlink()
        await night.run(manifest, model="pro-fast")
        assert results.exists()

    run(main)


def test_doubts_and_running_rows_count_whatever_was_selected(tmp_path: Path) -> None:
    """Whoever asks for one row must still hear of a doubt about another."""
    night = Night(tmp_path, faults=["drop-after-accept=1"])

    async def main() -> None:
        await night.run(foxes(3), only=["fox-1"])
        report = await night.run(foxes(3), only=["fox-2"])
        assert report.counts[RowState.IN_DOUBT] == 2
        assert report.counts[RowState.PLANNED] == 0

    run(main)
