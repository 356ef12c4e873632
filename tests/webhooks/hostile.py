"""Receivers that mean harm, or know no better: replies for `tests.webhooks.receiver`."""

import gzip
import socket
import struct
import time
import zlib

from tests.webhooks.receiver import Received, Reply, respond

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def stream(head: bytes, piece: bytes, pause_seconds: float = 0.0) -> Reply:
    """Send `head`, then `piece` again and again until the other side goes away or the test ends."""

    def reply(_: Received, connection: socket.socket) -> None:
        connection.sendall(head)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            connection.sendall(piece)
            time.sleep(pause_seconds)

    return reply


def reset(_: Received, connection: socket.socket) -> None:
    """Answer with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionAbortedError  # the server closes, and the option above makes that a reset


def hang(_: Received, connection: socket.socket) -> None:
    """Answer nothing, until the other side goes away."""
    connection.recv(1)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _gzip_of_nothing() -> tuple[bytes, bytes]:
    """The head of a gzip body, and blocks of it that are bytes here and nothing when decompressed."""
    compressor = zlib.compressobj(wbits=31)
    return compressor.compress(b"") + compressor.flush(zlib.Z_SYNC_FLUSH), b"\0\0\0\xff\xff" * 10_000


_MANY_HEADERS = b"".join(b"X-%d: y\r\n" % n for n in range(10_000))
_BOMB = gzip.compress(b"\0" * (64 << 20))
_EMPTY_GZIP, _EMPTY_BLOCKS = _gzip_of_nothing()
_GZIPPED = HEAD + b"Content-Encoding: gzip\r\n"

SILENT: dict[str, Reply] = {
    "silent": hang,
    "dripping its head": stream(HEAD + b"X: ", b"y", 0.05),
    "dripping its body": stream(HEAD + b"Content-Length: 1000000\r\n\r\n", b"y", 0.05),
    "dripping interim answers": stream(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.05),
    "dripping chunks": stream(CHUNKED, b"1\r\ny\r\n", 0.05),
}
LONG: dict[str, Reply] = {
    "64 MiB": stream(HEAD + b"Content-Length: 67108864\r\n\r\n", b"x" * 65536),
    "endless": stream(CHUNKED, _chunk(b"x" * 65536)),
    "without an end": stream(HEAD + b"\r\n", b"x" * 65536),
    "gzip bomb": respond(200, _BOMB, Content_Encoding="gzip"),
    "deflate bomb": respond(200, zlib.compress(b"\0" * (64 << 20)), Content_Encoding="deflate"),
}
NOISY: dict[str, Reply] = {
    "10,000 headers": stream(HEAD + _MANY_HEADERS, b"\r\n", 0.05),
    "one endless header": stream(HEAD + b"X: ", b"y" * 4096),
    "endless header lines": stream(HEAD, b"X: y\r\n" * 1000),
    "an endless reason": stream(b"HTTP/1.1 200 ", b"y" * 4096),
    "endless interim answers": stream(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2000),
    "endless blank lines": stream(b"", b"\r\n" * 30_000),
    "an endless chunk extension": stream(CHUNKED + b"5;a=", b"b" * 65536),
    "many chunk extensions": stream(CHUNKED, (b"1;a=" + b"b" * 99 + b"\r\nx\r\n") * 1000),
    "an endless chunk size": stream(CHUNKED, b"0" * 65536),
    "endless trailers": stream(CHUNKED + b"0\r\n", b"X: y\r\n" * 1000),
    "endless gzip of nothing": stream(_GZIPPED + b"\r\n" + _EMPTY_GZIP, _EMPTY_BLOCKS),
    "endless chunks of nothing": stream(
        _GZIPPED + b"Transfer-Encoding: chunked\r\n\r\n" + _chunk(_EMPTY_GZIP), _chunk(_EMPTY_BLOCKS)
    ),
}
BROKEN: dict[str, Reply] = {
    "broken gzip": respond(200, b"nonsense", Content_Encoding="gzip"),
    "a coding nobody asked for": respond(200, b"nonsense", Content_Encoding="br"),
    "reset": reset,
    "no HTTP": stream(b"220 mail.example.com ESMTP\r\n", b"", 0.05),
    "a short body": lambda _, connection: _say_and_close(connection, HEAD + b"Content-Length: 9\r\n\r\nshort"),
    "two lengths": stream(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"y", 0.05),
    "a length below nothing": stream(HEAD + b"Content-Length: -1\r\n\r\n", b"y", 0.05),
    "a length beyond all": stream(HEAD + b"Content-Length: 99999999999999999999999999\r\n\r\n", b"y", 0.05),
    "a chunk beyond all": stream(CHUNKED + b"ffffffffffffffffffff\r\n", b"y", 0.05),
}


def _say_and_close(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(answer)
    raise ConnectionAbortedError
