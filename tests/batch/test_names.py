"""File names: safe on every system, and never two rows' at once."""

from __future__ import annotations

import hashlib
import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seedance_async.batch.names import video_name

DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"}
DEVICES |= {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}


def hashed(stem: str, key: str, end: str = "") -> str:
    return f"{stem}-{hashlib.sha256(key.encode()).hexdigest()[:8]}{end}.mp4"


@pytest.mark.parametrize(
    "key",
    [
        *("fox", "Fox_7", "shot-12", "fox-2", "v1.2", "a..b", "r3f9c0a7b12d4e5f6_2", "_", "0"),
        *("x" * 100, "fox-1234567", "fox.mp4", "console", "com10", "fox_con", "fox-123456789"),
    ],
)
def test_a_safe_key_is_the_name(key: str) -> None:
    """As people write keys, and as they are derived."""
    assert video_name(key) == f"{key}.mp4"


CHANGED = [
    ("a fox", "a_fox"),
    ("лиса", "____"),
    ("fox/../../etc/passwd", "fox_.._.._etc_passwd"),
    ("C:\\fox", "C__fox"),
    ("..", "__"),
    (".", "_"),
    (".fox", "_fox"),
    ("fox.", "fox_"),
    ("fox ", "fox_"),
    ("-rf", "_rf"),
    ("fox\n", "fox_"),
    ("x" * 101, "x" * 100),
    ("CON", "_CON"),
    ("nul", "_nul"),
    ("con.x", "_con.x"),
    ("Lpt1.tar.gz", "_Lpt1.tar.gz"),
    ("COM¹", "COM_"),
    ("CONIN$", "CONIN_"),
    ("con." + "x" * 96, "_con." + "x" * 95),
    ("", "_"),
    ("fox-1a2b3c4d", "fox-1a2b3c4d"),
    ("fox-20260131", "fox-20260131"),
    ("fox-1A2B3C4D-2", "fox-1A2B3C4D-2"),
]


@pytest.mark.parametrize(("key", "stem"), CHANGED, ids=[ascii(key)[:20] for key, _ in CHANGED])
def test_any_other_key_bears_its_hash(key: str, stem: str) -> None:
    """Changed, too long, a device's name, or like a name that bears a hash already."""
    assert video_name(key) == hashed(stem, key)


def test_a_taken_name_bears_the_hash_and_further_videos_their_number() -> None:
    """As the design has it; a hash may have more digits, should eight not do."""
    assert video_name("fox", taken=True) == hashed("fox", "fox")
    assert video_name("fox", 2) == "fox-2.mp4"
    assert video_name("fox", 2, taken=True) == hashed("fox", "fox", "-2")
    assert video_name("a fox", 12) == hashed("a_fox", "a fox", "-12")
    assert len(video_name("a fox", digits=64)) == len("a_fox-.mp4") + 64
    with pytest.raises(ValueError, match="videos count from 1, not 0"):
        video_name("fox", 0)


@given(st.text(st.characters(), max_size=250), st.integers(1, 9), st.booleans())
@example("a\ud800", 1, False)
def test_any_key_gives_a_safe_name(key: str, number: int, taken: bool) -> None:
    """One name in the folder, for Linux, macOS and Windows, for shells and for people."""
    name = video_name(key, number, taken=taken)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.mp4", name)
    assert len(name) <= 100 + len("-1a2b3c4d-9.mp4")
    assert name.partition(".")[0].rstrip().lower() not in DEVICES
    assert video_name(key, number, taken=taken) == name


NAMES = st.builds(
    lambda key, number, taken: video_name(key, number, taken=taken).removesuffix(".mp4"),
    st.text("aA!-2.", max_size=3),
    st.integers(1, 3),
    st.booleans(),
)
KEYS = st.one_of(
    st.text(st.characters(), max_size=6),
    st.text("foxFOX!-2._ K", max_size=6),
    st.text("xX!", min_size=99, max_size=102),
    st.sampled_from(["con", "CON", "_con", "con.x", "_con.x", "fox", "Fox", "fox-2", "FOX-2"]),
    NAMES,
    NAMES.map(str.upper),
    NAMES.map(video_name).map(lambda name: name.removesuffix(".mp4")),
)
LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@given(st.lists(KEYS, unique=True, max_size=12))
@example(["fox", "fox-2", "Fox", "FOX-2"])
@example(["fox!", video_name("fox!")[:-4], video_name(video_name("fox!")[:-4])[:-4]])
def test_no_two_rows_share_a_name(keys: list[str]) -> None:
    """Whatever the keys are, and however many videos each job has, on a disk blind to case."""
    names: set[str] = set()
    folded: set[str] = set()
    known = {key.translate(LOWER) for key in keys}
    for key in keys:
        fold = key.translate(LOWER)  # as SQLite's lower()
        for number in (1, 2, 3, 22):
            taken = fold in folded or (number > 1 and f"{fold}-{number}" in known)
            name = video_name(key, number, taken=taken).casefold()
            assert name not in names
            names.add(name)
        folded.add(fold)
