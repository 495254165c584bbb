"""What the proxy knows of HTTP: messages in a stream, kinds of requests, and places to cut."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import attrs

__all__ = ["Cut", "Exchange", "Kind", "Messages", "Piece", "Place", "Way", "kind_of"]


class Kind(StrEnum):
    """What a request is about."""

    SUBMIT = "submit"
    POLL = "poll"
    CANCEL = "cancel"
    VIDEO = "video"


class Place(StrEnum):
    """Where in an exchange."""

    REQUEST_HEAD = "in the request's head"
    REQUEST_BODY = "in the request's body"
    BEFORE_ANSWER = "before the answer"
    ANSWER_HEAD = "in the answer's head"
    ANSWER_BODY = "in the answer's body"


class Way(StrEnum):
    """How a connection ends."""

    RESET = "reset"
    CLOSE = "close"
    STALL = "stall"
    """It stays open, and all that is sent on it is swallowed."""


@attrs.frozen
class Cut:
    """One planned end of a connection.

    Attributes:
        kind: It meets the next request of this kind.
        place: In this part of the exchange.
        way: How.
        after: Bytes of that part that still pass; None: half of it.
    """

    kind: Kind
    place: Place
    way: Way
    after: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.place is Place.REQUEST_BODY and self.kind is not Kind.SUBMIT:
            raise ValueError(f"a {self.kind} has no body")


@attrs.define(eq=False)
class Exchange:
    """A request that reached the proxy.

    Attributes:
        kind: What it is about.
        head: The request's head as it came, in lower case.
        requested: Whether all of it went on to the service.
        answered: Whether all of its answer went on to the client.
    """

    kind: Kind
    head: bytes
    requested: bool = False
    answered: bool = False


@attrs.frozen
class Piece:
    """A part of a message as it came: a whole head, or some of a body.

    Attributes:
        data: The bytes.
        in_head: Whether they are the head.
        offset: Where in the head or body they begin.
        size: Of the whole head or body.
        ends: Whether the message ends with them.
    """

    data: bytes
    in_head: bool
    offset: int
    size: int
    ends: bool

    def point(self, after: int | None) -> int | None:
        """Return where in these bytes a cut falls; None: elsewhere."""
        point = (self.size // 2 if after is None else min(after, self.size)) - self.offset
        return point if 0 <= point <= len(self.data) else None


class Messages:
    """Splits a stream into messages, each a head and a body of a known length."""

    def __init__(self) -> None:
        self._head = b""
        self._size = self._left = 0

    def feed(self, data: bytes) -> Iterator[Piece]:
        while data:
            if self._left:
                part, data = data[: self._left], data[self._left :]
                offset = self._size - self._left
                self._left -= len(part)
                yield Piece(part, False, offset, self._size, not self._left)
                continue
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return
            self._head = b""
            self._size = self._left = _length_of(head)
            yield Piece(head + end, True, 0, len(head + end), not self._left)


def _length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


def kind_of(head: bytes) -> Kind:
    method, target, _ = head.split(b" ", 2)
    if target.startswith(b"/videos/"):
        return Kind.VIDEO
    if method == b"GET":
        return Kind.POLL
    return Kind.CANCEL if target.endswith(b"/cancel") else Kind.SUBMIT
