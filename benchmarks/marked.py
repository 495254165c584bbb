"""A page of which a part between two markers is made by a command."""

from __future__ import annotations

__all__ = ["replace_block"]


def replace_block(page: str, begin: str, end: str, made: str) -> str:
    """Return a page with what was made between its markers, on lines of its own.

    Raises:
        ValueError: It has not exactly one pair of them, in order.
    """
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"the page needs one {begin} and, below it, one {end}")
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n{made}\n{end}{rest.partition(end)[2]}"
