"""Hiding a token: in all spellings, wherever a text is cut, and nothing else."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_async.redaction import hide

SECRET = 'sk+live/9f3b~7=c2%a8"e1&d6<04'


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        SECRET.upper(),
        json.dumps(SECRET)[1:-1],
        "".join(f"\\u{ord(sign):04X}" for sign in SECRET),
        quote(SECRET, safe=""),
        quote(quote(SECRET, safe=""), safe=""),
        html.escape(SECRET),
        json.dumps(html.escape(SECRET))[1:-1],
        "".join(f"&#{ord(sign)};" for sign in SECRET),
        "&shy;".join(SECRET),
        "<wbr/>".join(SECRET),
        "\N{ZERO WIDTH SPACE}".join(SECRET),
        SECRET.encode().hex(),
        f"{SECRET} and {SECRET}",
    ],
)
def test_a_token_is_hidden_however_it_is_spelled(shown: str) -> None:
    """What stands around it stays."""
    hidden = hide(f"not you, Bearer {shown}; try again", SECRET)
    assert hidden in (
        "not you, Bearer [token]; try again",
        "not you, Bearer [token] and [token]; try again",
    )


@pytest.mark.parametrize("before", ["", "u:", "user:", "name:"])
def test_a_token_in_base64_is_hidden_at_any_place(before: str) -> None:
    """As in Basic authorization; at most a few signs that it shares with its neighbours stay."""
    shown = base64.b64encode(f"{before}{SECRET}:x".encode()).decode()
    hidden = hide(f"Basic {shown} refused", SECRET)
    assert hidden.startswith("Basic ")
    assert hidden.endswith(" refused")
    assert "[token]" in hidden
    assert len(hidden) < len("Basic [token] refused") + 16


@given(st.integers(0, len(SECRET)), st.integers(0, len(SECRET)))
def test_16_characters_of_a_token_are_hidden_and_fewer_are_not(start: int, end: int) -> None:
    """A text that is cut within the token shows no more of it."""
    piece = SECRET[start:end]
    hidden = hide(f"({piece})", SECRET)
    assert hidden == ("([token])" if len(piece) >= 16 else f"({piece})")


@given(st.text(), st.text(min_size=1, max_size=7, alphabet="ab1"))
def test_a_short_token_is_hidden_as_it_stands_only(text: str, secret: str) -> None:
    """Its letters in another case or in hex are no token of anybody's."""
    assert hide(text, secret) == text.replace(secret, "[token]")


@given(st.text())
def test_a_text_without_the_token_stays_as_it_is(text: str) -> None:
    """Its escapes too."""
    assert hide(text, SECRET) == text
    assert hide(text, "") == text
