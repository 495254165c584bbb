"""Which proxy a URL goes through."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from seedance_async.credentials import is_loopback
from seedance_async.errors import CredentialsError

__all__ = ["ProxyRule"]


@attrs.frozen
class ProxyRule:
    """Which proxy serves a URL: the given one for all, else the environment's, read once.

    Loopback is never proxied; `""` switches proxies off.
    """

    explicit: str | None = attrs.field(default=None, repr=False)
    environment: Mapping[str, str] = attrs.field(factory=getproxies, repr=False)

    def __call__(self, url: str) -> str | None:
        """Return the proxy's URL for `url`, or None."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if is_loopback(host):
            return None
        if self.explicit is not None:
            return _checked(self.explicit) if self.explicit else None
        found = self.environment.get(parts.scheme) or self.environment.get("all")
        if not found or proxy_bypass(host):
            return None
        return _checked(found if "://" in found else f"http://{found}")


def _checked(proxy: str) -> str:
    """Refuse what is no proxy's URL, without showing it: it may hold a password."""
    try:
        parts = urlsplit(proxy)
        fine = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine:
        raise CredentialsError(
            "the proxy (an argument, or HTTPS_PROXY and the like) is not a URL such as "
            "http://host:port; it is not shown here, for it may hold a password"
        )
    if parts.scheme not in ("http", "https"):
        raise CredentialsError(f"{parts.scheme} proxies are not supported; use an http proxy")
    return proxy
