"""A customer's server for the journeys: gives instructions, receives events, verifies both signatures."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

SECRET = "a-secret-of-the-journeys"

Document = dict[str, Any]


@dataclass
class Received:
    """An event as it arrived, or a request for instructions."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    raw: bytes


@dataclass
class Receiver:
    """Listens on loopback; `answers` maps paths to documents (or functions from the request's context to one).

    `files` are for who asks by GET.
    """

    answers: dict[str, Document | Callable[[dict[str, Any]], Document]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)  # by their path
    received: list[Received] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        handler = type("Handler", (_Handler,), {"receiver": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._server.server_port}"

    def url(self, path: str) -> str:
        """The address of a path here."""
        return f"http://{self.address}{path}"

    def events(self, call_id: str) -> list[dict[str, Any]]:
        """The events of a call, each once, in their order."""
        bodies = [item.body for item in list(self.received) if item.path == "/webhooks"]
        mine = {body["id"]: body for body in bodies if (body["call"] or {}).get("id") == call_id}
        return sorted(mine.values(), key=lambda body: body["sequence"])

    def names(self, call_id: str) -> list[str]:
        """The names of a call's events, in their order."""
        return [body["event"] for body in self.events(call_id)]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # of the usual five, a sixth who comes at one moment would knock again a second later


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        item = Received(self.path, json.loads(raw), dict(self.headers.items()), raw)
        if not _is_genuine(item):
            self.receiver.forged.append(self.path)
        self.receiver.received.append(item)
        answer = self.receiver.answers.get(self.path, {})
        document = answer(item.body) if callable(answer) else answer
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        body = self.receiver.files.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Stay quiet."""


def _is_genuine(item: Received) -> bool:
    headers = {name.lower(): value for name, value in item.headers.items()}
    message = headers.get("x-minivoice-timestamp", "").encode() + b"." + item.raw
    expected = "v1=" + hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, headers.get("x-minivoice-signature", "")):
        return False
    if item.path == "/webhooks":
        Webhook("whsec_" + base64.b64encode(SECRET.encode()).decode()).verify(item.raw, headers)
    return True
