"""What a person asked for on the command line, read once and checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from .service import Document, Pace

CHEAPEST = "bytedance/seedance-1-0/pro/fast/text-to-video"

INPUTS: Mapping[str, Document] = {
    CHEAPEST: {
        "text": "A paper boat drifts across a puddle",
        "resolution": "480p",
        "duration": 2,
    },
    "bytedance/seedance-2.5/text-to-video/480p": {
        "prompt": "A paper boat drifts across a puddle",
        "duration": 4,
        "generate_audio": False,
    },
}
"""The cheapest input of each model that is known to make a video from text."""

OPTIONS: Mapping[str, tuple[str, str]] = {
    "--base-url": ("URL", "the service to examine; without it, the simulator"),
    "--budget": ("USD", "what the checks may spend; 0, the default: only those that are free"),
    "--model": ("ID", f"the model to generate with (default: {CHEAPEST})"),
    "--input": ("JSON", "the input of a generation, for a model of which none is known"),
    "--price": ("USD_PER_SECOND", "what a second of video costs, where the catalog names no price"),
    "--differences": ("FILE", "write what was found as JSON"),
}
"""The options by name, each with the word for its value and a help text."""


@attrs.frozen(kw_only=True)
class Settings:
    """What to examine, and for how much.

    Attributes:
        base_url: empty: an embedded simulator.
        token: of the service; empty for the simulator.
        model: to generate with.
        body: the input of one generation.
        budget: USD.
        price: USD for a second of video, None where the catalog is to tell.
        pace: how jobs are followed.
        differences: the file to write, None for none.
    """

    base_url: str
    token: str = attrs.field(repr=False)
    model: str
    body: Document
    budget: Decimal
    price: Decimal | None
    pace: Pace
    differences: Path | None


def read_settings(option: Callable[[str], str | None], environment: Mapping[str, str]) -> Settings:
    """Read the options, and the token from RUNCOMFY_TOKEN.

    Raises:
        ValueError: what was asked for is not possible; says what to do.
    """
    base_url = (option("base_url") or "").rstrip("/")
    token = environment.get("RUNCOMFY_TOKEN", "") if base_url else ""
    if base_url:
        _check_address(base_url)
        if not token:
            raise ValueError("set RUNCOMFY_TOKEN to the token of the service at --base-url")
    model = option("model") or CHEAPEST
    path = option("differences")
    return Settings(
        base_url=base_url,
        token=token,
        model=model,
        body=_body(model, option("input")),
        budget=_money("--budget", option("budget") or ("0" if base_url else "1")),
        price=_money("--price", text) if (text := option("price")) else None,
        pace=_pace(base_url),
        differences=Path(path) if path else None,
    )


def _check_address(base_url: str) -> None:
    scheme = urlsplit(base_url).scheme
    if scheme != "https" and not (scheme == "http" and _is_loopback(base_url)):
        raise ValueError(f"--base-url {base_url}: https, or plain http on this machine only")


def _pace(base_url: str) -> Pace:
    """Follow jobs slowly where they are real, and at once where no time has to pass."""
    if not base_url:
        return Pace(0.0, 60)
    return Pace(0.02, 6000) if _is_loopback(base_url) else Pace()


def _is_loopback(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _money(name: str, text: str) -> Decimal:
    try:
        money = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{name} {text}: not an amount of USD, such as 0.50") from None
    if not (money.is_finite() and money >= 0):
        raise ValueError(f"{name} {text}: not an amount of USD, such as 0.50")
    return money


def _body(model: str, text: str | None) -> Document:
    if text is None:
        if model not in INPUTS:
            raise ValueError(f"no input is known for {model}: give one with --input JSON")
        return dict(INPUTS[model])
    try:
        body = json.loads(text)
    except ValueError as error:
        raise ValueError(f"--input is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ValueError("--input must be a JSON object, the input of one generation")
    return body
