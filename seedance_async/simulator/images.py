"""The rules for input images, as the schemas state them (`validations`; wire.md, section 6)."""

import base64
import binascii
import operator
from collections.abc import Callable, Mapping
from io import BytesIO
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import attrs
import imagesize

MEGABYTE: Final = 1_000_000


@attrs.frozen
class ImageFacts:
    """What was measured of an image: pixels and bytes."""

    width: int
    height: int
    size: int


@attrs.frozen
class Unusable:
    """Why an image could not be measured, in words for the client."""

    reason: str


Probe = ImageFacts | Unusable

_QUANTITIES: Final[dict[str, Callable[[ImageFacts], float]]] = {
    "width_pixels": lambda facts: facts.width,
    "height_pixels": lambda facts: facts.height,
    "width/height": lambda facts: facts.width / facts.height,
    "file_size_mb": lambda facts: facts.size / MEGABYTE,
}
_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    ">": operator.gt,
}


@attrs.frozen
class ImageRule:
    """One rule, such as `width_pixels<` 6000; the bound itself does not pass."""

    quantity: Callable[[ImageFacts], float]
    holds: Callable[[float, float], bool]
    bound: float
    message: str

    @classmethod
    def from_schema(cls, rule: Mapping[str, object]) -> "ImageRule":
        """Read one entry of a schema's `validations`."""
        name = str(rule["validation_rule"])
        return cls(
            _QUANTITIES[name[:-1]],
            _COMPARISONS[name[-1]],
            float(str(rule["validation_value"])),
            str(rule["validation_error"]),
        )

    def broken_by(self, facts: ImageFacts) -> bool:
        """Whether an image breaks this rule."""
        return not self.holds(self.quantity(facts), self.bound)


def measure(content: bytes) -> Probe:
    """Measure an image of which these are all the bytes."""
    width, height = imagesize.get(BytesIO(content))
    if width <= 0 or height <= 0:
        return Unusable("This is not an image that can be read.")
    return ImageFacts(int(width), int(height), len(content))


def is_loopback(host: str | None) -> bool:
    """Whether a URL's host is this machine, by its name or address alone."""
    if host is None:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def on_loopback(url: str) -> bool:
    """Whether a URL names an image that a driver can fetch without leaving the machine."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and is_loopback(parts.hostname)
    except ValueError:
        return False


def complaints(url: str, rules: tuple[ImageRule, ...], probes: Mapping[str, Probe]) -> list[str]:
    """Say what is wrong with an image, nothing where all that can be known is right.

    A `data:` URI (undocumented, but sent by RunComfy's own nodes) is measured here; an image on
    loopback by the driver beforehand; one elsewhere is believed, for the simulator stays home.
    """
    probe: Probe | None
    if url.startswith("data:"):
        probe = _embedded(url)
    elif on_loopback(url) or _is_public(url):
        probe = probes.get(url)
    else:
        probe = Unusable("The image must be a public HTTPS URL.")
    if isinstance(probe, Unusable):
        return [probe.reason]
    if probe is None:
        return []
    return list(dict.fromkeys(rule.message for rule in rules if rule.broken_by(probe)))


def _is_public(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and not set(url) & set(" \t\r\n")
    except ValueError:
        return False


def _embedded(url: str) -> Probe:
    header, _, payload = url.partition(",")
    if not (header.startswith("data:image/") and header.endswith(";base64")):
        return Unusable("A data URI must hold an image in base64.")
    try:
        return measure(base64.b64decode(payload, validate=True))
    except binascii.Error:
        return Unusable("The data URI is not base64.")
