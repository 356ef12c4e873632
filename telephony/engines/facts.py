"""The words that engines and the domain share. Nothing here does anything."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

# The engine ends a call whose far end has sent no sound for so long: the second while the far end holds the call.
MEDIA_TIMEOUT_SECONDS, MEDIA_TIMEOUT_ON_HOLD_SECONDS = 60, 300


class EngineError(Exception):
    """The engine did not do what it was asked."""


class EngineUnreachable(EngineError):
    """No answer, a broken one, or one that proves nothing. It does not mean that calls have ended."""


class EngineGone(EngineUnreachable):
    """Its port refuses connections: no process of it is there. A restart begins like this too."""


class ChannelGone(EngineError):
    """The channel (or playback, recording, bridge) has ended, or is not, not yet, or no longer ours to command."""


class CommandRefused(EngineError):
    """The engine understood the command and will not do it."""


class NameTaken(CommandRefused):
    """There is a recording or bridge of this name: an earlier request may have arrived."""


class Answer(StrEnum):
    """What an engine said to an originate."""

    TAKEN = "taken"
    REFUSED = "refused"  # proved not to ring
    UNCLEAR = "unclear"  # may ring: events or the channel list decide, nothing is dialled again


class Direction(StrEnum):
    """Which of a channel's audio."""

    IN = "in"  # what the far end says
    OUT = "out"  # what it hears
    BOTH = "both"


class EndsOn(StrEnum):
    """Which key of the far end's ends a recording."""

    NOTHING = "none"
    ANY = "any"
    STAR = "*"
    HASH = "#"


class Kind(StrEnum):
    """What can happen to a channel, or to a bridge where `Fact.bridge_id` says so."""

    RINGING = "ringing"
    PROGRESS = "progress"  # 183, early media
    ANSWERED = "answered"
    ENTERED = "entered"  # ours to command from now on
    DIGIT = "digit"
    PLAYED = "played"  # to its end, or stopped by us
    PLAY_FAILED = "play_failed"
    RECORDING_STARTED = "recording_started"
    RECORDED = "recorded"  # to its end, stopped by us, or with the channel: there is a file
    RECORDING_FAILED = "recording_failed"
    JOINED = "joined"  # entered a bridge
    LEFT = "left"
    HANGUP_REQUESTED = "hangup_requested"  # by us or the far end; an answered call that ends without it: the timer
    HELD = "held"  # by the far end, which may be silent for longer from now on
    RESUMED = "resumed"
    MEDIA_LOST = "media_lost"  # the far end's: the engine ends the call for it
    ENDED = "ended"
    LOST = "lost"  # ended unseen: it is in the engine's list no more


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call that came in over a trunk: caller and dialled number are as the far end wrote them."""

    endpoint: str
    caller: str
    dialled: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened to a channel. May come twice, late or in another order."""

    kind: Kind
    channel_id: str  # empty for the recording of a bridge
    at: datetime  # by the engine's clock, UTC, milliseconds
    digit: str = ""
    playback_id: str = ""
    recording: str = ""  # its name
    duration_seconds: int | None = None  # of a recording that has ended, rounded down
    bridge_id: str = ""
    cause: int | None = None  # Q.850
    sip_code: int | None = None
    answered_at: datetime | None = None  # told with everything that happens later: the answer itself may go unheard
    arrival: Arrival | None = None  # of a call that came in, where its channel is told of
    heard_since: datetime | None = None  # by our clock: what the engine said before may have gone unheard
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)  # the event as received


@dataclass(frozen=True, slots=True)
class Channel:
    """One row of an engine's channel list."""

    id: str
    state: str  # Down, Ring, Ringing, Up and rarer ones
    created_at: datetime
    entered: bool  # ours to command
    answered_at: datetime | None = None
    arrival: Arrival | None = None
