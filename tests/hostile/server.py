"""A raw HTTP/1.1 server on loopback that does to each job what its plan says, and keeps books."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, TypeAlias

import attrs

__all__ = ["Act", "Call", "HostileServer", "Plan", "Received", "Ticket"]

Act: TypeAlias = Callable[["Call"], Awaitable[None]]

_SUBMIT = re.compile(r"/v1/models/(?P<model>.+)")
_REQUEST = re.compile(r"/v1/requests/(?P<id>[^/]+)/(?P<verb>result|status|cancel)")
_VIDEO = re.compile(r"/videos/(?P<word>[^/]+)/.+")


@attrs.frozen
class Plan:
    """What happens to one job: the n-th request of a kind meets the n-th act, the last for ever.

    Attributes:
        early: Its acts on submissions run before the body is read; such a submission is chosen by
            a model id `hostile/<word>`.
    """

    post: tuple[Act, ...] = ()
    polls: tuple[Act, ...] = ()
    status: tuple[Act, ...] = ()
    cancel: tuple[Act, ...] = ()
    video: tuple[Act, ...] = ()
    early: bool = False


@attrs.frozen
class Received:
    """One request as it came, and when; header names in lower case, the body possibly cut."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    at: float = attrs.field(factory=time.monotonic, eq=False)

    @property
    def path(self) -> str:
        """The target without its query, not unquoted."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """Return a header's value, None if it is not there."""
        return dict(self.headers).get(name)


@attrs.define
class Ticket:
    """A submission that the server accepted."""

    request_id: str
    word: str
    name: str
    polls: int = 0
    statuses: int = 0
    cancels: int = 0


@attrs.define
class Call:
    """One request and the connection on which to misbehave."""

    server: HostileServer
    received: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    word: str = ""
    name: str = ""
    ticket: Ticket | None = None
    closed: bool = False

    @property
    def request_id(self) -> str:
        """The id of the job that the request is about."""
        assert self.ticket is not None
        return self.ticket.request_id

    def accept(self, request_id: str | None = None) -> str:
        """Take the submission on the books and return its id."""
        self.ticket = self.server.take(self.word, self.name, request_id)
        return self.ticket.request_id

    def video_url(self, name: str = "out_%3D7.mp4") -> str:
        """Return a URL of the job's video on this server."""
        return f"{self.server.url}/videos/{self.word or 'none'}/{name}"

    async def answer(
        self,
        status: int,
        body: object = b"",
        *,
        headers: Iterable[tuple[str, str]] = (),
        length: int | None = None,
        framing: str = "length",
        segments: int = 1,
    ) -> None:
        """Send an answer; `framing` is `length`, `chunked` or `eof`; `length` may lie."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {name.lower() for name, _ in headers}
        lines = [f"HTTP/1.1 {status} {_reason(status)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if "content-type" not in given:
            lines.append("Content-Type: application/json")
        if framing == "length":
            lines.append(f"Content-Length: {len(payload) if length is None else length}")
        elif framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
            payload = _chunked(payload)
        raw = "\r\n".join(lines).encode() + b"\r\n\r\n" + payload
        step = -(-len(raw) // segments)
        for start in range(0, len(raw), step):
            await self.send(raw[start : start + step])
            if segments > 1:
                await asyncio.sleep(0.002)  # else the kernel joins them
        if framing == "eof" or ("Connection", "close") in tuple(headers):
            self.close()

    async def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(raw)
        await self.writer.drain()

    def close(self) -> None:
        """End the connection in order (FIN)."""
        self.closed = True
        self.writer.close()

    def reset(self) -> None:
        """Break the connection (RST)."""
        self.closed = True
        reset(self.writer)


class HostileServer:
    """Listens on 127.0.0.1 while entered.

    Attributes:
        plans: What happens, by word.
        foreign: Another server's URL, for redirects and videos elsewhere.
        url: Its own address; `localhost_url` is the same port under another host name.
        received: All requests whose head arrived.
        raw: All bytes that were read.
        posts: Submissions per name (the prompt, or the model id of early plans).
        accepted: Accepted ids per name.
        strange: Requests that no client should make.
        resets: So many of the next connections are reset before a byte is read.
        close_after: Seconds after an answer until the connection is closed without a word, if set.
        catalog: What a GET of a model meets; None: no client should make one.
        browsed: Such GETs, which are not among the received.
        well: For acts that ask: the trouble is over.
    """

    def __init__(self, plans: Mapping[str, Plan], *, port: int = 0) -> None:
        self.plans = plans
        self.port = port
        self.foreign = ""
        self.received: list[Received] = []
        self.raw = bytearray()
        self.posts: Counter[str] = Counter()
        self.accepted: defaultdict[str, list[str]] = defaultdict(list)
        self.tickets: dict[str, Ticket] = {}
        self.strange: list[Received] = []
        self.connections = 0
        self.resets = 0
        self.close_after: float | None = None
        self.catalog: Act | None = None
        self.browsed: list[Received] = []
        self.well = False
        self._videos: Counter[str] = Counter()
        self._tasks: dict[asyncio.Task[Any], asyncio.StreamReader] = {}
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The address by number."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def localhost_url(self) -> str:
        """The same address under another host name."""
        return f"http://localhost:{self.port}"

    async def __aenter__(self) -> HostileServer:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._listener is not None
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        await self._listener.wait_closed()

    async def stop_listening(self) -> None:
        """Refuse connections from now on."""
        assert self._listener is not None
        self._listener.close()
        await self._listener.wait_closed()

    async def listen_again(self) -> None:
        """Take connections once more, at the same address."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    @property
    def open_connections(self) -> int:
        """How many connections the client still holds."""
        readers = self._tasks.values()
        return sum(not reader.at_eof() and reader.exception() is None for reader in readers)

    def take(self, word: str, name: str, request_id: str | None = None) -> Ticket:
        """Write a job down."""
        ticket = Ticket(request_id or f"job-{len(self.tickets)}", word, name)
        self.tickets[ticket.request_id] = ticket
        self.accepted[name].append(ticket.request_id)
        return ticket

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = reader
        try:
            if self.resets:
                self.resets -= 1
                reset(writer)
                return
            while await self._exchange(reader, writer):
                if self.close_after is not None:
                    await asyncio.sleep(self.close_after)
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the end of a task of `start_server`; cancelled by `__aexit__` only
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()
            del self._tasks[task]

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        self.raw += head
        request = _parse(head)
        call = Call(self, request, reader, writer)
        early = (found := _early_word(request)) is not None and self._plan(found).early
        if not early:
            size = int(request.header("content-length") or 0)
            body = await reader.readexactly(size)
            self.raw += body
            call.received = request = attrs.evolve(request, body=body)
        self.received.append(request)
        await self._act(call)(call)
        return not (call.closed or early)

    def _act(self, call: Call) -> Act:
        request = call.received
        if request.method == "POST" and (found := _SUBMIT.fullmatch(request.path)):
            call.word = _early_word(request) or _word(request.body)
            call.name = found["model"] if _early_word(request) else _prompt(request.body)
            self.posts[call.name] += 1
            return _nth(self._plan(call.word).post, self.posts[call.name], acceptance)
        if (found := _REQUEST.fullmatch(request.path)) and (
            request.method == ("POST" if found["verb"] == "cancel" else "GET")
        ):
            return self._about_job(call, found["id"], found["verb"])
        if request.method == "GET" and (found := _VIDEO.fullmatch(request.path)):
            call.word = found["word"]
            self._videos[request.path] += 1
            return _nth(self._plan(call.word).video, self._videos[request.path], unknown)
        if self.catalog and request.method == "GET" and _SUBMIT.fullmatch(request.path):
            self.received.remove(request)
            self.browsed.append(request)
            return self.catalog
        self.strange.append(request)
        return unknown

    def _about_job(self, call: Call, request_id: str, verb: str) -> Act:
        ticket = self.tickets.get(request_id)
        if ticket is None:
            return unknown
        call.ticket, call.word, call.name = ticket, ticket.word, ticket.name
        plan = self._plan(ticket.word)
        if verb == "cancel":
            ticket.cancels += 1
            return _nth(plan.cancel, ticket.cancels, not_cancellable)
        if verb == "status":
            ticket.statuses += 1
            return _nth(plan.status, ticket.statuses, queued)
        ticket.polls += 1
        return _nth(plan.polls, ticket.polls, completion)

    def _plan(self, word: str) -> Plan:
        return self.plans.get(word, Plan())


async def acceptance(call: Call) -> None:
    """Accept a submission as documented."""
    request_id = call.accept()
    urls = {f"{verb}_url": f"{call.server.url}/v1/requests/{request_id}/{verb}" for verb in _VERBS}
    await call.answer(200, {"request_id": request_id, **urls})


async def completion(call: Call) -> None:
    """Report success as documented."""
    await call.answer(
        200,
        {
            "request_id": call.request_id,
            "status": "completed",
            "output": {"video": call.video_url()},
        },
    )


async def queued(call: Call) -> None:
    """Report a place in the queue."""
    body = {"request_id": call.request_id, "status": "in_queue", "queue_position": 3}
    await call.answer(200, body)


async def not_cancellable(call: Call) -> None:
    """Decline a cancel as documented."""
    body = {
        "request_id": call.request_id,
        "status": "in_progress",
        "outcome": "not_cancellable",
    }
    await call.answer(202, body)


async def unknown(call: Call) -> None:
    """Say that there is no such thing."""
    await call.answer(404, {"error_code": 404001, "error_message": "ResourceNotFound"})


_VERBS = ("status", "result", "cancel")


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection with an RST."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _nth(acts: tuple[Act, ...], number: int, default: Act) -> Act:
    return acts[min(number, len(acts)) - 1] if acts else default


def _parse(head: bytes) -> Received:
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    pairs = (line.split(":", 1) for line in lines)
    return Received(method, target, tuple((name.lower(), value.strip()) for name, value in pairs))


def _early_word(request: Received) -> str | None:
    found = re.fullmatch(r"/v1/models/hostile/([^/]+)", request.path)
    return found[1] if found and request.method == "POST" else None


def _prompt(body: bytes) -> str:
    fields = json.loads(body)
    return str(fields.get("prompt") or fields.get("text"))


def _word(body: bytes) -> str:
    """The word is what stands before the first space of the prompt."""
    return _prompt(body).partition(" ")[0]


def _reason(status: int) -> str:
    with contextlib.suppress(ValueError):
        return HTTPStatus(status).phrase
    return "Whatever"


def _chunked(payload: bytes) -> bytes:
    half = len(payload) // 2
    parts = [part for part in (payload[:half], payload[half:]) if part]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
