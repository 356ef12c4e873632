"""What plays on a channel: playbacks queue up, and each plays its media one after the other."""

from collections.abc import Callable
from dataclasses import dataclass

from telephony.simulator.timing import Timer, Timing

_SOUND_SECONDS = 0.2
_CHARACTER_SECONDS = 0.02
_SHORTEST_SPEECH_SECONDS = 0.2
_LONGEST_SPEECH_SECONDS = 5.0


@dataclass(slots=True)
class Playback:
    """Some media, played one after the other."""

    id: str
    channel_id: str
    media: list[str]
    state: str = "queued"
    position: int = 0


class Player:
    """The playbacks of one channel, the first of which plays."""

    def __init__(self, *, timing: Timing, tell: Callable[[str, Playback], None]) -> None:
        """`tell` hears PlaybackStarted, PlaybackContinuing and PlaybackFinished."""
        self._timing = timing
        self._tell = tell
        self._queue: dict[str, Playback] = {}
        self._timer: Timer | None = None

    def __contains__(self, playback_id: str) -> bool:
        return playback_id in self._queue

    def add(self, playback: Playback) -> None:
        """Play `playback` after those before it."""
        self._queue[playback.id] = playback
        if len(self._queue) == 1:
            # A moment later: the answer to the command comes before its events.
            self._timer = self._timing.later(0, self._start)

    def stop(self, playback_id: str) -> None:
        """Stop a playback, waiting or playing. Raises KeyError when it has ended."""
        self._finish(self._queue[playback_id], "done")

    def hang_up(self) -> None:
        """End everything with the channel: what plays fails, what waits is forgotten."""
        playing = next(iter(self._queue.values()), None)
        self.forget()
        if playing is not None and playing.state == "playing":
            playing.state = "failed"
            self._tell("PlaybackFinished", playing)

    def forget(self) -> None:
        """End everything without a word."""
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _start(self) -> None:
        playback = next(iter(self._queue.values()))
        playback.state = "playing"
        self._tell("PlaybackStarted", playback)
        self._play_one(playback)

    def _play_one(self, playback: Playback) -> None:
        seconds = _seconds(playback.media[playback.position])
        if seconds is None:
            self._finish(playback, "failed")
        else:
            self._timer = self._timing.later(seconds, lambda: self._go_on(playback))

    def _go_on(self, playback: Playback) -> None:
        if playback.position + 1 == len(playback.media):
            self._finish(playback, "done")
            return
        playback.position += 1
        playback.state = "continuing"
        self._tell("PlaybackContinuing", playback)
        playback.state = "playing"
        self._play_one(playback)

    def _finish(self, playback: Playback, state: str) -> None:
        was_first = next(iter(self._queue)) == playback.id
        del self._queue[playback.id]
        if was_first and self._timer is not None:
            self._timer.cancel()
        playback.state = state
        if was_first and self._queue:
            self._timer = self._timing.later(0, self._start)
        self._tell("PlaybackFinished", playback)


def _seconds(media: str) -> float | None:
    """How long `media` lasts; None for what cannot be played."""
    scheme, _, rest = media.partition(":")
    if scheme == "say":
        return min(max(len(rest) * _CHARACTER_SECONDS, _SHORTEST_SPEECH_SECONDS), _LONGEST_SPEECH_SECONDS)
    if scheme == "sound" and not rest.startswith("no-such-"):
        return _SOUND_SECONDS
    return None
