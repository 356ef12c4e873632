"""The network's sense of time: every delay goes through here, so that it can be moved as a whole."""

import asyncio
from collections.abc import Callable
from datetime import datetime
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
    """Real time, by the running event loop: thousands of timers and no thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now(self) -> datetime:
        """Return the moment, UTC."""
        return clock.now()

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Run `action` in `seconds`."""
        return self._loop.call_later(seconds, action)
