"""What stays on stderr of a command that works."""

import json

import pytest

from seedance_async.cli.standing import Standing
from seedance_async.cli.voice import Voice

RUNS = Standing(running=1, settled=0)


@pytest.mark.parametrize("then", ["", "Again: leave. It goes on with"])
def test_the_command_stands_alone_below_the_table_unless_the_text_names_it(
    then: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a line of its own it is copied whole."""
    Voice(as_json=False).interrupted(1, "it is waited for.", RUNS, then=then, again="go on")
    first, *table = capsys.readouterr().err.splitlines()
    assert first == "interrupted: it is waited for."
    assert table[-2:] == [then, "  go on"] if then else "go on" not in "\n".join(table)


def test_last_words_are_one_text_that_waits_for_nothing() -> None:
    said = Voice(as_json=False).last_words("left.", RUNS, then="`go on` goes on", again="go on")
    assert said.splitlines()[0] == "interrupted: left."
    assert said.splitlines()[-1] == "`go on` goes on"
    assert Voice(as_json=False).last_words("left.", None, again="go on") == "interrupted: left."


def test_as_json_an_interrupt_is_one_object_that_names_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    voice = Voice(as_json=True)
    voice.interrupted(2, "leaving.", RUNS, then="A third time: at once", again="go on")
    last = voice.last_words("left.", None, again="go on")
    lines = [*capsys.readouterr().err.splitlines(), last]
    assert [(event["stage"], event["next"]) for event in map(json.loads, lines)] == [
        (2, "go on"),
        (3, "go on"),
    ]


def test_what_strangers_wrote_does_nothing_to_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    voice = Voice(as_json=False)
    voice.note("says \x1b[2J")
    voice.line("says \x1b[2J")
    assert "\x1b" not in capsys.readouterr().err
