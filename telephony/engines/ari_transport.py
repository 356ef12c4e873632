"""The two ways to an engine that speaks ARI: HTTP, and requests over its event socket (Asterisk 22.5 or newer).

The socket carries several times as many commands. Measured on Asterisk 22.10: a request of more than 65,535 bytes
closes it, as does an answer that cannot be written within 100 ms; what may be large goes over HTTP, where it harms
itself alone. A body of more than 40,960 bytes is refused there too. And the thread behind a connection remembers for
ever that a channel's id was in use: it says so of every later originate that it refuses.
"""

import asyncio
import itertools
import json
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, BinaryIO, Self

import requests
from urllib3.exceptions import NewConnectionError
from websockets.asyncio.client import ClientConnection

from telephony.engines.ari_events import Event
from telephony.engines.facts import CommandRefused, EngineGone, EngineUnreachable

TIMEOUT_SECONDS = 3.0

_LONGEST_FRAME_BYTES = 65_000
_LONGEST_BODY_BYTES = 40_960
_CHUNK_BYTES = 65_536
_JSON = {"Content-Type": "application/json"}
_GREETING = "greeting"
_CREATION = "channels"  # where a channel is originated, and all are listed


@dataclass(frozen=True, slots=True)
class Request:
    """One command."""

    method: str
    path: str  # below `/ari`, with its slash
    params: Mapping[str, str]
    body: str = ""  # JSON

    @classmethod
    def of(cls, method: str, path: str, params: Mapping[str, str] | None, body: Mapping[str, Any] | None) -> Self:
        """Return the command with `body` as JSON. Raises CommandRefused when that is more than the engine reads."""
        text = "" if body is None else json.dumps(body, ensure_ascii=False)
        length_bytes = len(text.encode())
        if length_bytes > _LONGEST_BODY_BYTES:
            raise CommandRefused(f"too long for the engine: {length_bytes} bytes")
        return cls(method, path, params or {}, text)


@dataclass(frozen=True, slots=True)
class Answered:
    """What the engine said to it."""

    status: int
    text: str

    def json(self) -> Any:
        """Return what the text says. Raises ValueError when it is not JSON."""
        try:
            return json.loads(self.text)
        except RecursionError as error:
            raise ValueError("an answer nested too deeply") from error


class NothingSent(EngineUnreachable):
    """The request never left, so nothing can have come of it."""


class Refused(NothingSent, EngineGone):
    """Nobody listens at the engine's port."""


class Http:
    """Requests over HTTP, one connection a thread, none sent twice."""

    def __init__(self, url: str, credentials: tuple[str, str]) -> None:
        """Take the address of the interface, without a slash at its end, its user and password."""
        self._url = url
        self._credentials = credentials
        self._threads = threading.local()

    def ask(self, request: Request) -> Answered:
        """Return the engine's answer, of any status. Raises NothingSent, EngineUnreachable."""
        session = self._session()
        try:
            response = session.request(
                request.method,
                self._url + request.path,
                params=request.params,
                data=request.body.encode(),
                headers=_JSON if request.body else {},
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise _kind(error)(f"{request.method} {request.path}: {type(error).__name__}") from error
        if _spoils(request.path, response.status_code):
            session.close()
        return Answered(response.status_code, response.content.decode(errors="replace"))

    def download(self, path: str, file: BinaryIO) -> int | Answered:
        """Write the body found at `path` to `file` and return its bytes, or the engine's answer of any other status.

        Raises EngineUnreachable when it does not arrive whole.
        """
        try:
            with self._session().get(
                self._url + path, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
            ) as response:
                if response.status_code != HTTPStatus.OK:
                    return Answered(response.status_code, response.content.decode(errors="replace"))
                return sum(file.write(chunk) for chunk in response.iter_content(_CHUNK_BYTES))
        except requests.RequestException as error:
            raise EngineUnreachable(f"GET {path}: {type(error).__name__}") from error

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._threads, "session", None)
        if session is None:
            session = self._threads.session = requests.Session()
            session.auth = self._credentials
            session.trust_env = False
        return session


class Socket:
    """Requests over an open event socket: `ask` from any thread but the one of the loop, which reads the answers."""

    def __init__(self, connection: ClientConnection) -> None:
        """Take the open connection, in the loop that will read it."""
        self.is_able = False  # the engine answers requests here
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._loops_thread = threading.get_ident()
        self._lock = threading.Lock()
        self._is_open = True
        self._is_spoilt = False  # refuses every originate with "in use"
        self._waiting: dict[str, Future[Answered]] = {}
        self._serial = itertools.count(1)

    async def greet(self) -> None:
        """Ask for a sign that the engine takes requests here; older ones keep silent, and HTTP remains."""
        await self._connection.send(_frame(_GREETING, Request("GET", "/asterisk/ping", {})))

    def ask(self, request: Request) -> Answered:
        """Return the engine's answer, of any status.

        Raises NothingSent when the request has to go over HTTP, EngineUnreachable when no answer comes within three
        seconds or before the socket drops, and RuntimeError in the loop itself, which would wait for ever.
        """
        if threading.get_ident() == self._loops_thread:
            raise RuntimeError("the loop that reads the answers cannot wait for one")
        request_id = str(next(self._serial))
        frame = _frame(request_id, request)
        if not self._takes(request) or len(frame) > _LONGEST_FRAME_BYTES:
            raise NothingSent("not over the event socket")
        answer: Future[Answered] = Future()
        with self._lock:
            if not self._is_open:
                raise NothingSent("the event socket has closed")
            self._waiting[request_id] = answer
            asyncio.run_coroutine_threadsafe(self._connection.send(frame), self._loop)
        try:
            return answer.result(TIMEOUT_SECONDS)
        except TimeoutError:
            raise EngineUnreachable(f"{request.method} {request.path}: no answer over the event socket") from None
        finally:
            with self._lock:
                self._waiting.pop(request_id, None)

    def take(self, answer: Event) -> None:
        """Hand an answer to the thread that waits for it. Raises ValueError when its parts are missing."""
        request_id, status, uri, text = _parts(answer)
        if request_id == _GREETING:
            self.is_able = status == HTTPStatus.OK
            return
        with self._lock:
            waiting = self._waiting.pop(request_id, None)
        if waiting is not None:
            if self._is_spoilt and uri == _CREATION and status == HTTPStatus.CONFLICT:
                waiting.set_exception(EngineUnreachable("an id in use, or refused: this socket cannot tell any more"))
            else:
                waiting.set_result(Answered(status, text))
        self._is_spoilt |= _spoils(f"/{uri}", status)

    def drop(self) -> None:
        """Fail all who wait, for nothing will be read any more."""
        with self._lock:
            self._is_open = self.is_able = False
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for answer in waiting:
            answer.set_exception(EngineUnreachable("the event socket dropped before the answer came"))

    def _takes(self, request: Request) -> bool:
        if request.path == f"/{_CREATION}":
            return self.is_able and request.method == "POST" and not self._is_spoilt
        return self.is_able and (request.method, request.path) != ("GET", "/bridges")  # a list of any length


def _frame(request_id: str, request: Request) -> str:
    """Asterisk's documentation, "ARI REST over WebSocket"."""
    frame: dict[str, Any] = {
        "type": "RESTRequest",
        "request_id": request_id,
        "method": request.method,
        "uri": request.path.removeprefix("/"),
        "query_strings": [{"name": name, "value": value} for name, value in request.params.items()],
    }
    if request.body:
        frame |= {"content_type": _JSON["Content-Type"], "message_body": request.body}
    return json.dumps(frame)


def _parts(answer: Event) -> tuple[str, int, str, str]:
    request_id, status, uri = answer.get("request_id"), answer.get("status_code"), answer.get("uri")
    text = answer.get("message_body", "")
    if isinstance(request_id, str) and isinstance(status, int) and isinstance(uri, str) and isinstance(text, str):
        return request_id, status, uri, text
    raise ValueError("an answer without its parts")


def _spoils(path: str, status: int) -> bool:
    """Whether the engine's thread may now remember an id in use: of a channel's, or a snoop channel's."""
    if path == f"/{_CREATION}":
        return status == HTTPStatus.CONFLICT
    return "/snoop" in path and status == HTTPStatus.INTERNAL_SERVER_ERROR


def _kind(error: requests.RequestException) -> type[EngineUnreachable]:
    if isinstance(error, requests.ConnectTimeout):
        return NothingSent
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if not isinstance(reason, NewConnectionError):
        return EngineUnreachable
    return Refused if isinstance(reason.__cause__, ConnectionRefusedError) else NothingSent
