"""ARI's push configuration of trunks, and its list of them, with Asterisk's answers.

Trunks that nobody pushed exist all the same, so that demonstrations need none; one that was pushed and taken away does
not. Its carriers answer all that they are asked, those of silent trunks nothing.
"""

import json
from collections.abc import Collection

from aiohttp import web

from telephony.simulator.network import Network
from telephony.simulator.rest import Asked, Route

_CODECS = {"ulaw", "alaw", "g722", "gsm"}


class Trunks:
    """The commands, as routes."""

    def __init__(self, network: Network, *, started_at: str) -> None:
        self._network = network
        self._started_at = started_at
        path = "/asterisk/config/dynamic/res_pjsip/{kind}/{name}"
        self.routes: list[Route] = [
            ("GET", "/asterisk/info", self.info),
            ("GET", "/endpoints/PJSIP", self.endpoints),
            ("GET", path, self.get),
            ("PUT", path, self.put),
            ("DELETE", path, self.delete),
        ]

    async def info(self, _request: Asked) -> web.Response:
        """Say since when it runs."""
        return web.json_response({"status": {"startup_time": f"{self._started_at} {self._network.restarts}"}})

    async def endpoints(self, _request: Asked) -> web.Response:
        """List the trunks, and whether their carriers answer."""
        names = [name for kind, name in self._network.pushed if kind == "endpoint"]
        rows = [
            {"technology": "PJSIP", "resource": name, "state": self._state(name), "channel_ids": []} for name in names
        ]
        return web.json_response(rows)

    async def get(self, request: Asked) -> web.Response:
        """Answer with the object."""
        return web.json_response(_rows(self._network.pushed[_key(request, self._network.pushed)]))

    async def put(self, request: Asked) -> web.Response:
        """Make an object, or change what is named of it."""
        fields = {str(row["attribute"]): str(row["value"]) for row in json.loads(await request.text())["fields"]}
        kind, name = request.match_info["kind"], request.match_info["name"]
        if not set(filter(None, fields.get("allow", "").split(","))) <= _CODECS:
            raise web.HTTPBadRequest(text=f"Creation of object '{name}' failed field value validation")
        made = self._network.pushed.setdefault((kind, name), {})
        made.update(fields)
        if kind == "endpoint":
            self._network.refused_trunks.discard(name)
        return web.json_response(_rows(made))

    async def delete(self, request: Asked) -> web.Response:
        """Take an object away."""
        kind, name = key = _key(request, self._network.pushed)
        del self._network.pushed[key]
        if kind == "endpoint":
            self._network.refused_trunks.add(name)
        return web.Response(status=204)

    def _state(self, name: str) -> str:
        return "online" if ("aor", name) in self._network.pushed and self._network.answers(name) else "offline"


def _key(request: Asked, pushed: Collection[tuple[str, str]]) -> tuple[str, str]:
    key = request.match_info["kind"], request.match_info["name"]
    if key not in pushed:
        raise web.HTTPNotFound(text=f"Object with id '{key[1]}' not found")
    return key


def _rows(fields: dict[str, str]) -> list[dict[str, str]]:
    return [{"attribute": attribute, "value": value} for attribute, value in fields.items()]
