"""The floor of whole calls: an ARI script that only calls and hangs up, over REST, with nothing written down."""

import asyncio
import json
from itertools import count
from types import TracebackType
from typing import Any, Self

import aiohttp

from bench.clients import Failed

_TAKEN = 200
_GONE = (204, 404)


class Script:
    """The script, listening as `app` from `async with` on. `url` is the engine's ARI, `endpoint` whom it calls."""

    def __init__(self, *, url: str, user: str, password: str, app: str, endpoint: str) -> None:
        self._url, self._app, self._endpoint = url, app, endpoint
        self._auth = aiohttp.BasicAuth(user, password)
        self._ids = count(1)
        self._ended: dict[str, asyncio.Event] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auth=self._auth, connector=aiohttp.TCPConnector(limit=0))
        self._socket = await self._session.ws_connect(f"{self._url}/events?app={self._app}")
        self._listening = asyncio.create_task(self._listen())
        self._hanging_up: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.cancel()
        await self._socket.close()
        await self._session.close()

    async def create(self) -> str:
        """Call; return the channel's id. It is hung up once it is answered. Raises Failed when it is not taken."""
        channel_id = f"bare-{next(self._ids):09}"  # none begins as another does
        self._ended[channel_id] = asyncio.Event()
        order = {"endpoint": self._endpoint, "app": self._app, "channelId": channel_id}
        async with self._session.post(f"{self._url}/channels", json=order) as answer:
            if answer.status != _TAKEN:
                raise Failed(f"the engine took no call of the script's: {answer.status} {await answer.text()}")
        return channel_id

    async def ended(self, channel_id: str) -> None:
        """Return when the channel has ended."""
        await self._ended[channel_id].wait()
        del self._ended[channel_id]

    async def _listen(self) -> None:
        async for message in self._socket:
            event: dict[str, Any] = json.loads(message.data)
            channel_id = event.get("channel", {}).get("id", "")
            if event["type"] == "StasisStart":
                task = asyncio.create_task(self._hang_up(channel_id))
                self._hanging_up.add(task)
                task.add_done_callback(self._hanging_up.discard)
            elif event["type"] == "ChannelDestroyed" and channel_id in self._ended:
                self._ended[channel_id].set()

    async def _hang_up(self, channel_id: str) -> None:
        async with self._session.delete(f"{self._url}/channels/{channel_id}") as answer:
            if answer.status not in _GONE:
                raise Failed(f"the engine did not hang up: {answer.status} {await answer.text()}")
