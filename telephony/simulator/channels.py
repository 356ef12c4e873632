"""A channel from originate to its end, as measured on Asterisk 22.

The dialplan of an originated channel: at the answer the absolute timer is set from `TIMER_SECONDS`, then the
channel enters our app; when nobody listens for it, it tries again every half second for 15 s, then hangs up.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from telephony.simulator import events
from telephony.simulator.callees import Callee
from telephony.simulator.legs import ASKED_FOR, BY_ITSELF, Leg
from telephony.simulator.playing import Playback
from telephony.simulator.recordings import SAID
from telephony.simulator.timing import Timer

NORMAL_CLEARING = 16

_NO_ANSWER, _NOT_AVAILABLE = 19, 44
_NO_ANSWER_SIP = 480
_Q850 = {404: 1, 408: 18, 486: 17, 503: 34, 603: 21}
_SIP = {cause: code for code, cause in _Q850.items()}
_DIAL_STATUSES = {17: "BUSY", 34: "CONGESTION"}
_FIRST_WORD_SECONDS = 0.02  # until the far end rings
_APP_RETRY_SECONDS = 0.5
_APP_RETRIES = 30
_BETWEEN_DIGITS_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Order:
    """What an originate asks for."""

    channel_id: str
    number: str
    trunk: str
    caller_id: str
    context: str
    variables: dict[str, str]
    timeout_seconds: float  # until the answer; negative: none


@dataclass(slots=True)
class Record:
    """What is remembered of a channel id after it ended: the judge of "rung once"."""

    id: str
    number: str
    trunk: str
    dialled_at: list[datetime] = field(default_factory=list)
    times_rung: int = 0
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    cause: int | None = None
    sip_code: int | None = None
    told: int | None = None  # the SIP code that a caller was refused with
    has_music: bool = False  # the far end hears it
    has_ringing: bool = False  # the tone, of a call that is up
    muted: set[str] = field(default_factory=set)  # "in": what the far end says, "out": what it hears
    keys_heard: str = ""  # those that we pressed for the far end


class Channel(Leg):
    """One call's leg."""

    cause_unheard = NORMAL_CLEARING  # of its end when nobody listens for it

    def __init__(
        self, order: Order, *, callee: Callee, record: Record, media_timeout_seconds: float, **parts: Any
    ) -> None:
        super().__init__(channel_id=order.channel_id, **parts)
        self.number, self.caller_id, self.context = order.number, order.caller_id, order.context
        self.order = order
        self._callee = callee
        self._record = record
        self._media_timeout_seconds = media_timeout_seconds
        self._variables = dict(order.variables)
        self._presses = callee.presses  # what the callee still means to press, then what waits its turn
        self._unpressed = ""
        self._timer_ends_at: datetime | None = None
        self._timers: dict[str, Timer] = {}

    def dial(self) -> None:
        """Begin: the callee does what its number says."""
        self._record.dialled_at.append(self.created_at)
        self._tell("ChannelCreated")
        self._tell_dial("")
        callee = self._callee
        if callee.refuses_with is not None:
            self._later("refuse", callee.refuses_after_seconds, self._refuse)
        if callee.rings:
            self._later("ring", _FIRST_WORD_SECONDS, self._ring)
        if callee.early_media:
            self._later("ring", _FIRST_WORD_SECONDS, self._progress)
        if self.order.timeout_seconds >= 0:
            self._later("timeout", self.order.timeout_seconds, self._give_up)

    def hang_up(self, *, cause: int = NORMAL_CLEARING) -> None:
        """End at our request, ringing or answered."""
        self._tell("ChannelHangupRequest", soft=True, cause=ASKED_FOR)
        if self.state == "Up":
            self._end(cause=cause, sip_code=_SIP.get(cause))
        else:
            self._tell_dial("NOANSWER")
            self._end(cause=cause)

    def far_end_hangs_up(self) -> None:
        """Let the callee put the phone down: cause 0, as 22 reports it."""
        self._tell("ChannelHangupRequest")
        self._end(cause=0)

    def press(self, digits: str) -> None:
        """Let the callee press `digits`, one after the other."""
        self._unpressed += digits
        if "press" not in self._timers:
            self._press_one()

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable, or the absolute timer. Raises NotInApp, ValueError for a bad timer."""
        self.must_be_in_app()
        if name == "TIMEOUT(absolute)":
            self._set_timer(float(value))
        else:
            super().set_variable(name, value)

    def variable(self, name: str) -> str | None:
        """Return a variable, or the seconds left on the absolute timer; None when not set."""
        if name != "TIMEOUT(absolute)":
            return super().variable(name)
        left = self._timer_ends_at - self._timing.now() if self._timer_ends_at else timedelta()
        return f"{left.total_seconds():.3f}"

    def ring(self) -> None:
        """Let the far end of a call that is up hear the ringing tone, until something else plays. Raises NotInApp."""
        self.must_be_in_app()
        if self.state == "Up":
            self._record.has_music, self._record.has_ringing = False, True

    def stop_ringing(self) -> None:
        """End the tone, and music too, as Asterisk does. Raises NotInApp."""
        self.stop_music()

    def start_music(self) -> None:
        """Play music until something else plays. Raises NotInApp."""
        self.must_be_in_app()
        self._record.has_music, self._record.has_ringing = True, False

    def stop_music(self) -> None:
        """End the music, if there is any, and the ringing tone. Raises NotInApp."""
        self.must_be_in_app()
        self._record.has_music = self._record.has_ringing = False

    def mute(self, directions: set[str]) -> None:
        """Carry nothing of these directions. Raises NotInApp."""
        self.must_be_in_app()
        self._record.muted |= directions
        self._say()

    def unmute(self, directions: set[str]) -> None:
        """Carry these directions again. Raises NotInApp."""
        self.must_be_in_app()
        self._record.muted -= directions
        self._say()

    def hear_keys(self, keys: str) -> None:
        """Let the far end hear keys that we press. Raises NotInApp."""
        self.must_be_in_app()
        self._record.keys_heard += keys

    def vanish(self) -> None:
        """Be gone without a word, as in a restart of the engine."""
        for timer in self._timers.values():
            timer.cancel()
        super().vanish()

    def hears(self) -> list[str]:
        """Return the channels whose far ends are heard by this one's."""
        return [] if "out" in self._record.muted else super().hears()

    def _say(self) -> None:
        self.tones = () if "in" in self._record.muted else (SAID,)

    def _ring(self) -> None:
        self.state = "Ringing"
        self._record.times_rung += 1
        self._tell_dial("RINGING")
        self._tell("ChannelStateChange")
        self._wait_for_answer()

    def _progress(self) -> None:
        self._record.times_rung += 1
        self._tell_dial("PROGRESS")
        self._wait_for_answer()

    def _wait_for_answer(self) -> None:
        """Answer so long after the first word, however late that came: a phone rings for as long as it is said to."""
        if self._callee.answers_after_seconds is not None:
            self._later("answer", max(0.0, self._callee.answers_after_seconds - _FIRST_WORD_SECONDS), self._answered)

    def _refuse(self) -> None:
        sip_code = self._callee.refuses_with or 0
        cause = _Q850[sip_code]
        self._tell("ChannelHangupRequest", cause=cause, tech_cause=sip_code)
        self._tell_dial(_DIAL_STATUSES.get(cause, "NOANSWER"))
        self._end(cause=cause, sip_code=sip_code)

    def _give_up(self) -> None:
        self._end(cause=_NO_ANSWER, sip_code=_NO_ANSWER_SIP)

    def _answered(self) -> None:
        self._stop("timeout")
        self.state = "Up"
        self._record.answered_at = self._timing.now()
        self._tell_dial("ANSWER")
        self._tell("ChannelStateChange")
        self.answered_at = self._record.answered_at
        self._wait_for_callee()
        with suppress(ValueError):  # to the dialplan a timer that is no number is none
            self._set_timer(float(self._variables.get("TIMER_SECONDS", "0")))
        self.enter()

    def _wait_for_callee(self) -> None:
        if self._callee.hangs_up_after_seconds is not None:
            self._later("far end", self._callee.hangs_up_after_seconds, self.far_end_hangs_up)
        if not self._callee.sends_sound:
            self._later("media", self._media_timeout_seconds, self._lose_media)

    def _lose_media(self) -> None:
        self._tell("ChannelHangupRequest", soft=True, cause=BY_ITSELF)
        self._end(cause=_NOT_AVAILABLE)

    def _press_one(self) -> None:
        self._timers.pop("press", None)
        if self._unpressed:
            digit, self._unpressed = self._unpressed[0], self._unpressed[1:]
            self._tell("ChannelDtmfReceived", digit=digit, duration_ms=100)
            for recording in self._own_recordings():
                recording.pressed(digit)
            self._later("press", _BETWEEN_DIGITS_SECONDS, self._press_one)

    def _set_timer(self, seconds: float) -> None:
        self._stop("absolute")
        self._timer_ends_at = None
        if seconds > 0:
            self._timer_ends_at = self._timing.now() + timedelta(seconds=seconds)
            self._later("absolute", seconds, lambda: self._end(cause=0))

    def enter(self, retries_left: int = _APP_RETRIES) -> None:
        """Enter our app as soon as somebody listens for it."""
        if self._audience.connected:
            self.in_app = True
            self._tell("StasisStart", args=[])
        elif retries_left:
            self._later("enter", _APP_RETRY_SECONDS, lambda: self.enter(retries_left - 1))
        else:
            self._end(cause=self.cause_unheard)

    def _end(self, *, cause: int, sip_code: int | None = None) -> None:
        for timer in self._timers.values():
            timer.cancel()
        now = self._timing.now()
        self._record.ended_at, self._record.cause, self._record.sip_code = now, cause, sip_code
        self._gone(cause=cause, sip_code=sip_code)

    def _later(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        self._timers[name] = self._timing.later(seconds, action)

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _tell_dial(self, status: str) -> None:
        self._publish(events.dial(self, self._timing.now(), status))

    def _tell_playback(self, kind: str, playback: Playback) -> None:
        super()._tell_playback(kind, playback)
        if kind == "PlaybackStarted":
            self._record.has_music = self._record.has_ringing = False
        if kind == "PlaybackFinished" and self._presses and playback.state == "done":
            self._unpressed, self._presses = self._unpressed + self._presses, ""
            self._later("press", _BETWEEN_DIGITS_SECONDS, self._press_one)
