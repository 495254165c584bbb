"""The head of a file on the web, and the hosts that nobody may be led to."""

from __future__ import annotations

import ipaddress
import socket
from typing import TypeAlias

import attrs

from seedance_async.errors import TransportError

__all__ = ["Head", "PrivateAddressError", "is_private_host"]


@attrs.frozen(kw_only=True)
class Head:
    """What a ranged GET of a file's first bytes brought.

    Attributes:
        status: The HTTP status.
        size_bytes: The whole file's size, None where the server did not say.
        body: The first bytes: as many as were asked for, or fewer if the file is shorter.
        final_url: Where redirects ended.
        content_type: The server's word for what it is; None where it gave none.
    """

    status: int
    size_bytes: int | None
    body: bytes
    final_url: str
    content_type: str | None = None


class PrivateAddressError(TransportError):
    """A URL or a redirect leads to an address that is not on the public internet."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message, sent=sent)


_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last 32 bits


def is_private_host(host: str) -> bool:
    """Tell whether a host name or an IP address is not on the public internet.

    Of names only `localhost` and those below it are known; whoever connects has to ask again
    about each address that a name resolves to. Loopback, private, link-local, reserved,
    multicast, unspecified and carrier-grade NAT addresses are private, also inside IPv6.
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _read_address(name)
    return address is not None and _is_private(address)


def _read_address(text: str) -> _Address | None:
    """Read an address as resolvers do, who take 127.1 and 0x7f000001 for 127.0.0.1."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except (OSError, UnicodeError, ValueError):
        return None


def _is_private(address: _Address) -> bool:
    embedded = _embedded_address(address)
    if embedded is not None:
        return _is_private(embedded)
    return (
        not address.is_global
        or address.is_multicast
        or address.is_reserved
        or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    )


def _embedded_address(address: _Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for: mapped, 6to4 or NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour
