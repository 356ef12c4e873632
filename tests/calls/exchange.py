"""An engine in miniature, and a lane that hears it: for tests of calls that are joined with others."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from calls import conferences, dialing, legs, lifecycle, sweeps
from calls.flow.document import check
from calls.flow.fetching import Fetched, Request
from calls.lanes import Lane
from calls.models import FINAL, LIVE, Attempt, Call
from minivoice import clock
from telephony.engines.facts import (
    Answer,
    Arrival,
    Channel,
    ChannelGone,
    CommandRefused,
    EngineUnreachable,
    Fact,
    Kind,
    NameTaken,
)
from tests.calls.steps import FakeEngine

NETWORK = "wholesale"


class Rooms:
    """Its bridges."""

    def __init__(self, up: dict[str, Channel], playing: dict[str, str]) -> None:
        self._up, self._playing = up, playing
        self.inside: dict[str, list[str]] = {}
        self.mute: set[str] = set()  # members that are not heard
        self.refusals = 0  # so many more times nobody is let in, as while a channel is recorded

    def create(self, bridge_id: str) -> None:
        if bridge_id in self.inside:
            raise NameTaken(bridge_id)
        self.inside[bridge_id] = []

    def add(self, bridge_id: str, channel_id: str, *, is_mute: bool) -> None:
        if bridge_id not in self.inside or channel_id not in self._up or not self._up[channel_id].entered:
            raise ChannelGone(channel_id)
        if self.refusals:
            self.refusals -= 1
            raise CommandRefused("currently recording")
        if channel_id in self._playing.values():
            raise EngineUnreachable("no answer until that has ended, which may be too late")
        self.leave(channel_id)
        self.inside[bridge_id].append(channel_id)
        if is_mute:
            self.mute.add(channel_id)

    def remove(self, bridge_id: str, channel_id: str) -> bool:
        if channel_id not in self.inside.get(bridge_id, []):
            return False
        self.leave(channel_id)
        return True

    def all(self) -> dict[str, list[str]]:
        return {bridge_id: list(members) for bridge_id, members in self.inside.items()}

    def members(self, bridge_id: str) -> list[str]:
        if bridge_id not in self.inside:
            raise ChannelGone(bridge_id)
        return list(self.inside[bridge_id])

    def destroy(self, bridge_id: str) -> bool:
        return self.inside.pop(bridge_id, None) is not None

    def leave(self, channel_id: str) -> None:
        for members in self.inside.values():
            if channel_id in members:
                members.remove(channel_id)
        self.mute.discard(channel_id)


class Exchange(FakeEngine):
    """Takes what it is asked to dial, and does as it is told; what happens waits in `facts` to be heard."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: deque[Fact] = deque()
        self.live: dict[str, Channel] = {}
        self.ringing: set[str] = set()  # channels that hear that somebody else is rung
        self.playing: dict[str, str] = {}  # the channel of each playback
        self.bridges = Rooms(self.live, self.playing)
        self.music: set[str] = set()  # channels that hear music
        self.is_away = False

    def originate(self, **asked: Any) -> Answer:
        answer = super().originate(**asked)
        if answer is Answer.TAKEN:
            self._set(asked["channel_id"], "Down")
        return answer

    def arrive(self, channel_id: str, arrival: Arrival) -> None:
        """Somebody calls in."""
        self._set(channel_id, "Ring", entered=True, arrival=arrival)
        self.say(Kind.ENTERED, channel_id, arrival=arrival)

    def ring_far_end(self, channel_id: str) -> None:
        self.say(Kind.RINGING, channel_id)

    def answer_far_end(self, channel_id: str) -> None:
        """Who was dialled picks up."""
        self._set(channel_id, "Up", entered=True, answered_at=clock.now())
        self.say(Kind.ANSWERED, channel_id)
        self.say(Kind.ENTERED, channel_id)

    def end(self, channel_id: str, *, cause: int = 0, sip_code: int | None = None) -> None:
        """A channel ends, by whomever."""
        answered_at = self.live.pop(channel_id).answered_at
        self.bridges.leave(channel_id)
        self.ringing.discard(channel_id)
        for playback_id in [name for name, channel in self.playing.items() if channel == channel_id]:
            del self.playing[playback_id]
        self.say(Kind.ENDED, channel_id, cause=cause, sip_code=sip_code, answered_at=answered_at)

    def say(self, kind: Kind, channel_id: str, **more: Any) -> None:
        self.facts.append(Fact(kind=kind, channel_id=channel_id, at=clock.now(), **more))

    def hang_up(self, channel_id: str, *, reason_code: int | None = None) -> bool:
        self._must_be_there()
        super().hang_up(channel_id, reason_code=reason_code)
        if channel_id in self.live:
            self.end(channel_id, cause=reason_code or 16)
            return True
        return False

    def ring(self, channel_id: str) -> None:
        self._found(channel_id)
        self.ringing.add(channel_id)

    def stop_ringing(self, channel_id: str) -> None:
        """As Asterisk does: music would end with it."""
        self._found(channel_id)
        self.ringing.discard(channel_id)
        self.music.discard(channel_id)

    def start_music(self, channel_id: str) -> None:
        self._found(channel_id)
        self.music.add(channel_id)

    def stop_music(self, channel_id: str) -> None:
        self._found(channel_id)
        self.music.discard(channel_id)

    def play(self, channel_id: str, *, playback_id: str, media: Sequence[str]) -> None:
        """It plays until it is stopped."""
        self._found(channel_id)
        self.playing[playback_id] = channel_id

    def stop_playback(self, playback_id: str) -> bool:
        self._must_be_there()
        channel_id = self.playing.pop(playback_id, None)
        if channel_id is None:
            return False
        self.say(Kind.PLAYED, channel_id, playback_id=playback_id)
        return True

    def set_timer(self, channel_id: str, *, seconds: float) -> None:
        self._found(channel_id)

    def answer(self, channel_id: str) -> None:
        if self._found(channel_id).state != "Up":
            self._set(channel_id, "Up", entered=True, answered_at=clock.now())
            self.ringing.discard(channel_id)
            self.say(Kind.ANSWERED, channel_id, answered_at=clock.now())

    def channels(self) -> list[Channel]:
        self._must_be_there()
        return list(self.live.values())

    def _set(self, channel_id: str, state: str, **more: Any) -> None:
        more = {"entered": False, **more}
        self.live[channel_id] = Channel(id=channel_id, state=state, created_at=clock.now(), **more)

    def _found(self, channel_id: str) -> Channel:
        self._must_be_there()
        if channel_id not in self.live:
            raise ChannelGone(channel_id)
        return self.live[channel_id]

    def _must_be_there(self) -> None:
        if self.is_away:
            raise EngineUnreachable("away")


class Hall:
    """The switchboard's place in these tests: one lane for all channels, and what a tick does."""

    def __init__(self, engine: Exchange) -> None:
        self.engine = engine
        self.fetches: list[tuple[str, Request, int]] = []
        self.wakes: list[tuple[str, int]] = []
        self.lane = Lane(self, 0)
        self._numbers = iter(range(1, 1_000_000))

    def fetch(self, channel_id: str, request: Request, token: int) -> None:
        self.fetches.append((channel_id, request, token))

    def wake_in(self, seconds: float, channel_id: str, token: int) -> None:
        self.wakes.append((channel_id, token))

    def render(self, channel_id: str, text: str, voice: str, playback_id: str, owner: str) -> None:
        pass

    def fetch_audio(self, channel_id: str, url: str, request_id: str, owner: str) -> None:
        pass

    def tell_of_leg(self, channel_id: str) -> None:
        self.lane.put(channel_id, lambda lane: lane.leg_changed(channel_id))

    def call_in(self, dialled: str) -> Call:
        """Somebody calls `dialled`; return the call, whose forwarding or request for instructions has begun."""
        channel = f"179.{next(self._numbers)}"
        self.engine.arrive(channel, Arrival(endpoint=NETWORK, caller="+15557654321", dialled=dialled))
        self.settle()
        return Call.objects.get(attempts__channel_name=channel)

    def instruct(self, call: Call, *actions: Any) -> None:
        """The call's answer URL answers."""
        channel = channel_of(call)
        [*_, (_, _, token)] = [asked for asked in self.fetches if asked[0] == channel]
        document = Fetched(check({"actions": list(actions)}), "", 200, 1)
        self.do(lambda lane: lane.fetched(channel, token, document), channel)
        self.settle()

    def wake(self, call: Call) -> None:
        """What the call's action waits for is over."""
        channel = channel_of(call)
        [*_, (_, token)] = [asked for asked in self.wakes if asked[0] == channel]
        self.do(lambda lane: lane.woken(channel, token), channel)
        self.settle()

    def settle(self) -> None:
        """Hear all that has happened and what follows from it, dialling included."""
        while True:
            while self.engine.facts:
                self._take(self.engine.facts.popleft())
            self.do(lambda lane: None)
            if not dialing.drain() and not self.engine.facts:
                return

    def tick(self, *, at: datetime | None = None) -> None:
        """Do what the switchboard does every second, some listings among it."""
        now = at or clock.now()
        for fact in sweeps.reconcile(now=now):
            self.engine.facts.append(fact)
        legs.tidy_bridges(now=now)
        self.settle()
        for channel, call_id in sweeps.instructed():
            self.do(partial(Lane.instruct, channel_id=channel, call_id=call_id))
        legs.sweep(now=now)
        for channel in legs.ended():
            self.tell_of_leg(channel)
        for channel, conference_id in conferences.sweep():
            self.do(partial(Lane.conference_over, channel_id=channel, conference_id=conference_id), channel)
        sweeps.overdue(now=now)
        self.settle()

    def die(self) -> None:
        """Be killed: what happened and was not heard is lost, and so is all that no row keeps."""
        self.engine.facts.clear()
        self.do(Lane.drop_all)

    def _take(self, fact: Fact) -> None:
        self.do(lambda lane: lane.take(fact))

    def do(self, work: Callable[[Lane], None], channel: str = "") -> None:
        done = threading.Event()
        self.lane.put(channel, work)
        self.lane.put("", lambda _: done.set())
        assert done.wait(10)

    def close(self) -> None:
        """End every call, and the lane."""
        for attempt in Attempt.objects.filter(state__in=["due", "claimed", "taken", "unclear"]).select_related("call"):
            lifecycle.lost(attempt_id=attempt.pk, customer_id=attempt.call.customer_id, now=clock.now())
        self.lane.stop()
        self.lane.join()
        assert not Call.objects.filter(LIVE).exists()


def channel_of(call: Call) -> str:
    """Return the channel of a call that is up."""
    return call.attempts.exclude(state=Attempt.State.ENDED).get().channel


def leg_of(call: Call) -> Call:
    """Return the newest leg of a call."""
    leg = call.legs.order_by("id").last()
    assert leg is not None
    return leg


def read(call: Call) -> Call:
    """Return a call as it is now."""
    return Call.objects.get(pk=call.pk)


def has_ended(call: Call) -> bool:
    return read(call).status in FINAL
