"""ARI's commands, whichever way they come: over HTTP, or as requests over the event socket, to the same handlers."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web

from telephony.simulator import events
from telephony.simulator.timing import Timing


class Asked(Protocol):
    """What handlers use of a request."""

    @property
    def match_info(self) -> Mapping[str, str]:
        """The named parts of its path."""

    @property
    def query(self) -> Mapping[str, str]:
        """Its parameters."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection it came by."""

    async def text(self) -> str:
        """Return its body."""


Handler = Callable[[Asked], Awaitable[web.Response]]
Route = tuple[str, str, Handler]  # method, path below `/ari` with {names}


class Requests:
    """Answers the requests of one event socket as Asterisk 22 does (`res/ari/ari_websocket_requests.c`)."""

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        guard: Callable[[Awaitable[web.Response]], Awaitable[web.Response]],
        transport: asyncio.Transport | None,
        timing: Timing,
    ) -> None:
        """Take the commands there are, and the socket's connection; `guard` makes answers of what handlers raise."""
        self._routes = [(method, _pattern(path), handler) for method, path, handler in routes]
        self._guard = guard
        self._transport = transport
        self._timing = timing

    async def answer(self, frame: str) -> str:
        """Return the frame that answers `frame`."""
        try:
            wanted = _Wanted.read(frame, self._transport)
        except (ValueError, TypeError, KeyError, AttributeError):
            return self._frame(request_id="", uri="", status_code=400, reason_phrase="Bad request")
        response = await self._guard(self._handled(wanted))
        body = {"content_type": response.content_type, "message_body": response.text} if response.text else {}
        return self._frame(
            request_id=wanted.request_id,
            uri=wanted.uri,
            status_code=response.status,
            reason_phrase=HTTPStatus(response.status).phrase,
            **body,
        )

    async def _handled(self, wanted: "_Wanted") -> web.Response:
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(f"/{wanted.uri}")
            if found and method == wanted.method:
                wanted.match_info = found.groupdict()
                return await handler(wanted)
        raise web.HTTPNotFound(text="Resource not found")

    def _frame(self, **parts: Any) -> str:
        return json.dumps(events.event("RESTResponse", self._timing.now(), transaction_id="", **parts))


@dataclass(slots=True)
class _Wanted:
    """A request over the event socket, as handlers see one."""

    request_id: str
    method: str
    uri: str
    match_info: Mapping[str, str]
    query: Mapping[str, str]
    transport: asyncio.Transport | None
    body: str

    @classmethod
    def read(cls, frame: str, transport: asyncio.Transport | None) -> "_Wanted":
        parts = json.loads(frame)
        if parts["type"] != "RESTRequest":
            raise ValueError("Unknown request type.")
        return cls(
            request_id=str(parts.get("request_id", "")),
            method=str(parts["method"]),
            uri=str(parts["uri"]),
            match_info={},
            query={str(row["name"]): str(row["value"]) for row in parts.get("query_strings", ())},
            transport=transport,
            body=str(parts.get("message_body", "")),
        )

    async def text(self) -> str:
        return self.body


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{([a-z_]+)\}", r"(?P<\1>[^/]+)", path))
