"""The driver on a real socket: aiohttp.web on loopback, in a process of its own or embedded."""

import asyncio
import contextlib
import http
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from math import inf
from typing import Final

import aiohttp
import attrs
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage

from .core import Simulator
from .images import MEGABYTE, Probe, Unusable, is_loopback, measure
from .reply import Reply

MAX_BODY: Final = 64 * MEGABYTE
"""Bytes of a request's body; two data URIs of the largest images do not fit, as anywhere."""

MAX_IMAGE: Final = 31 * MEGABYTE
"""Bytes that are read of an image: enough to find it too large."""

PROBE_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)

SHUTDOWN_SECONDS: Final = 0.1
"""How long answers under way may take when the server closes."""

_SLICE: Final = 0.05
"""Seconds between two pieces of a body that is sent slowly."""


@attrs.frozen
class Server:
    """A simulator that listens; `base_url` has no slash at its end."""

    simulator: Simulator
    base_url: str


@contextlib.asynccontextmanager
async def serve(
    simulator: Simulator,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    keepalive_seconds: float = 75.0,
) -> AsyncIterator[Server]:
    """Serve a simulator on loopback inside the block.

    The simulator's `public_url` becomes the server's, its `epoch` that of the real clock, and
    its `life` one that no other server has, so that ids are not given out twice.

    Args:
        simulator: one that no other driver uses.
        host: a loopback name or address.
        port: 0: any that is free.
        keepalive_seconds: how long an idle connection stays open.

    Raises:
        ValueError: the host is not this machine.
        OSError: the port is taken.
    """
    if not is_loopback(host):
        raise ValueError(f"the simulator listens on loopback only, not on {host!r}")
    loop = asyncio.get_running_loop()
    simulator.epoch = time.time() - loop.time()
    simulator.life = secrets.token_hex(8)
    simulator.start(loop.time())
    async with aiohttp.ClientSession(timeout=PROBE_TIMEOUT, trust_env=False) as images:
        desk = _Desk(simulator, images)
        listener = web.Server(
            desk.answer,
            request_factory=_request,
            access_log=None,
            keepalive_timeout=keepalive_seconds,
        )
        runner = web.ServerRunner(listener, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            door = _Door(runner, listener, host, port)
            await door.open()  # shut below where the first span begins at once
            name = f"[{host}]" if ":" in host else host
            simulator.public_url = f"http://{name}:{door.port}"
            if simulator.silent(loop.time()):
                await door.shut()
            shutting = asyncio.create_task(door.keep(simulator.silences()))
            try:
                yield Server(simulator, simulator.public_url)
            finally:
                shutting.cancel()
                await asyncio.wait([shutting])
        finally:
            await runner.cleanup()


class _Door:
    """The listening socket, which may be shut for a while: then nobody can connect."""

    def __init__(
        self, runner: web.ServerRunner, listener: web.Server, host: str, port: int
    ) -> None:
        self._runner = runner
        self._listener = listener
        self._host = host
        self.port = port
        self._site: web.TCPSite | None = None

    async def open(self) -> None:
        """Listen, on the same port each time."""
        self._site = web.TCPSite(self._runner, self._host, self.port)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def keep(self, silences: Sequence[tuple[float, float]]) -> None:
        """Shut the door in these spans of seconds, counted from now."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for since, until in silences:
            await asyncio.sleep(begin + since - loop.time())
            await self.shut()
            if until == inf:
                return
            await asyncio.sleep(begin + until - loop.time())
            await self.open()

    async def shut(self) -> None:
        """Stop listening, and cut what is connected."""
        if self._site is None:
            return
        await self._site.stop()
        self._site = None
        for connection in self._listener.connections:
            if connection.transport is not None:
                connection.transport.abort()


class _Desk:
    """Answers one server's requests as the simulator says."""

    def __init__(self, simulator: Simulator, images: aiohttp.ClientSession) -> None:
        self._simulator = simulator
        self._images = images

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take one request; the target goes to the simulator exactly as it came."""
        try:
            body = await request.read()
        except ConnectionError:  # the client left before it had said all: nothing arrived
            return _hang_up(request)
        target = request.raw_path
        wanted = self._simulator.images_to_probe(request.method, target, body)
        probes = {url: await self._probe(url) for url in wanted}
        now = asyncio.get_running_loop().time()
        reply = self._simulator.receive(
            request.method, target, request.headers, body, now, probes=probes
        )
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.drop:
            return _hang_up(request)
        if reply.cut is not None or reply.bandwidth is not None:
            return await _send_in_pieces(request, reply)
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)

    async def _probe(self, url: str) -> Probe:
        """Fetch and measure an image on loopback; redirects could lead elsewhere."""
        try:
            async with self._images.get(url, allow_redirects=False) as response:
                if response.status != http.HTTPStatus.OK:
                    return Unusable(f"The image could not be fetched: HTTP {response.status}.")
                content = bytearray()
                async for piece in response.content.iter_chunked(2**16):
                    content += piece
                    if len(content) > MAX_IMAGE:
                        break
                return measure(bytes(content))
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unusable(f"The image could not be fetched: {type(error).__name__}.")


def _request(
    message: RawRequestMessage,
    payload: aiohttp.StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """Build a request as web.Server does, with room for a larger body."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)


def _hang_up(request: web.BaseRequest) -> web.StreamResponse:
    """Close the connection at once; the response is for aiohttp, nobody gets it."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _send_in_pieces(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    """Send a body slowly, or a part of it and then hang up."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    body = reply.body[: reply.cut]
    size = len(body) if reply.bandwidth is None else max(1, int(reply.bandwidth * _SLICE))
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        for start in range(0, len(body), size):
            if reply.bandwidth is not None:
                await asyncio.sleep(size / reply.bandwidth)
            await response.write(body[start : start + size])
        if reply.cut is not None and request.transport is not None:
            request.transport.close()
    return response
