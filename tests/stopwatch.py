"""How long something took, but for the time in which this process stood still: no promise of ours is the machine's."""

import threading
from time import monotonic
from typing import Self

_NAP_SECONDS = 0.02
_LATE_SECONDS = 0.05  # so much later than it wanted to a thread wakes up only where nothing of the process ran


class Stopwatch:
    """A context manager whose `seconds` have passed since it was entered. For what waits, not for what computes.

    A thread that does nothing but sleep notices the pauses by waking up late. It would count Python's lock as one, if
    somebody kept it for so long.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._paused = 0.0

    def __enter__(self) -> Self:
        self._began = self._awake = monotonic()
        threading.Thread(target=self._watch, name="stopwatch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._note(monotonic())
            self._is_over.set()

    @property
    def seconds(self) -> float:
        """Seconds since the beginning, without the pauses."""
        paused_seconds, now = self.paused_seconds, monotonic()
        return now - self._began - paused_seconds

    @property
    def paused_seconds(self) -> float:
        """Seconds of them that this process stood still."""
        with self._lock:
            if not self._is_over.is_set():
                self._note(monotonic())
            return self._paused

    def _watch(self) -> None:
        while not self._is_over.wait(_NAP_SECONDS):
            with self._lock:
                if not self._is_over.is_set():
                    self._note(monotonic())

    def _note(self, now: float) -> None:
        late = now - self._awake - _NAP_SECONDS
        if late > _LATE_SECONDS:
            self._paused += late
        self._awake = now
