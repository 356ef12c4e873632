"""An inbound call that is forwarded: a leg of its own money is dialled, and joined with the caller once it is answered.

The two rows tell what is due between them: whatever dies, the next look at them goes on from there.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

from django.db import transaction
from django.db.models import Exists, OuterRef

from calls import admission, dialing, timeline
from calls.models import FINAL, LIVE, Attempt, Call, Party, Reason, Status
from minivoice import errors, ids, nudge
from telephony import link
from telephony.engines.facts import NameTaken

_RING_SECONDS = 60
_QUEUE_TIME = timedelta(seconds=50)
_BATCH = 200


def add_leg(call: Call, *, now: datetime) -> None:
    """Admit and make due the leg that `call` is forwarded by, in the transaction that accepts the call.

    It shows the number that was called, which is the customer's own. Raises the ApiError of the check that refuses.
    """
    facts = admission.read(
        customer=call.customer,
        caller_id=call.to_number,
        to=call.routing_target,
        max_duration_seconds=call.max_duration_seconds,
        now=now,
    )
    refusal = admission.leg_refusal(facts)
    if refusal is not None:
        raise refusal
    leg = _compose(call, facts)
    if not admission.hold(facts, key=leg.public_id):
        raise errors.InsufficientBalance
    leg.save(force_insert=True)
    trunk_id = facts.routes[0].trunk_id
    Attempt.objects.create(call=leg, number=1, trunk_id=trunk_id, channel_id=uuid4(), due_at=facts.accepted_at)
    timeline.add(leg, "accepted", at=facts.accepted_at, forwards=call.public_id, **admission.line(facts))
    timeline.add(call, "forwarded", at=facts.accepted_at, leg=leg.public_id, to=leg.to_number)
    transaction.on_commit(lambda: nudge.wake("calls.dial"))


def join(call_id: int) -> None:
    """Answer the caller and let both hear each other, if the leg is answered; nothing happens a second time."""
    pair = _pair(call_id)
    if pair is None or not pair.may_talk:
        return
    adapter, room = link.adapter(), pair.call.public_id
    caller, callee = _channel(pair.call), _channel(pair.leg)
    if caller is None or callee is None:
        return
    if pair.call.answered_at is None:  # its timer first, as for every answer
        adapter.set_timer(caller, seconds=pair.call.timer_seconds)
        adapter.answer(caller)
    with suppress(NameTaken):
        adapter.bridges.create(room)
    inside = adapter.bridges.members(room)
    for channel in (caller, callee):
        if channel not in inside:
            adapter.bridges.add(room, channel)


def part(call_id: int, *, now: datetime) -> None:
    """Hang up the other end of a forwarded call, if this one has ended."""
    pair = _pair(call_id)
    if pair is None:
        return
    ended, other = (pair.call, pair.leg) if pair.call.pk == call_id else (pair.leg, pair.call)
    if not ended.is_final:
        return
    if not other.is_final:
        dialing.hang_up(call=other, reason=_why(ended, other), by=Party(ended.hangup_by or Party.SYSTEM), now=now)
    if pair.call.answered_at is not None:
        link.adapter().bridges.destroy(pair.call.public_id)


def sweep(*, now: datetime) -> None:
    """Part those of whom one has ended and the other was not told."""
    legs = Call.objects.filter(LIVE, intent="", parent__status__in=sorted(FINAL))
    alone = Call.objects.filter(LIVE, intent="", route_mode=Call.RouteMode.SIP)
    alone = alone.exclude(Exists(Call.objects.filter(LIVE, parent=OuterRef("pk"))))
    ended = [leg.parent_id for leg in legs[:_BATCH]]
    ended += [call.legs.order_by("-id").values_list("pk", flat=True).first() for call in alone[:_BATCH]]
    for call_id in filter(None, ended):
        part(call_id, now=now)


class _Pair(NamedTuple):
    call: Call
    leg: Call

    @property
    def may_talk(self) -> bool:
        is_wanted = not (self.call.is_final or self.call.intent or self.leg.intent)
        return is_wanted and self.leg.status == Status.IN_PROGRESS


def _pair(call_id: int) -> _Pair | None:
    """Return a forwarded call and its leg, told by either; None for every other call."""
    call = Call.objects.select_related("parent").get(pk=call_id)
    if call.parent is not None:
        return _Pair(call.parent, call)
    leg = None if call.is_instructed else call.legs.order_by("-id").first()
    return _Pair(call, leg) if leg else None


def _channel(call: Call) -> str | None:
    attempt = call.attempts.exclude(state=Attempt.State.ENDED).first()
    return attempt.channel if attempt else None


def _why(ended: Call, other: Call) -> Reason:
    if ended.parent_id is not None:
        return Reason(ended.end_reason)
    return Reason.HANGUP if other.status == Status.IN_PROGRESS else Reason.CANCELED


def _compose(call: Call, facts: admission.Facts) -> Call:
    return Call(
        public_id=ids.new("call", facts.accepted_at),
        customer=call.customer,
        application=call.application,
        parent=call,
        from_number=call.to_number,
        to_number=call.routing_target,
        ring_seconds=_RING_SECONDS,
        max_duration_seconds=call.max_duration_seconds,
        accepted_at=facts.accepted_at,
        deadline_at=facts.accepted_at + _QUEUE_TIME,
        **admission.promise(facts),
    )
