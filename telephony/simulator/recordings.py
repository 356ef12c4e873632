"""What the engine writes down: recordings under way, and those it keeps.

Nobody speaks here, so that a file is told by its tone: what a channel's far end says is 440 Hz, what it hears 880 Hz.
It lasts as long as the recording did.
"""

import io
import math
import struct
import wave
from collections.abc import Callable
from dataclasses import dataclass

from telephony.simulator.timing import Timer, Timing
from telephony.simulator.turns import Turns

SAID, HEARD = 440, 880
FRAMES_PER_SECOND = 8000

_LOUDNESS = 8000


@dataclass(frozen=True, slots=True)
class Sound:
    """Some seconds of tones (Hz)."""

    seconds: float
    tones: tuple[int, ...]

    def wav(self) -> bytes:
        """Return it as a file: 8 kHz, 16 bit, mono."""
        second = b"".join(struct.pack("<h", self._level(frame)) for frame in range(FRAMES_PER_SECOND))
        whole, rest = divmod(round(self.seconds * FRAMES_PER_SECOND), FRAMES_PER_SECOND)
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(FRAMES_PER_SECOND)
            for _ in range(whole):
                writer.writeframesraw(second)
            writer.writeframes(second[: 2 * rest])
        return file.getvalue()

    def _level(self, frame: int) -> int:
        return int(sum(_LOUDNESS * math.sin(2 * math.pi * tone * frame / FRAMES_PER_SECOND) for tone in self.tones))


class NameTaken(Exception):
    """There is a recording of this name."""


class Recordings:
    """All of them, by name."""

    def __init__(self) -> None:
        self.live: dict[str, Recording] = {}
        self.stored: dict[str, Sound] = {}

    def add(self, recording: "Recording") -> None:
        """Take a recording in that has not begun. Raises NameTaken."""
        live = self.live.get(recording.name)
        if live is not None and live.state == "queued":
            raise NameTaken(f"Recording '{recording.name}' is already in progress")
        if live is not None or recording.name in self.stored:
            raise NameTaken(f"Recording '{recording.name}' already exists and can not be overwritten")
        self.live[recording.name] = recording

    def end(self, recording: "Recording", *, seconds: float | None) -> None:
        """Keep what was recorded in `seconds`; None: nothing was."""
        self.live.pop(recording.name, None)
        if seconds is not None:
            self.stored[recording.name] = Sound(seconds, recording.tones)


class Recording:
    """One recording, a turn of its channel's or bridge's."""

    def __init__(
        self,
        name: str,
        *,
        target: str,
        tones: tuple[int, ...],
        max_seconds: int,
        ends_on: str,
        recordings: Recordings,
        barred: Callable[[], str | None] = lambda: None,
        turns: Turns,
        timing: Timing,
        tell: Callable[[str, "Recording"], None],
    ) -> None:
        """`tell` hears RecordingStarted, RecordingFinished and RecordingFailed; `barred` says why it must not begin."""
        self.name = name
        self.target = target
        self.tones = tones
        self.state = "queued"
        self.duration_seconds: int | None = None
        self.failure: str | None = None
        self._max_seconds = max_seconds
        self._ends_on = ends_on
        self._recordings = recordings
        self._barred = barred
        self._turns = turns
        self._timing = timing
        self._tell = tell
        self._began_at = timing.now()
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Record."""
        self.failure = self._barred()
        if self.failure is not None:
            self.state = "failed"
            self._end(None, "RecordingFailed")
            return
        self.state = "recording"
        self._began_at = self._timing.now()
        self._tell("RecordingStarted", self)
        if self._max_seconds:
            self._timer = self._timing.later(self._max_seconds, self._finish)

    def stop(self) -> None:
        """End; one that waits its turn only says so, and records all the same."""
        if self.state == "recording":
            self._finish()
        else:
            self.state = "canceled"

    def pressed(self, digit: str) -> None:
        """End on the key that ends it."""
        if self.state == "recording" and self._ends_on in (digit, "any"):
            self._finish()

    def hang_up(self) -> None:
        """End with the channel: what waited begins, and holds nothing."""
        if self.state in ("queued", "canceled"):
            self.begin()
        if self.state == "recording":
            self._finish()

    def forget(self) -> None:
        """End without a word."""
        if self._timer is not None:
            self._timer.cancel()
        self._recordings.live.pop(self.name, None)

    def _finish(self) -> None:
        seconds = (self._timing.now() - self._began_at).total_seconds()
        self.state, self.duration_seconds = "done", int(seconds)
        self._end(seconds, "RecordingFinished")

    def _end(self, seconds: float | None, told: str) -> None:
        self.forget()
        self._recordings.end(self, seconds=seconds)
        self._turns.done(self)
        self._tell(told, self)
