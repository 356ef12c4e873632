"""The one way out to customers' URLs: answers, redirects, webhooks.

Nothing but public addresses is ever dialled (`minivoice.addresses`; `OUTBOUND_ALLOWED` is exempt): each
socket is judged when it is made, whatever the URL, the resolver or the library said before. Redirects are
not followed, proxies of the environment not used, cookies not kept. One deadline holds for everything: a
limit on each read would let a dripping server hold on for ever. One count holds for every byte that comes in:
a limit on the body alone would let endless interim answers, blank lines or empty chunks keep us busy.
"""

import asyncio
import errno
import io
import re
import socket
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import aiodns
import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

import minivoice
from minivoice import addresses


class Lookup(Protocol):
    """Looks names up."""

    async def __call__(self, name: str, /) -> list[str]:
        """Return all IP addresses of `name`; raises Failure (`dns_failed`) when none can be told."""

    async def close(self) -> None:
        """Give up what is still being asked."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may cost. A longer body is cut with `truncate`, else it is a failure.

    Whatever is not body (TLS, head, framing) may take another 64 KiB.
    """

    total_seconds: float
    max_bytes: int
    truncate: bool = False
    connect_seconds: float = 3.0  # name, connection and TLS together


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the other side said. `body` is decompressed; the names in `headers` are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    duration_ms: int


class Failure(Exception):
    """No answer, and why.

    `word` is one of `dns_failed`, `blocked_address`, `connect_failed`, `connect_timeout`, `tls_failed`,
    `read_timeout`, `response_too_large`; `detail` is for our log.
    """

    def __init__(self, word: str, detail: str) -> None:
        super().__init__(word, detail)
        self.word = word
        self.detail = detail


class Client:
    """An HTTP client for customers' URLs; an async context manager that owns its connections.

    `lookup` resolves names, and is closed with the client; the system's name servers by default.
    """

    def __init__(self, *, lookup: Lookup | None = None) -> None:
        self._lookup = lookup or SystemLookup()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=_PublicOnly(self._lookup),
            socket_factory=_make_socket,
            use_dns_cache=False,
            limit=0,
            # Shorter than most receivers' own (5 s), or a request may meet a connection being closed.
            keepalive_timeout=2.0,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"MiniVoice/{minivoice.__version__}"},
            skip_auto_headers=["Accept-Encoding"],
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._lookup.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        limits: Limits,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        into: BinaryIO | None = None,
    ) -> Answer:
        """Send one request and return the answer, whatever its status; its body goes `into` a file, if one is given.

        Raises:
            Failure: the URL is not one a customer may name, or no whole answer came within the limits.
        """
        try:
            target = addresses.check_url(url)
        except ValueError as error:
            raise Failure("blocked_address", str(error)) from error
        exchange = _Exchange(
            is_exempt=addresses.is_allowed_inside(target.raw_host or "", target.port or 0),
            bytes_left=limits.max_bytes + _BYTES_BESIDE_THE_BODY,
        )
        _current.set(exchange)
        try:
            async with asyncio.timeout(limits.total_seconds):
                answer = await self._exchange(
                    method, target, body=body, headers=headers or {}, limits=limits, into=into
                )
        except Failure:
            raise
        except Exception as error:
            exchange.check()
            raise _failure(error) from error
        if len(answer.body) < limits.max_bytes:  # else it was cut, on purpose
            exchange.check()
        return answer

    async def _exchange(
        self,
        method: str,
        target: URL,
        *,
        body: bytes,
        headers: Mapping[str, str],
        limits: Limits,
        into: BinaryIO | None,
    ) -> Answer:
        started = time.monotonic()
        async with self._session.request(
            method,
            target,
            data=body or None,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect_seconds),
        ) as response:
            content = io.BytesIO()
            await _read(response, limits, into or content)
            return Answer(
                status=response.status,
                headers=response.headers,
                body=content.getvalue(),
                duration_ms=round((time.monotonic() - started) * 1000),
            )


class SystemLookup:
    """Looks names up at the system's name servers, or at these (`host:port`), without blocking a thread."""

    def __init__(self, *, nameservers: list[str] | None = None, timeout_seconds: float = 2.0) -> None:
        self._nameservers = nameservers
        self._timeout_seconds = timeout_seconds
        self._resolver: aiodns.DNSResolver | None = None

    async def __call__(self, name: str) -> list[str]:
        """Return all addresses of `name`; raises Failure (`dns_failed`) when none come in time."""
        if self._resolver is None:
            self._resolver = aiodns.DNSResolver(self._nameservers, timeout=self._timeout_seconds, tries=1)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                found = await self._resolver.getaddrinfo(name, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        except (aiodns.error.DNSError, TimeoutError) as error:
            raise Failure("dns_failed", f"{name}: {error}") from error
        return [node.addr[0].decode() for node in found.nodes]

    async def close(self) -> None:
        """Give up what is still being asked."""
        if self._resolver is not None:
            await self._resolver.close()


_TOO_LONG_A_HEAD = re.compile("Got more than|Too many headers")  # aiohttp tells these apart in words only
_BYTES_BESIDE_THE_BODY = 64 * 1024
_MAX_BYTES_AT_ONCE = 16 * 1024  # so that the end of a body is seen before the count runs out
_MAX_ADDRESSES = 4  # of one name, or it could have us knock at a thousand doors


@dataclass
class _Exchange:
    """A request under way: may it go inside, and how many more bytes may come."""

    is_exempt: bool
    bytes_left: int

    def check(self) -> None:
        """Raise Failure (`response_too_large`) when too many bytes came, whatever aiohttp made of the broken line."""
        if self.bytes_left < 0:
            raise Failure("response_too_large", "too many bytes that are no body")


_current: ContextVar[_Exchange | None] = ContextVar("_current", default=None)


class _PublicOnly(AbstractResolver):
    """Gives aiohttp the addresses of a name, pinned for the connection, if each of them may be reached."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,
    ) -> list[ResolveResult]:
        found = await self._lookup(host)
        if not found:
            raise Failure("dns_failed", f"{host} has no address")
        for address in found:
            _refuse_inside(address)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in found[:_MAX_ADDRESSES]
        ]

    async def close(self) -> None:
        """Nothing is held here."""


def _make_socket(info: tuple[Any, ...]) -> socket.socket:
    """Make the socket that is about to be connected to the address in `info`: the last word on where we go.

    aiohttp asks for one each time it connects, also to addresses that no resolver was asked for.
    """
    family, kind, protocol, _, sockaddr = info
    _refuse_inside(sockaddr[0])
    made = _CountingSocket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BYTES_BESIDE_THE_BODY)  # what the kernel takes unasked
    return made


def _refuse_inside(address: str) -> None:
    exchange = _current.get()
    if not (exchange and exchange.is_exempt) and not addresses.is_public(address):
        raise Failure("blocked_address", address)


class _CountingSocket(socket.socket):
    """Breaks when more comes in than the exchange that last wrote to it may cost.

    It counts below TLS and HTTP, where nothing is free. What the event loop sends by itself (an answer to TLS's
    key updates) is sent in the context of an exchange before, whose count goes on: it gives nobody new bytes.
    """

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self._exchange = _current.get()

    def send(self, data: Any, flags: int = 0, /) -> int:
        self._exchange = _current.get()
        return super().send(data, flags)

    def sendmsg(self, buffers: Any, *rest: Any) -> int:
        self._exchange = _current.get()
        return super().sendmsg(buffers, *rest)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        data = super().recv(min(size, _MAX_BYTES_AT_ONCE), flags)
        self._count(len(data))
        return data

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        received = super().recv_into(buffer, min(size or len(buffer), _MAX_BYTES_AT_ONCE), flags)
        self._count(received)
        return received

    def _count(self, received: int) -> None:
        if self._exchange:
            self._exchange.bytes_left -= received
            if self._exchange.bytes_left < 0:
                raise OSError(errno.EMSGSIZE, "the server sends too much")


async def _read(response: aiohttp.ClientResponse, limits: Limits, into: BinaryIO) -> None:
    """Write the body `into` a file; leaving it unread past the limit closes the connection."""
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > limits.max_bytes:
            response.close()
            if not limits.truncate:
                raise Failure("response_too_large", f"more than {limits.max_bytes} bytes")
            into.write(chunk[: limits.max_bytes - size])
            break
        into.write(chunk)


def _failure(error: Exception) -> Failure:
    """Put what aiohttp, TLS or the system raised into one of our words."""
    detail = f"{type(error).__name__}: {error}"
    match error:
        case aiohttp.ConnectionTimeoutError():
            return Failure("connect_timeout", detail)
        case TimeoutError():
            return Failure("read_timeout", detail)
        case aiohttp.ClientSSLError():
            return Failure("tls_failed", detail)
        # Of trailers it is told when the answer is there already, or while its body is read.
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError() if _TOO_LONG_A_HEAD.search(str(error)):
            return Failure("response_too_large", detail[:150])
        case _:
            return Failure("connect_failed", detail)
