"""The floor of `engine`: an ARI script that only calls and hangs up, over REST, with nothing written down."""

import asyncio
import json
from itertools import count
from types import TracebackType
from typing import Any, Self

import aiohttp

from bench.clients import Failed

_APP = "bare"
_TAKEN = 200
_GONE = (204, 404)


class Script:
    """The script, listening from `async with` on. `url` is the engine's ARI, `endpoint` whom it calls."""

    def __init__(self, *, url: str, user: str, password: str, endpoint: str) -> None:
        self._url, self._endpoint = url, endpoint
        self._auth = aiohttp.BasicAuth(user, password)
        self._ids = count(1)
        self._ended: dict[str, asyncio.Event] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auth=self._auth, connector=aiohttp.TCPConnector(limit=0))
        self._socket = await self._session.ws_connect(f"{self._url}/events?app={_APP}")
        self._listening = asyncio.create_task(self._listen())
        self._hanging_up: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.cancel()
        await self._socket.close()
        await self._session.close()

    async def call(self) -> None:
        """Call, hang up once the call is answered, return when it has ended. Raises Failed when it is not taken."""
        channel_id = f"{_APP}-{next(self._ids)}"
        ended = self._ended[channel_id] = asyncio.Event()
        order = {"endpoint": self._endpoint, "app": _APP, "channelId": channel_id}
        async with self._session.post(f"{self._url}/channels", json=order) as answer:
            if answer.status != _TAKEN:
                raise Failed(f"the engine took no call of the script's: {answer.status} {await answer.text()}")
        await ended.wait()
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
