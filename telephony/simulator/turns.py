"""What a channel does one after the other: a recording keeps a playback waiting, and the other way round."""

import asyncio
from typing import Protocol

from telephony.simulator.timing import Timer, Timing


class Turn(Protocol):
    """A playback or a recording."""

    def begin(self) -> None:
        """Start; `Turns.done` is called at the end."""

    def hang_up(self) -> None:
        """End with the channel, begun or not."""

    def forget(self) -> None:
        """End without a word."""


class Turns:
    """The turns of one channel, the first of which is on."""

    def __init__(self, timing: Timing) -> None:
        self.over = asyncio.Event()  # there is none
        self.over.set()
        self._timing = timing
        self._queue: list[Turn] = []
        self._timer: Timer | None = None

    def add(self, turn: Turn) -> None:
        """Begin `turn` after those before it."""
        self._queue.append(turn)
        self.over.clear()
        if len(self._queue) == 1:
            self._begin_next()

    def done(self, turn: Turn) -> None:
        """Go on without `turn`; nothing happens to one that is gone already."""
        if turn not in self._queue:
            return
        was_first = self._queue[0] is turn
        self._queue.remove(turn)
        if not self._queue:
            self.over.set()
        if was_first:
            self._begin_next()

    def hang_up(self) -> None:
        """End all with the channel, one after the other."""
        for turn in self._emptied():
            turn.hang_up()

    def forget(self) -> None:
        """End all without a word."""
        for turn in self._emptied():
            turn.forget()

    def _begin_next(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._queue:
            # A moment later: the answer to the command comes before its events.
            self._timer = self._timing.later(0, self._queue[0].begin)

    def _emptied(self) -> list[Turn]:
        if self._timer is not None:
            self._timer.cancel()
        turns, self._queue = self._queue, []
        self.over.set()
        return turns
