"""`doctor`: whether the way to the service is open; it never makes a paid call."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import attrs
from cyclopts import Parameter

from seedance_async.cli.connection import Service
from seedance_async.cli.exits import Exit, exit_code
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.runner import run_async
from seedance_async.cli.terminal import console, print_json, tell
from seedance_async.credentials import BASE_URL_VARIABLE, Token, find_token, resolve_base_url
from seedance_async.errors import CredentialsError, SeedanceError

__all__ = ["doctor"]

_PACKAGES = ("aiohttp", "anyio", "attrs", "cattrs", "cyclopts", "rich", "jsonschema", "imagesize")
_NOBODYS_JOB = "00000000-0000-0000-0000-000000000000"


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        says: What was found.
        code: What it means for the exit code.
    """

    name: str
    says: str
    code: Exit = Exit.OK


def doctor(*, reporting: Annotated[Reporting, Parameter(name="*")] = QUIET) -> int:
    """Say which token, address and proxy are used, and make one free request.

    The token itself is never shown, and no call is made that could cost anything.
    """
    reporting.start()
    findings = _examine()
    worst = next(
        (code for code in (Exit.ACCOUNT, Exit.UNREACHABLE, Exit.USAGE) if _has(findings, code)),
        Exit.OK,
    )
    if reporting.json:
        print_json({"ok": worst is Exit.OK, **{f.name: _plain(f) for f in findings}})
    else:
        _show(findings)
    return worst


def _has(findings: list[Finding], code: Exit) -> bool:
    return any(finding.code is code for finding in findings)


def _plain(finding: Finding) -> dict[str, Any]:
    return {"ok": finding.code is Exit.OK, "says": finding.says}


def _show(findings: list[Finding]) -> None:
    screen = console(stderr=False)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        good = finding.code is Exit.OK
        screen.print("ok     " if good else "problem", style="green" if good else "red", end=" ")
        screen.print(
            f"{finding.name:<{width}} {finding.says}", soft_wrap=True, highlight=False, markup=False
        )
    if all(finding.code is Exit.OK for finding in findings):
        tell("all is well")


def _examine() -> list[Finding]:
    findings = [_versions()]
    base_url, finding = _base_url()
    findings.append(finding)
    token, finding = _token()
    findings.append(finding)
    if base_url is not None:
        findings.append(_proxy(base_url))
    if base_url is None or token is None:
        missing = "base URL" if base_url is None else "token"
        findings.append(Finding(name="service", says=f"not asked, for there is no {missing}"))
    else:
        findings.append(run_async(_ask(Service(base_url, token))))
    return findings


def _versions() -> Finding:
    from seedance_async.__about__ import __version__

    found = [f"seedance-async {__version__}", f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            found.append(f"{package} missing")
    return Finding(name="versions", says=f"{', '.join(found)}, on {platform.platform()}")


def _base_url() -> tuple[str | None, Finding]:
    try:
        url = resolve_base_url(None, os.environ)
    except CredentialsError as error:
        return None, Finding(name="base URL", says=str(error), code=Exit.USAGE)
    given = os.environ.get(BASE_URL_VARIABLE, "").strip()
    source = f"from {BASE_URL_VARIABLE}" if given else "the default"
    return url, Finding(name="base URL", says=f"{url} ({source})")


def _token() -> tuple[Token | None, Finding]:
    try:
        token = find_token(None, os.environ, Path.home())
    except CredentialsError as error:
        return None, Finding(name="token", says=str(error), code=Exit.ACCOUNT)
    return token, Finding(name="token", says=f"found in {token.source}")


def _proxy(base_url: str) -> Finding:
    from seedance_async.proxies import ProxyRule

    proxy = ProxyRule()(base_url)
    if proxy is None:
        return Finding(name="proxy", says="none")
    parts = urlsplit(proxy)  # a proxy's URL may hold a password
    port = f":{parts.port}" if parts.port else ""
    return Finding(name="proxy", says=f"{parts.scheme}://{parts.hostname}{port}")


async def _ask(service: Service) -> Finding:
    """Ask for a job that nobody has: an answer in the service's words shows all that matters."""
    try:
        async with service.session() as session:
            await session.fetch(_NOBODYS_JOB)
    except SeedanceError as error:
        code = exit_code(error)
        code = Exit.ACCOUNT if code is Exit.ACCOUNT else Exit.UNREACHABLE
        return Finding(name="service", says=str(error), code=code)
    return Finding(name="service", says=f"{service.base_url} answers and takes the token")
