"""The part of a page that a command makes."""

from __future__ import annotations

import pytest

from benchmarks.marked import replace_block


def test_a_page_keeps_all_but_what_is_made() -> None:
    page = "before\n<begin>\nold\n<end>\nafter\n"
    made = "before\n<begin>\nnew\n<end>\nafter\n"
    assert replace_block(page, "<begin>", "<end>", "new") == made


@pytest.mark.parametrize("page", ["", "<begin>", "<end> <begin>", "<begin><end><begin><end>"])
def test_a_page_without_one_pair_of_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="the page needs one <begin> and, below it, one <end>"):
        replace_block(page, "<begin>", "<end>", "new")
