"""A customer's web server on loopback: it notes what it was sent and answers as it is told, well or badly."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]  # by lower-case name
    body: bytes
    at: float  # monotonic seconds


Reply = Callable[[Received, socket.socket], None]  # raises OSError to drop the connection


def respond(status: int = 200, body: bytes = b"ok", **headers: str) -> Reply:
    """Answer every request with this; `Retry_After="5"` is the header Retry-After."""
    head = {
        "Content-Length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    answer = "\r\n".join(lines).encode() + body
    return lambda _, connection: connection.sendall(answer)


class Receiver:
    """A threaded HTTP/1.1 server; a context manager. `reply` may be changed at any time."""

    def __init__(self, reply: Reply | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.reply = reply or respond()
        self.requests: list[Received] = []
        self.connections = 0
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._open: set[socket.socket] = set()
        self.is_stopping = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        self.place = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.place}/hook"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def wait_for(self, count: int, *, seconds: float = 10.0) -> None:
        """Wait until this many requests have come."""
        deadline = time.monotonic() + seconds
        while len(self.requests) < count:
            assert time.monotonic() < deadline, f"{len(self.requests)} of {count} requests came"
            time.sleep(0.005)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while head := stream.readline():
                    self._answer(self._read(head.decode(), stream), connection)
        except OSError:
            pass
        finally:
            self._open.discard(connection)

    def _read(self, line: str, stream: "socket.SocketIO") -> Received:
        headers = {}
        while (header := stream.readline().decode().strip()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0))) or b""
        method, path, _ = line.split()
        return Received(method, path, headers, body, time.monotonic())

    def _answer(self, request: Received, connection: socket.socket) -> None:
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self.reply(request, connection)
        finally:
            with self._lock:
                self._at_once -= 1
