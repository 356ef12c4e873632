"""The network's sense of time: every delay goes through here, so that it can be moved as a whole."""

import asyncio
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from minivoice import clock


class Timer(Protocol):
    """Something that will happen, unless it is cancelled."""

    def cancel(self) -> None:
        """Let it not happen."""


class Timing(Protocol):
    """What the network needs of a clock."""

    def now(self) -> datetime:
        """Return the moment, UTC."""

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Run `action` in `seconds`."""


class LoopTiming:
    """Real time, by the running event loop: thousands of timers and no thread. What lies ahead can be skipped."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._skipped_seconds = 0.0
        self._waiting: set[_LoopTimer] = set()

    def now(self) -> datetime:
        """Return the moment, UTC."""
        return clock.now() + timedelta(seconds=self._skipped_seconds)

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Run `action` in `seconds`."""
        return _LoopTimer(self._loop, self._waiting, seconds, action)

    def next_seconds(self) -> float:
        """Return in how many seconds the next thing happens; infinity when nothing will."""
        return max(0.0, min((timer.due for timer in self._waiting), default=math.inf) - self._loop.time())

    def skip(self, most_seconds: float) -> float:
        """Move on to the next thing that happens, by `most_seconds` at most; return by how many."""
        seconds = min(self.next_seconds(), most_seconds)
        self._skipped_seconds += seconds
        for timer in self._waiting:
            timer.advance(seconds)
        return seconds

    async def settled(self) -> None:
        """Wait until nothing is due any more."""
        while any(timer.due <= self._loop.time() for timer in self._waiting):  # noqa: ASYNC110  a turn of the loop runs them
            await asyncio.sleep(0)


class _LoopTimer:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        waiting: "set[_LoopTimer]",
        seconds: float,
        action: Callable[[], None],
    ) -> None:
        self.due = loop.time() + seconds
        self._loop, self._waiting, self._action = loop, waiting, action
        self._handle = loop.call_at(self.due, self._run)
        waiting.add(self)

    def cancel(self) -> None:
        self._handle.cancel()
        self._waiting.discard(self)

    def advance(self, seconds: float) -> None:
        """Be due that much earlier."""
        self._handle.cancel()
        self.due -= seconds
        self._handle = self._loop.call_at(self.due, self._run)

    def _run(self) -> None:
        self._waiting.discard(self)
        self._action()
