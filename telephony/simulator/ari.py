"""The part of ARI that MiniVoice uses, with Asterisk's answers (`res/ari/resource_channels.c`)."""

import asyncio
import hmac
import json
from base64 import b64encode
from collections.abc import Awaitable
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from telephony.simulator import events, sounds
from telephony.simulator.advancing import Advance
from telephony.simulator.channels import NORMAL_CLEARING, Channel, Order
from telephony.simulator.faults import Faults
from telephony.simulator.legs import Leg, NotInApp
from telephony.simulator.media import Media
from telephony.simulator.network import AllocationFailed, BridgeExists, IdInUse, Network, SnoopFailed
from telephony.simulator.recordings import NameTaken
from telephony.simulator.rest import Asked, Requests, Route
from telephony.simulator.sockets import Listener, Sockets
from telephony.simulator.timing import Timing
from telephony.simulator.trunks import Trunks

_HANGING_SECONDS = 60.0
_LONGEST_FRAME_BYTES = 65_535  # of a request over the event socket
_DEFAULT_TIMEOUT_SECONDS = 30

Response = TypeVar("Response", bound=web.StreamResponse)


def application(
    *, network: Network, sockets: Sockets, faults: Faults, timing: Timing, advance: Advance, user: str, password: str
) -> web.Application:
    """Return the interface, to be mounted under `/ari`."""
    ari = _Ari(network=network, sockets=sockets, faults=faults, timing=timing, advance=advance)
    interface = web.Application(middlewares=[_authentication(user, password), _errors])
    interface.router.add_get("/events", ari.events)
    for method, path, handler in ari.routes:
        interface.router.add_route(method, path, handler)
    return interface


class _Ari:
    def __init__(self, *, network: Network, sockets: Sockets, faults: Faults, timing: Timing, advance: Advance) -> None:
        self._network = network
        self._sockets = sockets
        self._faults = faults
        self._timing = timing
        self._advance = advance
        self.routes: list[Route] = [
            ("GET", "/asterisk/ping", self.ping),
            ("GET", "/channels", self.channels),
            ("POST", "/channels", self.originate),
            ("DELETE", "/channels/{channel_id}", self.hang_up),
            ("POST", "/channels/{channel_id}/ring", self.ring),
            ("DELETE", "/channels/{channel_id}/ring", self.stop_ringing),
            ("POST", "/channels/{channel_id}/answer", self.answer),
            ("POST", "/channels/{channel_id}/moh", self.start_music),
            ("DELETE", "/channels/{channel_id}/moh", self.stop_music),
            ("POST", "/channels/{channel_id}/mute", self.mute),
            ("DELETE", "/channels/{channel_id}/mute", self.unmute),
            ("POST", "/channels/{channel_id}/dtmf", self.press),
            ("POST", "/channels/{channel_id}/play/{playback_id}", self.play),
            ("GET", "/channels/{channel_id}/variable", self.variable),
            ("POST", "/channels/{channel_id}/variable", self.set_variable),
            ("DELETE", "/playbacks/{playback_id}", self.stop_playback),
            *Media(network).routes,
            *Trunks(network, started_at=events.timestamp(timing.now())).routes,
        ]

    async def ping(self, _request: Asked) -> web.Response:
        await self._advance.tick()
        at = events.timestamp(self._timing.now())
        return web.json_response({"ping": "pong", "timestamp": at, "asterisk_id": events.ENGINE_ID})

    async def events(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("app") != events.APP:
            raise web.HTTPBadRequest(text=f"the only app here is {events.APP}")
        socket = web.WebSocketResponse(compress=False, max_msg_size=_LONGEST_FRAME_BYTES)
        await socket.prepare(request)
        listener = Listener(request, everything=request.query.get("subscribeAll") == "true")
        self._sockets.attach(listener)
        requests = Requests(self.routes, guard=_answered, transport=request.transport, timing=self._timing)
        try:
            await listener.serve(socket, answer=requests.answer)
        finally:
            self._sockets.detach(listener)
        return socket

    async def channels(self, _request: Asked) -> web.Response:
        return web.json_response([events.channel(channel) for channel in self._network.channels()])

    async def originate(self, request: Asked) -> web.Response:
        order = _order(await _body(request))
        fault = self._faults.originate
        struck = fault.strikes()
        if struck and fault.what == "refuse":
            raise AllocationFailed(order.trunk)
        if struck and fault.what == "hang":
            await asyncio.sleep(_HANGING_SECONDS)
            raise web.HTTPServiceUnavailable(text="hung")
        if struck and fault.what == "slow":
            await asyncio.sleep(fault.seconds)
        channel = self._network.originate(order)
        if struck and fault.what == "drop_answer" and request.transport is not None:
            request.transport.abort()
        return web.json_response(events.channel(channel))

    async def hang_up(self, request: Asked) -> web.Response:
        cause = int(request.query.get("reason_code", NORMAL_CLEARING))
        self._channel(request).hang_up(cause=cause)
        return web.Response(status=204)

    async def ring(self, request: Asked) -> web.Response:
        self._channel(request).ring()
        return web.Response(status=204)

    async def stop_ringing(self, request: Asked) -> web.Response:
        self._channel(request).stop_ringing()
        return web.Response(status=204)

    async def answer(self, request: Asked) -> web.Response:
        self._channel(request).answer()
        return web.Response(status=204)

    async def start_music(self, request: Asked) -> web.Response:
        self._call(request).start_music()
        return web.Response(status=204)

    async def stop_music(self, request: Asked) -> web.Response:
        self._call(request).stop_music()
        return web.Response(status=204)

    async def mute(self, request: Asked) -> web.Response:
        self._call(request).mute(_directions(request))
        return web.Response(status=204)

    async def unmute(self, request: Asked) -> web.Response:
        self._call(request).unmute(_directions(request))
        return web.Response(status=204)

    async def press(self, request: Asked) -> web.Response:
        self._call(request).hear_keys(request.query["dtmf"])
        return web.Response(status=204)

    async def play(self, request: Asked) -> web.Response:
        media = (await _body(request)).get("media")
        if not isinstance(media, list) or not media or not all(isinstance(item, str) for item in media):
            raise ValueError("media")
        lengths = await sounds.lengths(media)
        playback = self._channel(request).play(request.match_info["playback_id"], media, lengths)
        return web.json_response(events.playback(playback), status=201)

    async def stop_playback(self, request: Asked) -> web.Response:
        try:
            self._network.stop_playback(request.match_info["playback_id"])
        except KeyError:
            raise web.HTTPNotFound(text="Playback not found") from None
        return web.Response(status=204)

    async def variable(self, request: Asked) -> web.Response:
        value = self._channel(request).variable(request.query["variable"])
        if value is None:
            raise web.HTTPNotFound(text="Provided variable was not found")
        return web.json_response({"value": value})

    async def set_variable(self, request: Asked) -> web.Response:
        self._channel(request).set_variable(request.query["variable"], request.query.get("value", ""))
        return web.Response(status=204)

    def _call(self, request: Asked) -> Channel:
        try:
            return self._network.call(request.match_info["channel_id"])
        except KeyError:
            raise web.HTTPNotFound(text="Channel not found") from None

    def _channel(self, request: Asked) -> Leg:
        try:
            return self._network.channel(request.match_info["channel_id"])
        except KeyError:
            raise web.HTTPNotFound(text="Channel not found") from None


def _authentication(user: str, password: str) -> Middleware:
    expected = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, expected):
            headers = {"WWW-Authenticate": 'Basic realm="asterisk"'}
            return web.json_response({"message": "Authentication required"}, status=401, headers=headers)
        return await handler(request)

    return check


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await _answered(handler(request))


async def _answered(response: Awaitable[Response]) -> Response | web.Response:
    """Answer errors as Asterisk does: JSON with a message, or its odd `error` for a failed allocation."""
    try:
        return await response
    except AllocationFailed:
        return web.json_response({"error": "Allocation failed"}, status=500)
    except IdInUse:
        return _refusal(409, "Channel with given unique ID already exists")
    except NotInApp:
        return _refusal(409, "Channel not in Stasis application")
    except NameTaken as taken:
        return _refusal(409, str(taken))
    except BridgeExists as exists:
        return _refusal(409, f"Bridge with id '{exists}' already exists")
    except SnoopFailed:
        return _refusal(500, "Snoop channel could not be created")
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        return _refusal(400, f"Invalid parameter: {error}")
    except web.HTTPError as error:
        return _refusal(error.status, error.text or "")


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


def _directions(request: Asked) -> set[str]:
    direction = request.query.get("direction", "both")
    if direction not in ("in", "out", "both"):
        raise ValueError("direction")
    return {"in", "out"} if direction == "both" else {direction}


async def _body(request: Asked) -> dict[str, Any]:
    body = json.loads(await request.text())
    if not isinstance(body, dict):
        raise ValueError("body")  # noqa: TRY004  any bad body is one kind of error here
    return body


def _order(body: dict[str, Any]) -> Order:
    technology, _, dialled = str(body["endpoint"]).partition("/")
    number, _, trunk = dialled.rpartition("@")
    if "/" in dialled:  # trunk/sip:user@host
        trunk, _, number = dialled.partition("/")
    if technology != "PJSIP" or not number:
        raise AllocationFailed(body["endpoint"])
    variables = body.get("variables") or {}
    return Order(
        channel_id=str(body["channelId"]),
        number=number,
        trunk=trunk,
        caller_id=str(body.get("callerId", "")),
        context=str(body.get("context", "")),
        variables={str(name): str(value) for name, value in dict(variables).items()},
        timeout_seconds=float(body.get("timeout", _DEFAULT_TIMEOUT_SECONDS)),
    )
