"""Who listens: the event socket of the one app, and the faults that strike on the way to it."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable

from aiohttp import web

from telephony.simulator import events
from telephony.simulator.events import Event
from telephony.simulator.faults import Faults
from telephony.simulator.timing import Timing

_LONGEST_QUEUE = 100_000
_REORDER_SECONDS = 0.2  # an event held back waits no longer for another one to overtake it


class Listener:
    """One open socket."""

    def __init__(self, request: web.Request, *, everything: bool) -> None:
        self.everything = everything  # subscribeAll
        self._request = request
        self._frames: deque[str] = deque()
        self._woken = asyncio.Event()

    def push(self, frame: str) -> None:
        """Send `frame` after those before it. A listener that does not read is cut off."""
        if len(self._frames) >= _LONGEST_QUEUE:
            self.abort()
            return
        self._frames.append(frame)
        self._woken.set()

    def abort(self) -> None:
        """Cut the connection without a word; what is not sent yet is lost."""
        self._frames.clear()
        if self._request.transport is not None:
            self._request.transport.abort()

    async def serve(self, socket: web.WebSocketResponse, *, answer: Callable[[str], Awaitable[str]]) -> None:
        """Write frames to `socket`, and to each that comes its answer, until it is closed.

        Asterisk answers one after the other; here a request that a fault holds up holds up no other.
        """
        tasks = {asyncio.create_task(self._pump(socket))}
        try:
            async for message in socket:
                if message.type is web.WSMsgType.TEXT:
                    task = asyncio.create_task(self._answer(message.data, answer))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
        finally:
            for task in tasks:
                task.cancel()

    async def _answer(self, frame: str, answer: Callable[[str], Awaitable[str]]) -> None:
        self.push(await answer(frame))

    async def _pump(self, socket: web.WebSocketResponse) -> None:
        while not socket.closed:
            await self._woken.wait()
            self._woken.clear()
            while self._frames:
                try:
                    await socket.send_str(self._frames.popleft())
                except ConnectionError:
                    return


class Sockets:
    """The app's place: one listener at most, the newest."""

    def __init__(self, *, timing: Timing, faults: Faults) -> None:
        self._timing = timing
        self._faults = faults
        self._listener: Listener | None = None
        self._held: tuple[Event, bool] | None = None

    @property
    def connected(self) -> bool:
        """Say whether the app has a listener."""
        return self._listener is not None

    def attach(self, listener: Listener) -> None:
        """Give the app's events to `listener` alone; the one before is told and hears nothing more."""
        if self._listener is not None:
            replaced = events.event("ApplicationReplaced", self._timing.now())
            self._listener.push(json.dumps(replaced))
        self._listener = listener

    def detach(self, listener: Listener) -> None:
        """Forget a listener that has gone; events are lost until the next one comes."""
        if self._listener is listener:
            self._listener = None

    def drop(self) -> None:
        """Cut the socket."""
        if self._listener is not None:
            self._listener.abort()
            self._listener = None

    def garble(self, count: int) -> None:
        """Send frames that make no sense."""
        for number in range(count):
            self._push(_GARBAGE[number % len(_GARBAGE)])

    def publish(self, event: Event, *, in_app: bool) -> None:
        """Tell the listener what happened. Without subscribeAll it hears only of channels in the app."""
        fault = self._faults.events
        if not fault.strikes(event["type"]):
            self._send(event, in_app=in_app)
        elif fault.what == "repeat":
            self._send(event, in_app=in_app)
            self._send(event, in_app=in_app)
        elif fault.what == "reorder" and self._held is not None:
            self._send(event, in_app=in_app)
        elif fault.what == "reorder":
            self._held = (event, in_app)
            self._timing.later(_REORDER_SECONDS, self._release)
            return
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            (event, in_app), self._held = self._held, None
            self._send(event, in_app=in_app)

    def _send(self, event: Event, *, in_app: bool) -> None:
        if self._listener is not None and (in_app or self._listener.everything):
            self._push(json.dumps(event))

    def _push(self, frame: str) -> None:
        if self._listener is not None:
            self._listener.push(frame)


_GARBAGE = ("", "{", "[]", '{"type": 7}', '{"type": "StasisStart"}', '{"type": "Dial", "peer": null}')
