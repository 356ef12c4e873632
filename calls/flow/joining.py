"""Steps that join the call with others: with one that they dial, its leg (`calls.legs`), or in a conference."""

from datetime import datetime

from calls import conferences, legs
from calls.flow import store
from calls.flow.document import Action
from calls.flow.steps import Run, Step
from calls.models import Attempt, Call, Party, Reason, Status
from minivoice import errors
from telephony.engines.facts import ChannelGone, CommandRefused

_JOIN_AGAIN_SECONDS = 0.1
_JOINS = 20


class _Joining(Step):
    """A step that lets the call into a bridge. The engine refuses that while it records the call, which ends a moment
    after it was told to: when these instructions took the place of a `record`.
    """

    def __init__(self, run: Run, action: Action) -> None:
        super().__init__(run, action)
        self._refusals = 0

    def join_again(self) -> bool:
        """Have `woken` called in a moment, to try once more; False when that was done often enough."""
        self._refusals += 1
        if self._refusals >= _JOINS:
            return False
        self.run.wake_in(_JOIN_AGAIN_SECONDS)
        return True


class Transfer(_Joining):
    """Dial a leg and join it with the call, which ends with it.

    The bridge is called as the leg's channel. On a takeover a leg that is up is joined again, and one that has ended
    gives its outcome: none is dialled twice.
    """

    def __init__(self, run: Run, action: Action) -> None:
        super().__init__(run, action)
        self._room = ""  # in which both hear each other
        self._is_ringing = False

    @property
    def is_quiet(self) -> bool:
        return not self._room

    def begin(self, *, now: datetime) -> None:
        if self.run.flow.leg_id is None:
            try:
                self._dial(now)
            except errors.ApiError as refusal:
                legs.note_refusal(self.run.call, refusal, to=self.params["to"], now=now)
                self.missed(Reason.ORIGINATE_FAILED, Party.SYSTEM, now=now)
                return
        if self._leg().status != Status.IN_PROGRESS and not self.run.flow.is_held:
            self._is_ringing = True
            self.run.line.ring()
        self.leg_changed(now=now)

    def played(self, playback_id: str, *, failed: bool, now: datetime) -> None:
        if self._is_ringing:  # the tone ended with what was played, as with a warning that funds run out
            self.run.line.ring()

    def woken(self, *, now: datetime) -> None:
        self.leg_changed(now=now)

    def leg_changed(self, *, now: datetime) -> None:
        leg = self._leg()
        if leg.is_final:
            self._stop_ringing()
            tell = self.missed if leg.answered_at is None else self.left
            tell(*_ending(leg, self.run.call), now=now)
        elif leg.status == Status.IN_PROGRESS:
            self._join(leg, now)

    def joined(self) -> None:
        """Both hear each other, now for the first time, or again."""

    def missed(self, reason: Reason, by: Party, *, now: datetime) -> None:
        """Nobody answered, or nobody was dialled."""
        self.run.end(reason, by=by, now=now)

    def left(self, reason: Reason, by: Party, *, now: datetime) -> None:
        """Who had answered has hung up."""
        self.run.end(reason, by=by, now=now)

    def abandon(self, *, now: datetime) -> None:
        self._stop_ringing()
        if self._room:
            self.run.line.part(self._room)
        legs.release(self.run.flow.call_id, now=now)

    def _stop_ringing(self) -> None:
        """End the ringing tone. Who is on hold had none, and the end of one would end the music."""
        self._is_ringing = False
        if not self.run.flow.is_held:
            self.run.line.stop_ringing()

    def _dial(self, now: datetime) -> None:
        legs.add(
            self.run.flow,
            to=self.params["to"],
            caller_id=self.params["from"] or _own_number(self.run.call),
            ring_seconds=self.params["timeout_seconds"],
            now=now,
        )

    def _leg(self) -> Call:
        return Call.objects.get(pk=self.run.flow.leg_id or 0)

    def _join(self, leg: Call, now: datetime) -> None:
        attempt = leg.attempts.exclude(state=Attempt.State.ENDED).first()
        if attempt is None:
            return  # its end is told of in a moment
        self._room = attempt.channel
        self._stop_ringing()
        try:
            self.run.answer()
            self.run.hush()
            is_new = self.run.line.join(self._room, self._room)
        except ChannelGone:
            return  # one of them has ended, or is ours in a moment: both are told of
        except CommandRefused as error:
            if not self.join_again():
                self.run.failed(str(error), now=now)
                self.run.end(Reason.HANGUP, now=now)
            return
        if is_new:
            self.run.note("leg_joined", now=now, leg=leg.public_id)
            self.joined()


class Bridge(Transfer):
    """A transfer that comes back to its flow when nobody is to be had, if that has a fallback."""

    def joined(self) -> None:
        store.bridged(self.run.flow, "answered")

    def missed(self, reason: Reason, by: Party, *, now: datetime) -> None:
        fallback = self.params["fallback"]
        if not fallback:
            super().missed(reason, by, now=now)
            return
        status = "refused" if self.run.flow.leg_id is None else str(reason)
        self.run.note("fell_back", now=now, bridge_status=status)
        store.fell_back(self.run.flow, status, fallback)
        self.run.begin_again()


class Conference(_Joining):
    """Let the call into a room of its customer's, where it stays until that is over.

    On a takeover the engine still has it in there: it is let in again where it is not.
    """

    ANSWERS = True

    def begin(self, *, now: datetime) -> None:
        room, is_mute = self.params["room"], self.params["mute"]
        conference = conferences.enter(self.run.flow, room=room, is_host=self.params["end_on_exit"], now=now)
        if conference.is_over:
            self._end(now)
            return
        try:
            self.run.hush()
            is_new = self.run.line.join(conference.bridge_id, is_mute=is_mute)
        except ChannelGone:
            return  # its end is told of in a moment, or that of the conference
        except CommandRefused as error:
            if not self.join_again():
                self.run.failed(str(error), now=now)
                self._go_on()
            return
        if is_new:
            self.run.note("conference_joined", now=now, room=room, mute=is_mute)

    def woken(self, *, now: datetime) -> None:
        self.begin(now=now)

    def conference_over(self, conference_id: int, *, now: datetime) -> None:
        if conference_id == self.run.flow.conference_id:
            self._end(now)

    def abandon(self, *, now: datetime) -> None:
        if self.run.flow.conference is not None:
            self.run.line.leave(self.run.flow.conference.bridge_id)

    def _end(self, now: datetime) -> None:
        self.abandon(now=now)
        self.run.note("conference_ended", now=now, room=self.params["room"])
        self._go_on()

    def _go_on(self) -> None:
        store.left(self.run.flow, position=self.run.flow.position + 1)
        self.run.next()


def _own_number(call: Call) -> str:
    """Return the number of the customer's own that a call is about."""
    return call.to_number if call.direction == Call.Direction.INBOUND else call.from_number


def _ending(leg: Call, call: Call) -> tuple[Reason, Party]:
    """Return why `call` ends with its leg, and by whom: to a call out, the leg's callee is not its own."""
    reason = Reason(leg.end_reason)
    by = Party(leg.hangup_by or Party.SYSTEM)
    if by is Party.CALLEE and call.direction == Call.Direction.OUTBOUND:
        by = Party.SYSTEM
    is_legs_alone = reason in {Reason.ENGINE_LOST, Reason.MEDIA_LOST}  # the call itself is up, and was heard
    return (Reason.HANGUP if is_legs_alone else reason), by
