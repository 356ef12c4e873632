"""Steps in the life of a call: placed, dialled, told of by the engine."""

import threading
from collections import deque
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db.models import F

from applications import keys
from calls import commands, dialing, lifecycle, sweeps
from calls.models import Attempt, Call
from minivoice import clock
from telephony.engines.facts import Answer, Channel, Fact, Kind
from tests.conftest import Actor
from webhooks.models import WebhookEvent


class FakeEngine:
    """Answers originates from a list, then takes everything; remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.originated: list[dict[str, Any]] = []
        self.hung_up: list[str] = []
        self.causes: list[int] = []  # told to callers who were turned away
        self.up: list[Channel] = []
        self.clock_ahead = timedelta(0)  # of ours
        self._lock = threading.Lock()

    def originate(self, **asked: Any) -> Answer:
        with self._lock:
            self.originated.append(asked)
            return self.answers.popleft() if self.answers else Answer.TAKEN

    def hang_up(self, channel_id: str, *, reason_code: int | None = None) -> bool:
        self.hung_up.append(channel_id)
        if reason_code is not None:
            self.causes.append(reason_code)
        return True

    def channels(self) -> list[Channel]:
        return self.up

    def now(self) -> datetime:
        return clock.now() + self.clock_ahead


def order(**changes: Any) -> commands.Order:
    """The documentation's own call, with changes."""
    usual: dict[str, Any] = {
        "from_number": "+15551230001",
        "to_number": "+15551230002",
        "metadata": {},
        "answer_url": "",
        "ring_seconds": 60,
        "max_duration_seconds": 14_400,
    }
    return commands.Order(**usual | changes)


def place(actor: Actor, **changes: Any) -> Call:
    """Place a call as the API does, without waiting for the engine."""
    caller = keys.recognise(actor.key)
    assert caller is not None
    placed = commands.place(caller=caller, order=order(**changes), request_id="test-request", now=clock.now())
    return placed.call


def dial(actor: Actor, **changes: Any) -> Call:
    """Place a call and have the engine (see the fixture) take it."""
    call = place(actor, **changes)
    assert dialing.drain() == 1
    call.refresh_from_db()
    return call


def answer(call: Call, *, at: datetime) -> None:
    """The callee picks up at a moment."""
    tell(call, Kind.ANSWERED, at=at)


def end(call: Call, *, at: datetime, sip_code: int | None = None, cause: int | None = None) -> None:
    """The channel of the call's latest attempt ends at a moment."""
    tell(call, Kind.ENDED, at=at, sip_code=sip_code, cause=cause)


def within_a_day(*, seconds: float) -> datetime:
    """Return a moment after which so many seconds are of the same day (UTC): now, or that much earlier."""
    now, time = clock.now(), timedelta(seconds=seconds)
    return now if (now + time).date() == now.date() else now - time


def keep_within_a_second() -> None:
    """Let the calls accepted so far count among those of the last second, however long what follows takes."""
    Call.objects.update(accepted_at=F("accepted_at") + timedelta(minutes=1))


def tell(call: Call, kind: Kind, *, at: datetime, **more: Any) -> None:
    """Record a fact about the call's latest attempt; the call is read again."""
    channel_id = str(latest(call).channel_id)
    lifecycle.record(Fact(kind=kind, channel_id=channel_id, at=at, **more), now=at)
    call.refresh_from_db()


def reconcile(*, now: datetime) -> None:
    """Compare the engine's channels with ours, and hear of what went unheard."""
    for fact in sweeps.reconcile(now=now):
        lifecycle.record(fact, now=now)


def latest(call: Call) -> Attempt:
    """Return the newest attempt of a call."""
    return call.attempts.select_related("trunk").order_by("number").reverse()[0]


def channel(call: Call, *, state: str, entered: bool = False, answered_at: datetime | None = None) -> Channel:
    """Return the row that a channel list has for the call's latest attempt."""
    return Channel(str(latest(call).channel_id), state, clock.now(), entered, answered_at)


def strange_channel() -> Channel:
    """Return a channel that no call of ours ever had."""
    return Channel(str(uuid4()), "Up", clock.now() - timedelta(hours=1), entered=True)


def events(call: Call) -> list[str]:
    """Return the call's webhook events, having checked that their numbers have no gap."""
    rows = WebhookEvent.objects.filter(call_id=call.public_id).order_by("sequence").values_list("sequence", "type")
    assert [number for number, _ in rows] == list(range(1, len(rows) + 1))
    return [kind for _, kind in rows]
