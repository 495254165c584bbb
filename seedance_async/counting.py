"""How many of what, in words: 1 row, 1,234 rows."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, one: str, many: str = "") -> str:
    """Return how many of what: 1 row, 1,234 rows.

    Args:
        number: How many.
        one: What one is called; a verb may follow.
        many: What all others are called; by default with an s.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
