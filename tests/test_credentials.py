"""Which token is used, where it may go, and that nobody gets to see it."""

from __future__ import annotations

import copy
import json
import os
import pickle
from pathlib import Path

import attrs
import pytest

from seedance_async.credentials import (
    DEFAULT_BASE_URL,
    TOKEN_VARIABLES,
    CredentialsWarning,
    Token,
    find_token,
    is_loopback,
    resolve_base_url,
    token_file,
)
from seedance_async.errors import CredentialsError, SeedanceError

SECRET = "sk-fox-1234567890"
POSIX = pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")


def write_token(home: Path, text: str | None = None, mode: int = 0o600) -> Path:
    """Write the official CLI's file below `home`."""
    path = token_file({}, home)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"access_token": SECRET}) if text is None else text)
    path.chmod(mode)
    return path


# --- finding -------------------------------------------------------------------------------


def test_the_first_place_wins(tmp_path: Path) -> None:
    """Argument, then the variables in their order, then the file; each says where it was."""
    path = write_token(tmp_path)
    env = {name: f"token-{name}" for name in TOKEN_VARIABLES}
    assert find_token("mine", env, tmp_path).source == "argument"
    for name in TOKEN_VARIABLES:
        token = find_token(None, env, tmp_path)
        assert (token.source, token.reveal()) == (name, f"token-{name}")
        del env[name]
    token = find_token(None, env, tmp_path)
    assert (token.source, token.reveal()) == (str(path), SECRET)
    assert find_token(token, {}, tmp_path) is token


def test_variables_are_those_of_the_wire() -> None:
    """wire.md, "Tokens"; the last is the name that the service's examples print."""
    assert TOKEN_VARIABLES == (
        "RUNCOMFY_TOKEN",
        "RUNCOMFY_API_TOKEN",
        "RUNCOMFY_API_KEY",
        "YOUR_API_TOKEN",
    )


def test_blank_variables_are_not_set(tmp_path: Path) -> None:
    """An empty variable, as CI systems make, does not hide the next place; values are stripped."""
    env = {"RUNCOMFY_TOKEN": "  ", "RUNCOMFY_API_KEY": f" {SECRET}\n"}
    assert find_token(None, env, tmp_path).reveal() == SECRET


def test_a_missing_token_says_where_it_was_sought(tmp_path: Path) -> None:
    """The error lists every place, and is one of the package's."""
    with pytest.raises(CredentialsError) as caught:
        find_token(None, {}, tmp_path)
    for place in (*TOKEN_VARIABLES, str(token_file({}, tmp_path))):
        assert place in str(caught.value)
    assert isinstance(caught.value, SeedanceError)
    assert isinstance(caught.value, ValueError)


def test_the_file_is_where_the_official_cli_keeps_it(tmp_path: Path) -> None:
    """RUNCOMFY_CONFIG_DIR, then XDG_CONFIG_HOME, then ~/.config; empty ones count as unset."""
    env = {"RUNCOMFY_CONFIG_DIR": "", "XDG_CONFIG_HOME": ""}
    assert token_file(env, tmp_path) == tmp_path / ".config" / "runcomfy" / "token.json"
    env["XDG_CONFIG_HOME"] = "/xdg"
    assert token_file(env, tmp_path) == Path("/xdg/runcomfy/token.json")
    env["RUNCOMFY_CONFIG_DIR"] = "/own"
    assert token_file(env, tmp_path) == Path("/own/token.json")


@POSIX
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_may_touch_is_used_with_a_warning(tmp_path: Path, mode: int) -> None:
    """The file is read, never mended, and the warning points at the caller."""
    path = write_token(tmp_path, mode=mode)
    with pytest.warns(CredentialsWarning, match="0600") as caught:
        assert find_token(None, {}, tmp_path).reveal() == SECRET
    assert caught[0].filename == __file__
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    "text",
    [
        "",
        f'{{"access_token": "{SECRET}"',
        f'["{SECRET}"]',
        f'{{"token": "{SECRET}"}}',
        "5",
        '{"access_token": 5}',
        '{"access_token": " "}',
        "[" * 100000,
    ],
    ids=lambda text: text[:24],
)
def test_a_broken_file_is_named_without_its_content(tmp_path: Path, text: str) -> None:
    """The warning names the file, the error then says that there is no token."""
    path = write_token(tmp_path, text)
    with (
        pytest.warns(CredentialsWarning) as caught,
        pytest.raises(CredentialsError, match="no token"),
    ):
        find_token(None, {}, tmp_path)
    assert str(path) in str(caught[0].message)
    assert SECRET not in str(caught[0].message)


def test_a_folder_in_the_files_place_is_a_warning(tmp_path: Path) -> None:
    """What cannot be opened holds no token."""
    token_file({}, tmp_path).mkdir(parents=True)
    with (
        pytest.warns(CredentialsWarning, match="cannot be read"),
        pytest.raises(CredentialsError),
    ):
        find_token(None, {}, tmp_path)


# --- refusing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        f"{SECRET}\r\nX-Evil: 1",
        f"{SECRET} {SECRET}",
        f"{SECRET}ä",
        f"Bearer {SECRET}",
        f"{SECRET}\x00",
        f"{SECRET}\x7f",
        f"{SECRET}\u200b",
    ],
)
def test_unusable_tokens_are_refused_unseen(value: str, tmp_path: Path) -> None:
    """What cannot stand in a header is found before any request, and not shown."""
    with pytest.raises(CredentialsError, match="token from argument") as caught:
        find_token(value, {"RUNCOMFY_TOKEN": "other"}, tmp_path)
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


# --- hiding --------------------------------------------------------------------------------


@attrs.frozen
class Holder:
    """A configuration with a token in it."""

    token: Token


def test_a_token_shows_itself_to_nobody() -> None:
    """Promise 6: no repr, str, format or conversion gives it away."""
    token = Token(SECRET, "argument")
    holder = Holder(token)
    shown = [repr(token), str(token), f"{token}", f"{token!s}", "%s %r" % (token, token)]  # noqa: UP031
    shown += [repr(holder), repr(attrs.asdict(holder)), repr([token]), repr(dir(token))]
    assert all(SECRET not in text for text in shown)
    assert not hasattr(token, "__dict__")
    assert token.reveal() == SECRET


def test_a_token_is_not_pickled() -> None:
    """No job queue or cache stores it by accident; copies in the process are the same token."""
    token = Token(SECRET, "argument")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(Holder(token), protocol)
    assert copy.copy(token) is token
    assert copy.deepcopy(Holder(token)).token is token


def test_tokens_compare_by_value() -> None:
    """Two sessions can be told to use the same one."""
    assert Token(SECRET, "a") == Token(SECRET, "b") != Token("other", "a")
    assert hash(Token(SECRET, "a")) == hash(Token(SECRET, "b"))
    assert Token(SECRET, "a") != SECRET


# --- the base URL --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        ("https://model-api.runcomfy.net/", "https://model-api.runcomfy.net"),
        ("HTTPS://Model-API.runcomfy.net", "https://model-api.runcomfy.net"),
        ("https://example.com:8443/proxy/runcomfy//", "https://example.com:8443/proxy/runcomfy"),
        ("http://localhost:8765", "http://localhost:8765"),
        ("http://127.0.0.1:8765/", "http://127.0.0.1:8765"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        (" http://[::1]:8765 ", "http://[::1]:8765"),
    ],
)
def test_usable_base_urls(given: str, resolved: str) -> None:
    """https anywhere, http on this machine, a path prefix, never a slash at the end."""
    assert resolve_base_url(given, {}) == resolved
    assert resolve_base_url(None, {"RUNCOMFY_MODEL_API_BASE": given}) == resolved


def test_where_the_base_url_comes_from() -> None:
    """The argument, the variable, the service."""
    env = {"RUNCOMFY_MODEL_API_BASE": "https://b.example"}
    assert resolve_base_url("https://a.example", env) == "https://a.example"
    assert resolve_base_url(None, env) == "https://b.example"
    assert resolve_base_url(None, {"RUNCOMFY_MODEL_API_BASE": " "}) == DEFAULT_BASE_URL
    assert resolve_base_url(None, {}) == "https://model-api.runcomfy.net"


@pytest.mark.parametrize(
    "given",
    [
        "http://example.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://127.0.0.1.nip.io",
        "http://127.1",
        "http://0.0.0.0",
        "ftp://example.com",
        "file:///etc/passwd",
        "example.com",
        "//example.com",
        "https://",
        "https://me:hunter2@example.com",
        "https://hunter2@example.com",
        "https://@example.com",
        "https://example.com?key=hunter2",
        "https://example.com/?",
        "https://example.com#",
        "https://[bad",
        "https://example.com:99999",
        "https://example.com:0",
        "https://example.com:x",
        "https://example.com\\@evil.example",
        "https://exämple.com",
        "",
        "https://exam\tple.com",
        "https://example.com/\nX: hunter2",
    ],
)
def test_base_urls_that_no_token_is_sent_to(given: str) -> None:
    """Each is refused before any request, and passwords in it are not shown."""
    with pytest.raises(CredentialsError, match="the base URL from base_url") as caught:
        resolve_base_url(given, {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.255.0.1", "::1", "[::1]"]
)
def test_loopback(host: str) -> None:
    """This machine, by any of its names."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "example.com", "localhost.evil.com", "10.0.0.1", "0.0.0.0", "::"]
)
def test_not_loopback(host: str) -> None:
    """Names are not resolved: a foreign one may point here today and elsewhere tomorrow."""
    assert not is_loopback(host)
