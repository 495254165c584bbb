"""Decisions by seed that do not depend on the order of requests."""

import hashlib


def chance(*parts: object) -> float:
    """Return a number between 0 and 1, both excluded, that follows from the parts alone."""
    digest = hashlib.blake2b("\n".join(map(str, parts)).encode(), digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> 12) + 0.5) / 2**52
