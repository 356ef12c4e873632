"""Time that is skipped, in lock-step with whoever listens: a call of three hours in a second or two.

The listener's tick asks for our clock at its beginning. Whatever was due before is done then, so that a step may be
taken: towards the next thing that happens here, halfway until it is near, so that a timer that is about to end a call
can be moved before it does; and never so far that a minute of funded time could pass unseen. What happens is told
before the clock is, so that the tick finds it. Where nobody listens nothing is waited for.
"""

import asyncio
from collections.abc import Callable

from telephony.simulator.timing import LoopTiming

_STEP_SECONDS = 50.0
_NEAR_SECONDS = 4.0
_SILENCE_SECONDS = 10.0


class NobodyTicks(Exception):
    """Somebody listens, and does not ask for the time."""


class Advance:
    """The skipping of time. One request at a time is under way, others wait for it."""

    def __init__(self, timing: LoopTiming, is_heard: Callable[[], bool]) -> None:
        self._timing = timing
        self._is_heard = is_heard
        self._turn = asyncio.Lock()
        self._left_seconds: float | None = None  # None: no request is under way
        self._ticks = 0
        self._ticked = asyncio.Event()

    async def by(self, seconds: float) -> None:
        """Skip `seconds`; return when what was due until then is done. Raises NobodyTicks, somewhere on the way."""
        async with self._turn:
            self._left_seconds, self._ticks = seconds, 0
            try:
                while self._left_seconds > 0:
                    await self._wait_for_tick()
                await self._wait_for_tick()  # the one that took the last step is over when the next begins
            finally:
                self._left_seconds = None

    async def tick(self) -> None:
        """Take a step, if there is one to take: the listener has done all that was due."""
        if self._left_seconds is not None:
            self._ticks += 1
            if self._ticks > 1:  # the first was under way, perhaps, when the request came
                await self._step()
            self._ticked.set()

    async def _step(self) -> None:
        if self._left_seconds:
            ahead = self._timing.next_seconds()
            step = ahead if ahead < _NEAR_SECONDS else min(ahead / 2, _STEP_SECONDS)
            self._left_seconds -= self._timing.skip(min(self._left_seconds, step))
        await self._timing.settled()

    async def _wait_for_tick(self) -> None:
        self._ticked.clear()
        if not self._is_heard():
            await self._step()
            return
        try:
            await asyncio.wait_for(self._ticked.wait(), _SILENCE_SECONDS)
        except TimeoutError:
            if self._is_heard():
                raise NobodyTicks from None
