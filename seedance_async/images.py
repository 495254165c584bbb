"""Whether a request's images keep the rules of their model (wire.md, section 6).

As little as possible is read: an image's first bytes tell its width and height, the answer's
headers its size. No session calls this by itself: in a web app it would fetch what a user names.
"""

from __future__ import annotations

import functools
import io
import struct
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

import anyio
import attrs

from seedance_async.errors import InvalidRequestError, SeedanceError, Violation
from seedance_async.heads import Head, is_private_host
from seedance_async.models import Request, find_model
from seedance_async.rules import read_schema

__all__ = [
    "Fetch",
    "ImageFacts",
    "ImageReport",
    "ImageRule",
    "Measure",
    "check_images",
    "image_rules",
    "inspect_images",
    "judge_image",
]

Fetch: TypeAlias = Callable[[str, int], Awaitable[Head]]
"""Fetches at most so many first bytes of a URL; raises `TransportError` if it cannot."""

Measure: TypeAlias = Literal["width_pixels", "height_pixels", "width/height", "file_size_mb"]

_READS: Final = (4 * 1024, 64 * 1024, 512 * 1024)
"""First bytes asked for, in turn: a JPEG's size may stand behind a big EXIF block."""

_WORDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "width_pixels": ("width", " px", "scale it"),
    "height_pixels": ("height", " px", "scale it"),
    "width/height": ("width divided by height", "", "crop it"),
    "file_size_mb": ("file", " MB", "compress it"),
}

_URL_RULE: Final = (
    "must be a public https URL, because the service fetches the image itself, without login "
    "or cookies: upload it, or use a pre-signed URL"
)


@attrs.frozen
class ImageRule:
    """One of a schema's `validations`: the measure must lie below its limit, or above it."""

    measure: Measure
    below: bool
    limit: float

    def __str__(self) -> str:
        name, unit, way_out = _WORDS[self.measure]
        side = "under" if self.below else "over"
        return f"its {name} must be {side} {self.limit:g}{unit}: {way_out}"


@attrs.frozen(kw_only=True)
class ImageFacts:
    """What is known of one image; None: it could not be told.

    Attributes:
        field: The request's field.
        url: As given.
        width: Pixels.
        height: Pixels.
        size_bytes: The whole file's size.
        content_type: The server's word.
    """

    field: str
    url: str = attrs.field(repr=lambda url: repr(url[:80]))  # a data: URI is the whole image
    width: int | None = None
    height: int | None = None
    size_bytes: int | None = None
    content_type: str | None = None


@attrs.frozen
class ImageReport:
    """What was found: the images, what surely breaks a rule, and what may disappoint."""

    images: tuple[ImageFacts, ...] = ()
    violations: tuple[Violation, ...] = ()
    warnings: tuple[str, ...] = ()


# --- judging: pure -------------------------------------------------------------------------


@functools.cache
def image_rules(model_id: str) -> Mapping[str, tuple[ImageRule, ...]]:
    """Return the rules of each image field of a known model, from its schema's `validations`."""
    model = find_model(model_id)
    properties = read_schema(model.model_id)["properties"] if model is not None else {}
    return MappingProxyType(
        {
            name: tuple(_read_rule(rule) for rule in says["validations"])
            for name, says in properties.items()
            if "validations" in says
        }
    )


def _read_rule(validation: Mapping[str, Any]) -> ImageRule:
    rule = validation["validation_rule"]  # such as `width_pixels<`
    return ImageRule(rule[:-1], rule[-1] == "<", float(validation["validation_value"]))


def judge_image(
    field: str,
    url: str,
    width: int | None,
    height: int | None,
    size_bytes: int | None,
    rules: Iterable[ImageRule],
) -> tuple[tuple[Violation, ...], tuple[str, ...]]:
    """Return what breaks a rule in every reading, and warnings of what breaks it in one.

    The service's limits are strict, its messages read as if the bounds passed, and a megabyte
    is 10**6 or 2**20 bytes; what is not known is not judged.
    """
    violations: list[Violation] = []
    warnings: list[str] = []
    for rule in rules:
        readings = _readings(rule.measure, width, height, size_bytes)
        keeps = [value < rule.limit if rule.below else value > rule.limit for value in readings]
        if all(keeps):
            continue
        if rule.limit in readings or any(keeps):
            warnings.append(f"{field} is at the bound of a rule and may be refused: {rule}")
        else:
            facts = (
                f"{size_bytes} bytes"
                if rule.measure == "file_size_mb"
                else f"{width} x {height} px"
            )
            violations.append(Violation(field, url, f"is an image of {facts}, but {rule}"))
    return tuple(violations), tuple(warnings)


def _readings(
    measure: Measure, width: int | None, height: int | None, size_bytes: int | None
) -> tuple[float, ...]:
    """Return what a measure may amount to in the service's units; nothing if it is not known.

    Whether the service turns an image as its EXIF says does not matter: the rules of width and
    height are the same, and 0.4 and 2.5 are each other's inverse.
    """
    if measure == "file_size_mb":
        return () if size_bytes is None else (size_bytes / 10**6, size_bytes / 2**20)
    if not width or not height:
        return ()
    return ({"width_pixels": width, "height_pixels": height}.get(measure, width / height),)


def _address_problem(url: str) -> str | None:
    """Return what the service needs if it surely cannot fetch `url`."""
    try:
        parts = urlsplit(url)
        reachable = parts.scheme == "https" and parts.hostname is not None
        reachable = reachable and not is_private_host(parts.hostname or "")
    except ValueError:
        reachable = False
    return None if reachable else _URL_RULE


# --- reading: thin -------------------------------------------------------------------------


async def check_images(
    request: Request, *, fetch: Fetch | None = None, timeout: float = 30.0
) -> ImageReport:
    """Look at a request's images, and refuse it if one surely breaks a rule of its model.

    May be repeated; cancelled, it gives up its fetches. Otherwise as `inspect_images`.

    Raises:
        InvalidRequestError: With the violations of all images.
        SeedanceError: `imagesize` is not installed.
    """
    report = await inspect_images(request, fetch=fetch, timeout=timeout)
    if report.violations:
        raise InvalidRequestError(report.violations, model_id=request.model_id)
    return report


async def inspect_images(
    request: Request, *, fetch: Fetch | None = None, timeout: float = 30.0
) -> ImageReport:
    """Return what is to be said of a request's images; one out of reach is a warning.

    Args:
        request: Of any model; only those with a known schema have image rules.
        fetch: Instead of plain GETs without the token.
        timeout: Seconds for each image.

    Raises:
        SeedanceError: `imagesize` is not installed.
    """
    rules = image_rules(request.model_id)
    given = [(field, url) for field, url in request.input().items() if field in rules]
    images = [(field, url) for field, url in given if isinstance(url, str)]
    if not images:
        return ImageReport()
    inspector = _Inspector(fetch or _import_fetch(), _import_measure(), timeout)
    found: dict[str, ImageReport] = {}

    async def inspect(field: str, url: str) -> None:
        found[field] = await inspector.inspect(field, url, rules[field])

    async with anyio.create_task_group() as tasks:
        for field, url in images:
            tasks.start_soon(inspect, field, url)
    reports = [found[field] for field, _ in images]
    return ImageReport(
        tuple(image for report in reports for image in report.images),
        tuple(violation for report in reports for violation in report.violations),
        tuple(warning for report in reports for warning in report.warnings),
    )


_Size: TypeAlias = tuple[int, int]


@attrs.frozen
class _Inspector:
    """Looks at one image."""

    fetch: Fetch
    measure: Callable[[bytes], _Size | None]
    timeout: float

    async def inspect(self, field: str, url: str, rules: Iterable[ImageRule]) -> ImageReport:
        if url[:5].lower() == "data:":
            return self._judge_data(field, url, rules)
        if problem := _address_problem(url):
            return _refused(field, url, problem)
        try:
            with anyio.fail_after(self.timeout):
                head, size = await self._read(url)
        except (SeedanceError, OSError) as error:
            why = str(error) or f"no answer within {self.timeout:g} s"
            return _unchecked(ImageFacts(field=field, url=url), f"cannot be reached: {why}")
        return _judge_head(field, url, head, size, rules)

    async def _read(self, url: str) -> tuple[Head, _Size | None]:
        """Fetch more and more of an image until its size is found or no more can help."""
        for first_bytes in _READS:
            head = await self.fetch(url, first_bytes)
            size = self.measure(head.body)
            if len(head.body) < first_bytes:  # that was the whole file
                return attrs.evolve(head, size_bytes=head.size_bytes or len(head.body)), size
            if size or not _has_known_format(head.body):
                break
        return head, size

    def _judge_data(self, field: str, url: str, rules: Iterable[ImageRule]) -> ImageReport:
        warning = f"{field} is a data: URI, which the service does not document"
        body = _decode_data(url)
        if body is None:
            facts = ImageFacts(field=field, url=url)
            return ImageReport((facts,), (), (f"{warning}, and it cannot be decoded",))
        head = Head(status=200, size_bytes=len(body), body=body, final_url=url)
        report = _judge_size(field, url, head, self.measure(body), rules)
        return attrs.evolve(report, warnings=(warning, *report.warnings))


def _judge_head(
    field: str, url: str, head: Head, size: _Size | None, rules: Iterable[ImageRule]
) -> ImageReport:
    if problem := _address_problem(head.final_url):
        return _refused(field, url, f"redirects to another kind of address, but {problem}")
    if head.status not in {200, 206}:
        facts = ImageFacts(field=field, url=url)
        return _unchecked(facts, f"cannot be reached: its host answers HTTP {head.status}")
    return _judge_size(field, url, head, size, rules)


def _judge_size(
    field: str, url: str, head: Head, size: _Size | None, rules: Iterable[ImageRule]
) -> ImageReport:
    width, height = size or (None, None)
    facts = ImageFacts(
        field=field,
        url=url,
        width=width,
        height=height,
        size_bytes=head.size_bytes,
        content_type=head.content_type,
    )
    violations, warnings = judge_image(field, url, width, height, head.size_bytes, rules)
    if size is None:
        kind = f" (its host says {head.content_type})" if head.content_type else ""
        warnings = (*warnings, f"{field} is no PNG, JPEG, WebP or GIF that can be read{kind}")
    return ImageReport((facts,), violations, warnings)


def _refused(field: str, url: str, rule: str) -> ImageReport:
    return ImageReport((ImageFacts(field=field, url=url),), (Violation(field, url, rule),))


def _unchecked(facts: ImageFacts, why: str) -> ImageReport:
    return ImageReport((facts,), (), (f"{facts.field} is not checked, for it {why}",))


def _decode_data(url: str) -> bytes | None:
    head, comma, payload = url.partition(",")
    body = unquote_to_bytes(payload)
    if not head.lower().endswith(";base64"):
        return body if comma else None
    try:
        return b64decode(body)
    except ValueError:
        return None


def _has_known_format(body: bytes) -> bool:
    """Tell PNG, JPEG, WebP and GIF by their first bytes; `imagesize` would parse SVG's XML too."""
    known = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
    return body.startswith(known) or (body[:4] == b"RIFF" and body[8:12] == b"WEBP")


def _import_measure() -> Callable[[bytes], _Size | None]:
    try:
        import imagesize
    except ModuleNotFoundError as error:
        raise SeedanceError(
            "checking images needs the package imagesize: install `seedance-async[cli]` or "
            "`seedance-async[simulator]`"
        ) from error

    def measure(body: bytes) -> _Size | None:
        if not _has_known_format(body):
            return None
        try:
            width, height = imagesize.get(io.BytesIO(body))
        except (ValueError, TypeError, IndexError, struct.error):
            return None
        return (int(width), int(height)) if width > 0 and height > 0 else None

    return measure


def _import_fetch() -> Fetch:
    from seedance_async.http import fetch_head

    async def fetch(url: str, first_bytes: int) -> Head:
        return await fetch_head(url, first_bytes=first_bytes)

    return fetch
