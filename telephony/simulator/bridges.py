"""Rooms in which channels hear each other."""

from collections.abc import Callable

from telephony.simulator import events
from telephony.simulator.legs import Audience, Leg
from telephony.simulator.recordings import HEARD, SAID, Recording, Recordings
from telephony.simulator.timing import Timing
from telephony.simulator.turns import Turns


class BusyRecording(Exception):
    """A channel that records cannot enter."""


class NotInBridge(Exception):
    """The channel is not in this bridge."""


class Bridge:
    """A mixing bridge."""

    def __init__(
        self,
        bridge_id: str,
        *,
        timing: Timing,
        audience: Audience,
        recordings: Recordings,
        on_end: Callable[[], object],
    ) -> None:
        self.id = bridge_id
        self.created_at = timing.now()
        self.members: list[Leg] = []
        self._timing = timing
        self._audience = audience
        self._recordings = recordings
        self._on_end = on_end
        self._tell("BridgeCreated")

    def add(self, leg: Leg, *, is_mute: bool) -> None:
        """Let a channel in, out of the bridge it is in, this one too. One that is mute is not heard.

        Raises NotInApp, BusyRecording.
        """
        leg.must_be_in_app()
        if leg.is_recording:
            raise BusyRecording(leg.id)
        if leg.bridge is not None:
            leg.bridge.remove(leg)
        leg.bridge = self
        leg.is_mute_in_bridge = is_mute
        self.members.append(leg)
        self._tell("ChannelEnteredBridge", leg)

    def remove(self, leg: Leg) -> None:
        """Take a channel out; with the last one recordings end. Raises NotInBridge."""
        if leg not in self.members:
            raise NotInBridge(leg.id)
        leg.bridge = None
        self.members.remove(leg)
        self._tell("ChannelLeftBridge", leg)
        if not self.members:
            self._end_recordings()

    def record(self, name: str, *, max_seconds: int) -> Recording:
        """Record everybody in here. Raises NameTaken."""
        turns = Turns(self._timing)
        recording = Recording(
            name,
            target=f"bridge:{self.id}",
            tones=(SAID, HEARD),
            max_seconds=max_seconds,
            ends_on="none",
            recordings=self._recordings,
            turns=turns,
            timing=self._timing,
            tell=self._tell_recording,
        )
        self._recordings.add(recording)
        turns.add(recording)
        return recording

    def destroy(self) -> None:
        """Empty and end it; its channels go on."""
        for member in list(self.members):
            self.remove(member)
        self._end_recordings()
        self._tell("BridgeDestroyed")
        self._on_end()

    def _end_recordings(self) -> None:
        for recording in list(self._recordings.live.values()):
            if recording.target == f"bridge:{self.id}":
                recording.stop()

    def _tell(self, kind: str, leg: Leg | None = None) -> None:
        channel = {} if leg is None else {"channel": events.channel(leg)}
        self._publish(events.event(kind, self._timing.now(), bridge=events.bridge(self), **channel))

    def _tell_recording(self, kind: str, recording: Recording) -> None:
        # Asterisk tells twice: the bridge's subscriber, and the app that hears everything.
        for _ in range(2):
            self._publish(events.event(kind, self._timing.now(), recording=events.recording(recording)))

    def _publish(self, event: events.Event) -> None:
        self._audience.publish(event, in_app=True)
