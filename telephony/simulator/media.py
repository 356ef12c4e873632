"""ARI's commands for what is recorded, listened in on and bridged, with Asterisk's answers."""

from aiohttp import web

from telephony.simulator import events
from telephony.simulator.bridges import Bridge, BusyRecording, NotInBridge
from telephony.simulator.legs import Leg, NotInApp
from telephony.simulator.network import Network
from telephony.simulator.rest import Asked, Route

_ENDING_KEYS = ("none", "any", "*", "#")


class Media:
    """The commands, as routes."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.routes: list[Route] = [
            ("POST", "/channels/{channel_id}/record", self.record_channel),
            ("POST", "/channels/{channel_id}/snoop/{snoop_id}", self.snoop),
            ("POST", "/recordings/live/{name}/stop", self.stop_recording),
            ("GET", "/recordings/stored", self.stored),
            ("GET", "/recordings/stored/{name}/file", self.recorded),
            ("DELETE", "/recordings/stored/{name}", self.delete_recording),
            ("GET", "/bridges", self.bridges),
            ("GET", "/bridges/{bridge_id}", self.bridge),
            ("POST", "/bridges/{bridge_id}", self.make_bridge),
            ("DELETE", "/bridges/{bridge_id}", self.destroy_bridge),
            ("POST", "/bridges/{bridge_id}/record", self.record_bridge),
            ("POST", "/bridges/{bridge_id}/addChannel", self.add_channel),
            ("POST", "/bridges/{bridge_id}/removeChannel", self.remove_channel),
        ]

    async def record_channel(self, request: Asked) -> web.Response:
        """Record what its far end says."""
        name, max_seconds, ends_on = _wanted(request)
        recording = self._channel(request).record(name, max_seconds=max_seconds, ends_on=ends_on)
        return web.json_response(events.recording(recording), status=201)

    async def record_bridge(self, request: Asked) -> web.Response:
        """Record everybody in it."""
        name, max_seconds, _ = _wanted(request)
        recording = self._bridge(request).record(name, max_seconds=max_seconds)
        return web.json_response(events.recording(recording), status=201)

    async def stop_recording(self, request: Asked) -> web.Response:
        """End a recording."""
        recording = self._network.recordings.live.get(request.match_info["name"])
        if recording is None:
            raise web.HTTPNotFound(text="Recording not found")
        recording.stop()
        return web.Response(status=204)

    async def stored(self, _request: Asked) -> web.Response:
        """Answer with all files."""
        return web.json_response([{"name": name, "format": "wav"} for name in self._network.recordings.stored])

    async def recorded(self, request: Asked) -> web.Response:
        """Answer with the file."""
        sound = self._network.recordings.stored.get(request.match_info["name"])
        if sound is None:
            raise web.HTTPNotFound(text="Recording not found")
        return web.Response(body=sound.wav(), content_type="audio/wav")

    async def delete_recording(self, request: Asked) -> web.Response:
        """Forget the file."""
        if self._network.recordings.stored.pop(request.match_info["name"], None) is None:
            raise web.HTTPNotFound(text="Recording not found")
        return web.Response(status=204)

    async def snoop(self, request: Asked) -> web.Response:
        """Listen in, ringing or answered."""
        try:
            spied = self._network.channel(request.match_info["channel_id"])
        except KeyError:
            raise web.HTTPNotFound(text="Provided channel was not found") from None
        snoop_id = request.match_info["snoop_id"]
        snoop = self._network.snoop(spied, snoop_id=snoop_id, direction=request.query.get("spy", "none"))
        return web.json_response(events.channel(snoop))

    async def bridges(self, _request: Asked) -> web.Response:
        """Answer with all of them, and who is in each."""
        return web.json_response([events.bridge(bridge) for bridge in self._network.bridges.values()])

    async def bridge(self, request: Asked) -> web.Response:
        """Answer with who is in it."""
        return web.json_response(events.bridge(self._bridge(request)))

    async def make_bridge(self, request: Asked) -> web.Response:
        """Make it, empty."""
        return web.json_response(events.bridge(self._network.make_bridge(request.match_info["bridge_id"])))

    async def destroy_bridge(self, request: Asked) -> web.Response:
        """Empty and end it."""
        self._bridge(request).destroy()
        return web.Response(status=204)

    async def add_channel(self, request: Asked) -> web.Response:
        """Let a channel in, once what plays on it has ended."""
        bridge, leg = self._bridge(request), self._member(request)
        try:
            leg.must_be_in_app()
            if not leg.is_recording:
                await leg.turns.over.wait()
            bridge.add(leg, is_mute=request.query.get("mute") == "true")
        except NotInApp:
            raise web.HTTPUnprocessableEntity(text="Channel not in Stasis application") from None
        except BusyRecording:
            raise web.HTTPConflict(text=f"Channel {leg.id} currently recording") from None
        return web.Response(status=204)

    async def remove_channel(self, request: Asked) -> web.Response:
        """Take a channel out."""
        bridge, leg = self._bridge(request), self._member(request)
        try:
            bridge.remove(leg)
        except NotInBridge:
            raise web.HTTPUnprocessableEntity(text="Channel not in this bridge") from None
        return web.Response(status=204)

    def _channel(self, request: Asked) -> Leg:
        try:
            return self._network.channel(request.match_info["channel_id"])
        except KeyError:
            raise web.HTTPNotFound(text="Channel not found") from None

    def _bridge(self, request: Asked) -> Bridge:
        try:
            return self._network.bridges[request.match_info["bridge_id"]]
        except KeyError:
            raise web.HTTPNotFound(text="Bridge not found") from None

    def _member(self, request: Asked) -> Leg:
        try:
            return self._network.channel(request.query["channel"])
        except KeyError:
            raise web.HTTPBadRequest(text="Channel not found") from None


def _wanted(request: Asked) -> tuple[str, int, str]:
    query = request.query
    if query["format"] != "wav":
        raise web.HTTPUnprocessableEntity(text="specified format is unknown on this system")
    ends_on = query.get("terminateOn", "none")
    if ends_on not in _ENDING_KEYS or query.get("ifExists", "fail") != "fail":
        raise ValueError(ends_on)
    return query["name"], int(query.get("maxDurationSeconds", 0)), ends_on
