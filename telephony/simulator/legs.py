"""What every channel does, that of a call as well as one that listens in: play, record, be in a bridge, end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from telephony.simulator import events
from telephony.simulator.playing import Playback
from telephony.simulator.recordings import SAID, Recording, Recordings
from telephony.simulator.timing import Timing
from telephony.simulator.turns import Turns

if TYPE_CHECKING:
    from telephony.simulator.bridges import Bridge

ASKED_FOR, DIALPLAN_ENDED, BY_ITSELF = (
    32,
    16,
    1,
)  # Asterisk's flags of soft hang-ups, as causes of its events


class Audience(Protocol):
    """Who hears what happens."""

    @property
    def connected(self) -> bool:
        """Say whether anybody listens for the app."""

    def publish(self, event: events.Event, *, in_app: bool) -> None:
        """Tell an event of a channel, in the app or not."""


class NotInApp(Exception):
    """The channel is not ours to command."""


class Leg:
    """A channel."""

    tones: tuple[int, ...] = (SAID,)  # what a recording of it holds

    def __init__(
        self,
        *,
        channel_id: str,
        name: str,
        timing: Timing,
        audience: Audience,
        recordings: Recordings,
        on_end: Callable[[], object],
    ) -> None:
        self.id = channel_id
        self.name = name
        self.number = self.caller_id = ""
        self.context, self.exten = "default", "s"
        self.state = "Down"
        self.in_app = False  # entered our app: ours to command
        self.created_at = timing.now()
        self.answered_at: datetime | None = None
        self.bridge: Bridge | None = None
        self.is_mute_in_bridge = False
        self.playbacks: dict[str, Playback] = {}
        self.turns = Turns(timing)
        self.snoops: list[Snoop] = []
        self._variables: dict[str, str] = {}
        self._recordings = recordings
        self._timing = timing
        self._audience = audience
        self._on_end = on_end

    @property
    def is_recording(self) -> bool:
        """Say whether a recording is under way."""
        return any(recording.state == "recording" for recording in self._own_recordings())

    def must_be_in_app(self) -> None:
        """Raise NotInApp unless the channel has entered our app."""
        if not self.in_app:
            raise NotInApp(self.id)

    def hang_up(self, *, cause: int) -> None:
        """End at our request."""
        raise NotImplementedError

    def ring(self) -> None:
        """Tell a caller that it rings; nobody calls here. Raises NotInApp."""
        self.must_be_in_app()

    def stop_ringing(self) -> None:
        """End the ringing tone; nobody hears one here. Raises NotInApp."""
        self.must_be_in_app()

    def answer(self) -> None:
        """Answer a caller; nobody calls here. Raises NotInApp."""
        self.must_be_in_app()

    def hears(self) -> list[str]:
        """Return the channels in the bridge that are heard by this one."""
        others = self.bridge.members if self.bridge else []
        return [leg.id for leg in others if leg is not self and SAID in leg.tones and not leg.is_mute_in_bridge]

    def play(self, playback_id: str, media: list[str], lengths: Mapping[str, float]) -> Playback:
        """Play after what is on already; `lengths` are the seconds of what was fetched. Raises NotInApp."""
        self.must_be_in_app()
        playback = self.playbacks[playback_id] = Playback(
            playback_id,
            channel_id=self.id,
            media=media,
            lengths=lengths,
            turns=self.turns,
            timing=self._timing,
            tell=self._tell_playback,
        )
        self.turns.add(playback)
        return playback

    def record(self, name: str, *, max_seconds: int, ends_on: str) -> Recording:
        """Record after what is on already. Raises NotInApp, NameTaken."""
        self.must_be_in_app()
        recording = Recording(
            name,
            target=f"channel:{self.id}",
            tones=self.tones,
            max_seconds=max_seconds,
            ends_on=ends_on,
            recordings=self._recordings,
            barred=lambda: "Cannot record channel while in bridge" if self.bridge else None,
            turns=self.turns,
            timing=self._timing,
            tell=self._tell_recording,
        )
        self._recordings.add(recording)
        self.turns.add(recording)
        return recording

    def variable(self, name: str) -> str | None:
        """Return a variable; None when not set."""
        return self._variables.get(name)

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable. Raises NotInApp."""
        self.must_be_in_app()
        self._variables[name] = value

    def vanish(self) -> None:
        """Be gone without a word, as in a restart of the engine."""
        self.turns.forget()

    def _gone(self, *, cause: int, sip_code: int | None = None) -> None:
        """End in Asterisk's order: out of the bridge, what is on, the app, who listens in, the channel."""
        if self.bridge is not None:
            self.bridge.remove(self)
        self.turns.hang_up()
        if self.in_app:
            self._tell("StasisEnd")
        if self.state == "Up" and not isinstance(self, Snoop):
            self._tell("ChannelHangupRequest", soft=True, cause=DIALPLAN_ENDED)
        for snoop in list(self.snoops):
            snoop.end()
        self._publish(events.destroyed(self, self._timing.now(), cause=cause, sip_code=sip_code))
        self.in_app = False
        self._on_end()

    def _own_recordings(self) -> list[Recording]:
        return [recording for recording in self._recordings.live.values() if recording.target == f"channel:{self.id}"]

    def _tell(self, kind: str, **parts: Any) -> None:
        self._publish(events.event(kind, self._timing.now(), **parts, channel=events.channel(self)))

    def _tell_playback(self, kind: str, playback: Playback) -> None:
        if kind == "PlaybackFinished":
            self.playbacks.pop(playback.id, None)
        self._publish(events.event(kind, self._timing.now(), playback=events.playback(playback)))

    def _tell_recording(self, kind: str, recording: Recording) -> None:
        self._publish(events.event(kind, self._timing.now(), recording=events.recording(recording)))

    def _publish(self, event: events.Event) -> None:
        self._audience.publish(event, in_app=self.in_app)


class Snoop(Leg):
    """A channel that listens in on another."""

    def __init__(self, spied: Leg, *, tones: tuple[int, ...], **parts: Any) -> None:
        super().__init__(**parts)
        self.state = "Up"
        self.tones = tones
        self._spied = spied

    def begin(self) -> None:
        """Enter our app at once; where nobody listens for it, end."""
        self._spied.snoops.append(self)
        self._tell("ChannelCreated")
        if self._audience.connected:
            self.in_app = True
            self._tell("StasisStart", args=[])
        else:
            self.end()

    def hang_up(self, *, cause: int) -> None:
        """End at our request."""
        self._tell("ChannelHangupRequest", soft=True, cause=ASKED_FOR)
        self.end(cause=cause)

    def end(self, *, cause: int = 0) -> None:
        """End, as with the channel listened to."""
        self._spied.snoops.remove(self)
        self._gone(cause=cause)
