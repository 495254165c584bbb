"""Which proxy a URL goes through."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from seedance_async.credentials import is_loopback

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
            return self.explicit or None
        found = self.environment.get(parts.scheme) or self.environment.get("all")
        if not found or proxy_bypass(host):
            return None
        return found if "://" in found else f"http://{found}"
