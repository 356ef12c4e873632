"""How long the machine itself stood still: time that is nobody's, and that a bound on somebody's need not count.

A processor of a busy or shared machine runs nobody of ours for a third of a second now and then. On each processor a
thread looks at the clock a hundred times a second; where it could not, nobody else could either. What is not seen so
is not excused: on a machine at rest a bound with this is the bound.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Self

import pytest

_LOOK_SECONDS = 0.01
_USUAL_SECONDS = 0.03  # between two looks: less is not noted


class Stillness:
    """Notes when the machine stood still, from `watched` on."""

    def __init__(self) -> None:
        self.gaps: dict[int, list[tuple[float, float]]] = {}  # by processor: from when to when, Unix seconds
        self._looked_at: dict[int, float] = {}
        self._over = threading.Event()

    def seconds(self, since: datetime | float, until: datetime | float) -> float:
        """Return for how long between two moments (or Unix seconds) the processor that stood stillest did."""
        begin, end = (moment.timestamp() if isinstance(moment, datetime) else moment for moment in (since, until))
        while min(self._looked_at.values(), default=end) < end <= time.time() and not self._over.is_set():
            time.sleep(_LOOK_SECONDS)
        still = (
            sum(max(0.0, min(end, gap_end) - max(begin, gap_begin)) for gap_begin, gap_end in list(gaps))
            for gaps in self.gaps.values()
        )
        return max(still, default=0.0)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch all processors while the block runs."""
        processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
        for processor in processors:
            self.gaps[processor], self._looked_at[processor] = [], time.time()
        threads = [threading.Thread(target=self._look, args=(each,), daemon=True) for each in processors]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(5)

    def _look(self, processor: int) -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {processor})  # of this thread alone
        last = time.time()
        while not self._over.wait(_LOOK_SECONDS):
            now = time.time()
            if now - last > _USUAL_SECONDS:
                self.gaps[processor].append((last + _LOOK_SECONDS, now))
            last = self._looked_at[processor] = now


@contextmanager
def watched() -> Iterator[Stillness]:
    """Watch the machine while the block runs; what it gives can be asked during and after it."""
    stillness = Stillness()
    with stillness.watching():
        yield stillness


class Stopwatch:
    """A context manager: `seconds` have passed since it was entered, but for those in which the machine stood still."""

    def __enter__(self) -> Self:
        self._watching = watched()
        self._stillness = self._watching.__enter__()
        self._began, self._ended = time.time(), 0.0
        return self

    def __exit__(self, *_: object) -> None:
        ended = time.time()
        self._stillness.seconds(self._began, ended)  # once it is known for all of them
        self._ended = ended
        self._watching.__exit__(None, None, None)

    @property
    def seconds(self) -> float:
        """Seconds without the pauses, so far or until it was left."""
        until = self._ended or time.time()
        return until - self._began - self._stillness.seconds(self._began, until)

    @property
    def paused_seconds(self) -> float:
        """Seconds of the pauses."""
        return self._stillness.seconds(self._began, self._ended or time.time())


@pytest.fixture
def stillness() -> Iterator[Stillness]:
    """The machine, watched for the whole test."""
    with watched() as watching:
        yield watching
