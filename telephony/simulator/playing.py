"""What plays on a channel: playbacks take turns, and each plays its media one after the other."""

from collections.abc import Callable, Mapping

from telephony.simulator.timing import Timer, Timing
from telephony.simulator.turns import Turns

Tell = Callable[[str, "Playback"], None]

_SOUND_SECONDS = 0.2
_CHARACTER_SECONDS = 0.02
_SHORTEST_SPEECH_SECONDS = 0.2
_LONGEST_SPEECH_SECONDS = 5.0


class Playback:
    """Some media, played one after the other."""

    def __init__(
        self,
        playback_id: str,
        *,
        channel_id: str,
        media: list[str],
        lengths: Mapping[str, float],
        turns: Turns,
        timing: Timing,
        tell: Tell,
    ) -> None:
        """`lengths` are the seconds of what was fetched; `tell` hears PlaybackStarted, -Continuing and -Finished."""
        self.id = playback_id
        self.channel_id = channel_id
        self.media = media
        self._lengths = lengths
        self.state = "queued"
        self.position = 0
        self._turns = turns
        self._timing = timing
        self._tell = tell
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Play."""
        self.state = "playing"
        self._tell("PlaybackStarted", self)
        self._play_one()

    def stop(self) -> None:
        """End, waiting or playing."""
        self._finish("done")

    def hang_up(self) -> None:
        """End with the channel: what waited begins, and fails."""
        if self.state == "queued":
            self.state = "playing"
            self._tell("PlaybackStarted", self)
        self._finish("failed")

    def forget(self) -> None:
        """End without a word."""
        if self._timer is not None:
            self._timer.cancel()

    def _play_one(self) -> None:
        media = self.media[self.position]
        seconds = self._lengths.get(media, _seconds(media))
        if seconds is None:
            self._finish("failed")
        else:
            self._timer = self._timing.later(seconds, self._go_on)

    def _go_on(self) -> None:
        if self.position + 1 == len(self.media):
            self._finish("done")
            return
        self.position += 1
        self.state = "continuing"
        self._tell("PlaybackContinuing", self)
        self.state = "playing"
        self._play_one()

    def _finish(self, state: str) -> None:
        self.forget()
        self.state = state
        self._turns.done(self)
        self._tell("PlaybackFinished", self)


def _seconds(media: str) -> float | None:
    """How long media of the engine's own last; None for what cannot be played, or would have to be fetched."""
    scheme, _, rest = media.partition(":")
    if scheme == "say":
        return min(max(len(rest) * _CHARACTER_SECONDS, _SHORTEST_SPEECH_SECONDS), _LONGEST_SPEECH_SECONDS)
    if scheme == "sound" and not rest.startswith(("no-such-", "http")):
        return _SOUND_SECONDS
    return None
