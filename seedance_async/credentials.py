"""Which token is used, and which address it may be sent to (wire.md, "Tokens").

Environment and home are given, not looked up; the only I/O is reading the official CLI's file.
Neither an error nor a warning ever holds a token or a part of one.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import stat
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Never
from urllib.parse import SplitResult, urlsplit

from seedance_async.errors import CredentialsError

__all__ = [
    "BASE_URL_VARIABLE",
    "DEFAULT_BASE_URL",
    "TOKEN_VARIABLES",
    "CredentialsWarning",
    "Token",
    "find_token",
    "is_loopback",
    "resolve_base_url",
    "token_file",
]

DEFAULT_BASE_URL: Final = "https://model-api.runcomfy.net"
BASE_URL_VARIABLE: Final = "RUNCOMFY_MODEL_API_BASE"
TOKEN_VARIABLES: Final = (
    "RUNCOMFY_TOKEN",
    "RUNCOMFY_API_TOKEN",
    "RUNCOMFY_API_KEY",
    "YOUR_API_TOKEN",  # the literal name that the service's own examples print
)
"""The environment variables that may hold a token; the first one that is set wins."""


class CredentialsWarning(UserWarning):
    """A token's file that others can read, or that cannot be read."""


class Token:
    """A secret that shows itself to nobody who does not call `reveal()`.

    No repr, str, format, pickle, `vars` or `attrs.asdict` gives its value away.

    Attributes:
        source: Where it was found, for people: `argument`, a variable's name or a file's path.
    """

    __slots__ = ("__value", "source")

    def __init__(self, value: str, source: str) -> None:
        """Keep a token.

        Raises:
            CredentialsError: It is empty or cannot stand in an HTTP header.
        """
        self.__value = _check_token(value.strip(), source)
        self.source = source

    def reveal(self) -> str:
        """Return the value, for the Authorization header and nothing else."""
        return self.__value

    def __repr__(self) -> str:
        return f"<Token from {self.source}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash(self.__value)

    def __copy__(self) -> Token:
        return self

    def __deepcopy__(self, memo: object) -> Token:
        return self

    def __reduce__(self) -> Never:
        raise TypeError("a token is not pickled: find it again where it is needed")


def _check_token(value: str, source: str) -> str:
    if not value:
        raise CredentialsError(f"the token from {source} is empty. Nothing was sent.")
    if value.lower().startswith("bearer "):
        raise CredentialsError(
            f"the token from {source} begins with `Bearer `: give the token alone. "
            f"Nothing was sent."
        )
    if not re.fullmatch(r"[!-~]+", value):
        raise CredentialsError(
            f"the token from {source} holds spaces, control characters or characters outside "
            f"ASCII, which no token has: copy it again from your RunComfy profile. "
            f"Nothing was sent."
        )
    return value


def find_token(explicit: str | Token | None, env: Mapping[str, str], home: Path) -> Token:
    """Return the first token found: the argument, a variable, the official CLI's file.

    Raises:
        CredentialsError: There is none, or the first one is unusable.
    """
    if isinstance(explicit, Token):
        return explicit
    if explicit is not None:
        return Token(explicit, "argument")
    for variable in TOKEN_VARIABLES:
        if value := env.get(variable, "").strip():
            return Token(value, variable)
    path = token_file(env, home)
    if found := _read_token_file(path):
        return Token(found, str(path))
    raise CredentialsError(
        f"no token: none was passed, none of {', '.join(TOKEN_VARIABLES)} is set, and {path} "
        f"holds none. Make one in your RunComfy profile and set {TOKEN_VARIABLES[0]}, "
        f"or run `runcomfy login`."
    )


def token_file(env: Mapping[str, str], home: Path) -> Path:
    """Return where the official CLI keeps its token; the same place on all systems."""
    if directory := env.get("RUNCOMFY_CONFIG_DIR"):
        return Path(directory) / "token.json"
    config = env.get("XDG_CONFIG_HOME")
    return (Path(config) if config else home / ".config") / "runcomfy" / "token.json"


def _read_token_file(path: Path) -> str | None:
    """Return the file's token; a broken file is warned of, a missing one is none."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            document = json.loads(file.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn(f"{path} cannot be read: {error.strerror}")
        return None
    except (ValueError, RecursionError):
        _warn(f"{path} is not JSON: run `runcomfy login` again")
        return None
    token = document.get("access_token") if isinstance(document, dict) else None
    if not isinstance(token, str) or not token.strip():
        _warn(f"{path} holds no `access_token`: run `runcomfy login` again")
        return None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        _warn(f"{path} holds your token and others may read it: set its rights to 0600")
    return token


def _warn(text: str) -> None:
    warnings.warn(text, CredentialsWarning, stacklevel=4)


def resolve_base_url(explicit: str | None, env: Mapping[str, str]) -> str:
    """Return the address that the token may be sent to, without a slash at the end.

    Raises:
        CredentialsError: It is no https URL (or http to loopback), or has parts that a base URL
            must not have.
    """
    if explicit is not None:
        return _check_base_url(explicit.strip(), "base_url")
    if value := env.get(BASE_URL_VARIABLE, "").strip():
        return _check_base_url(value, BASE_URL_VARIABLE)
    return DEFAULT_BASE_URL


def _check_base_url(url: str, source: str) -> str:
    parts = _split(url)
    problem = "is not a URL" if parts is None else _base_url_problem(url, parts)
    if parts is None or problem is not None:
        # The URL itself is not shown: it may hold a password.
        raise CredentialsError(
            f"the base URL from {source} {problem}; it looks like {DEFAULT_BASE_URL}. "
            f"Nothing was sent."
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _split(url: str) -> SplitResult | None:
    # urlsplit drops tabs and newlines silently, and aiohttp would encode what is not ASCII.
    if not re.fullmatch(r"[!-~]+", url) or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.port is None or parts.port > 0
    except ValueError:
        return None
    return parts if usable else None


def _base_url_problem(url: str, parts: SplitResult) -> str | None:
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        return "is no https URL"
    if "@" in parts.netloc:
        return "must not hold a user name or a password"
    if "?" in url or "#" in url:
        return "must not have a query or a fragment"
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return "must be https, since plain http would show the token to the network"
    return None


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine: `localhost`, 127.0.0.0/8 or ::1; asks no resolver."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
