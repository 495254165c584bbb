"""Whose a function is, and to which stage of a job a sample belongs."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.where import STAGES, Place, lines, owner_of, place_of, share, stage_of

ROOT = Path(__file__).parents[1]
SEND = Place("seedance_async/http.py", "HttpTransport.send")
ENTER = Place("seedance_async/entrance.py", "Entrance.enter")
READ = Place("seedance_async/wire.py", "read_result")
RUN = Place("asyncio/events.py", "Handle._run")
PARSE = Place("aiohttp/client_proto.py", "ResponseHandler.data_received")


@pytest.mark.parametrize(
    ("filename", "file", "owner"),
    [
        (
            "/x/site-packages/aiohttp/client.py",
            "aiohttp/client.py",
            "aiohttp with yarl and multidict",
        ),
        ("/x/site-packages/yarl/_url.py", "yarl/_url.py", "aiohttp with yarl and multidict"),
        ("/x/lib/python3.11/asyncio/events.py", "asyncio/events.py", "asyncio and selectors"),
        ("/x/lib/python3.11/selectors.py", "selectors.py", "asyncio and selectors"),
        ("/x/lib/python3.11/json/decoder.py", "json/decoder.py", "json"),
        ("/x/seedance_async/wire.py", "seedance_async/wire.py", "seedance_async: wire"),
        (
            "/seedance_async/v/site-packages/seedance_async/batch/rows.py",
            "seedance_async/batch/rows.py",
            "seedance_async: batch/rows",
        ),
        (
            "/seedance_async/v/site-packages/attr/_make.py",
            "attr/_make.py",
            "attrs and cattrs",
        ),
        (
            "<attrs generated methods seedance_async.wire.Ended>",
            "<attrs generated methods seedance_async.wire.Ended>",
            "attrs and cattrs, generated",
        ),
        ("/x/benchmarks/clients.py", "benchmarks/clients.py", "the caller"),
        ("/x/lib/python3.11/heapq.py", "heapq.py", "others"),
    ],
)
def test_a_function_has_an_owner_wherever_it_is_installed(
    filename: str, file: str, owner: str
) -> None:
    place = place_of(filename, "f")
    assert place == (file, "f")
    assert owner_of(place) == owner


def test_a_sample_belongs_to_the_innermost_stage() -> None:
    assert stage_of([PARSE, SEND, READ, RUN]) == "request: sent and its answer read"
    assert stage_of([ENTER, SEND, RUN]) == "request: sent and its answer read"
    assert stage_of([READ, SEND, RUN]) == "wire: what an answer means"


def test_a_sample_outside_of_all_stages_is_the_loops() -> None:
    assert stage_of([PARSE, RUN]) == "outside: event loop, sockets, parsers"


def test_the_closest_name_of_a_function_counts() -> None:
    tell = Place("seedance_async/state.py", "SessionState.tell")
    assert stage_of([tell]) == "journal"
    assert stage_of([tell._replace(function="SessionState.wall")]) == "the rest of seedance_async"


def test_what_stages_name_of_ours_exists() -> None:
    for begins in STAGES.values():
        for begin in begins:
            if begin.startswith(("seedance_async/", "benchmarks/")):
                assert (ROOT / begin.partition(":")[0]).exists(), begin


def test_shares_add_up_to_the_whole() -> None:
    samples = {(PARSE, SEND, RUN): 2.0, (SEND, RUN): 0.5, (PARSE, RUN): 1.0}
    assert share(samples, stage_of) == {
        "request: sent and its answer read": 2.5,
        "outside: event loop, sockets, parsers": 1.0,
    }


def test_both_contenders_stand_in_each_line_with_their_difference() -> None:
    head, *rows = lines("stage", {"loop": {"b": 2.0, "c": 0.5}, "session": {"a": 1.0, "b": 3.0}})
    assert head.split() == ["stage,", "us", "a", "job", "session", "loop", "more"]
    assert [row.split() for row in rows] == [
        ["b", "3.0", "2.0", "+1.0"],
        ["a", "1.0", "0.0", "+1.0"],
        ["c", "0.0", "0.5", "-0.5"],
        ["together", "4.0", "2.5", "+1.5"],
    ]


def test_a_contender_alone_is_compared_with_nothing() -> None:
    assert [row.split()[-2:] for row in lines("stage", {"loop": {"a": 1.0}})] == [
        ["job", "loop"],
        ["a", "1.0"],
        ["together", "1.0"],
    ]
