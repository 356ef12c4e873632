"""What tests and demonstrations ask of the network: faults, far ends that act, and what was ever dialled.

No password, so loopback only; and JSON only, which no web page of a stranger can send unasked.
"""

import dataclasses
from asyncio import BaseTransport
from collections.abc import Callable
from datetime import datetime
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from minivoice import clock
from telephony.simulator.advancing import Advance, NobodyTicks
from telephony.simulator.callees import Callee
from telephony.simulator.faults import Fault, Faults
from telephony.simulator.network import AllocationFailed, Network
from telephony.simulator.sockets import Sockets

CutConnections = Callable[[BaseTransport | None], None]

_LOOPBACK = ("127.0.0.1", "::1")
_ORIGINATE_FAULTS = ("refuse", "hang", "drop_answer", "slow")
_LONGEST_ADVANCE_SECONDS = 86_400.0
_EVENT_FAULTS = ("lose", "repeat", "reorder")


def application(
    *, network: Network, sockets: Sockets, faults: Faults, advance: Advance, cut_connections: CutConnections
) -> web.Application:
    """Return the control API, to be mounted under `/simulator`. `cut_connections` spares the one given."""
    control = _Control(
        network=network, sockets=sockets, faults=faults, advance=advance, cut_connections=cut_connections
    )
    interface = web.Application(middlewares=[_guard])
    interface.add_routes(
        [
            web.get("/health", control.health),
            web.get("/channels", control.channels),
            web.post("/faults", control.set_faults),
            web.delete("/faults", control.clear_faults),
            web.post("/trunks", control.refuse_trunks),
            web.post("/inbound", control.call_in),
            web.post("/hangup", control.hang_up),
            web.post("/digits", control.press),
            web.post("/advance", control.advance),
        ]
    )
    return interface


class _Control:
    def __init__(
        self,
        *,
        network: Network,
        sockets: Sockets,
        faults: Faults,
        advance: Advance,
        cut_connections: CutConnections,
    ) -> None:
        self._network = network
        self._sockets = sockets
        self._faults = faults
        self._advance = advance
        self._cut_connections = cut_connections

    async def health(self, _request: web.Request) -> web.Response:
        live = len(self._network.channels())
        return web.json_response({"status": "ok", "live_channels": live, "listening": self._sockets.connected})

    async def channels(self, request: web.Request) -> web.Response:
        """Everything ever dialled, oldest first; `?id=` and `?number=` narrow it."""
        wanted = {name: request.query[name] for name in ("id", "number") if name in request.query}
        records = [dataclasses.asdict(record) for record in self._network.records.values()]
        found = [record for record in records if all(record[name] == value for name, value in wanted.items())]
        return web.json_response([{**_written(record), "hears": self._heard_by(record["id"])} for record in found])

    async def set_faults(self, request: web.Request) -> web.Response:
        body = await request.json()
        count = int(body.get("count", 1))
        if body.get("originate") in _ORIGINATE_FAULTS:
            self._faults.originate = Fault(body["originate"], count, seconds=float(body.get("seconds", 2.0)))
        elif body.get("events") in _EVENT_FAULTS:
            self._faults.events = Fault(body["events"], count, event=str(body.get("type", "")))
        elif body.get("events") == "garbage":
            self._sockets.garble(count)
        elif body.get("socket") == "drop":
            self._sockets.drop()
        elif body.get("restart") == "empty":
            self._network.restart()
            self._sockets.drop()
            self._cut_connections(request.transport)
        else:
            raise ValueError("no such fault")
        return web.Response(status=204)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return web.Response(status=204)

    async def refuse_trunks(self, request: web.Request) -> web.Response:
        self._network.refused_trunks = {str(name) for name in (await request.json())["refused"]}
        return web.Response(status=204)

    async def call_in(self, request: web.Request) -> web.Response:
        """Place a call to us: `{"trunk": …, "from": …, "to": …}`, answered with its channel's id.

        Once it is answered the caller presses the keys `presses` after the first prompt, and puts the phone down
        after `hangs_up_after_seconds`, where these are given.
        """
        body = await request.json()
        after = body.get("hangs_up_after_seconds")
        caller = Callee(presses=str(body.get("presses", "")), hangs_up_after_seconds=after and float(after))
        channel = self._network.arrive(
            trunk=str(body["trunk"]), caller=str(body["from"]), dialled=str(body["to"]), behaviour=caller
        )
        return web.json_response({"channel_id": channel.id}, status=201)

    async def hang_up(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._network.call(body["channel_id"]).far_end_hangs_up()
        return web.Response(status=204)

    async def press(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._network.call(body["channel_id"]).press(str(body["digits"]))
        return web.Response(status=204)

    async def advance(self, request: web.Request) -> web.Response:
        """Skip time in lock-step with the switchboard: `{"seconds": 10800}`, at most a day."""
        seconds = float((await request.json())["seconds"])
        if not 0 < seconds <= _LONGEST_ADVANCE_SECONDS:
            raise ValueError("seconds: above 0, a day at most")
        try:
            await self._advance.by(seconds)
        except NobodyTicks:
            raise web.HTTPGatewayTimeout(text="the switchboard listens and does not tick") from None
        return web.Response(status=204)

    def _heard_by(self, channel_id: str) -> list[str]:
        try:
            return self._network.channel(channel_id).hears()
        except KeyError:
            return []


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.remote not in _LOOPBACK:
        raise web.HTTPForbidden(text="loopback only")
    if request.method == "POST" and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="JSON only")
    try:
        return await handler(request)
    except AllocationFailed as error:
        raise web.HTTPNotFound(text=f"no trunk {error}") from error
    except KeyError as error:
        raise web.HTTPNotFound(text=f"no {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def _written(record: dict[str, Any]) -> dict[str, Any]:
    return {name: _moments(value) for name, value in record.items()}


def _moments(value: Any) -> Any:
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, list):
        return [clock.text(moment) for moment in value]
    return clock.text(value) if isinstance(value, datetime) else value
