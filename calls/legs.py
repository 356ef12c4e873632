"""Legs: calls that a call dials for its caller, each with its own rate, hold, limits, trunk, timeline and charge.

A leg is wanted as long as the `Flow` row of its call names it: whatever dies, the next look at the two rows goes on
from there. No action has a second one, for the row names the first.
"""

import logging
from datetime import datetime, timedelta
from uuid import uuid4

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from applications.models import Customer
from calls import admission, channels, dialing, refusals, sweeps, ties, timeline
from calls.flow import store
from calls.models import FINAL, LIVE, Attempt, Call, Flow, Party, Reason
from minivoice import errors, ids, nudge
from minivoice.crash import crashpoint
from telephony import link

logger = logging.getLogger(__name__)

_QUEUE_TIME = timedelta(seconds=50)
_BATCH = 200
_BRIDGE_GRACE = timedelta(seconds=5)  # whoever hears of a leg's end is faster


def add(flow: Flow, *, to: str, caller_id: str, ring_seconds: int, now: datetime) -> Call:
    """Admit a leg to `to` (E.164, or a SIP URI) for a call's running action, and make it due; return it.

    It shows `caller_id`, and is up no longer than its call may be. Raises the ApiError of the check that refuses,
    having changed nothing, and FlowEnded when the call has ended or follows other instructions by now.
    """
    call = flow.call
    with transaction.atomic():
        facts = admission.read(
            customer=Customer.objects.get(pk=call.customer_id),  # its limits may have changed since the call began
            caller_id=caller_id,
            to=to,
            max_duration_seconds=call.max_duration_seconds,
            now=now,
        )
        refusal = admission.leg_refusal(facts)
        if refusal is not None:
            raise refusal
        leg = _compose(call, facts, ring_seconds)
        if not admission.hold(facts, key=leg.public_id):
            raise errors.InsufficientBalance
        leg.save(force_insert=True)
        at, trunk_id = facts.accepted_at, facts.routes[0].trunk_id
        Attempt.objects.create(call=leg, number=1, trunk_id=trunk_id, channel_id=uuid4(), due_at=at)
        timeline.add(leg, "accepted", at=at, parent=call.public_id, **admission.line(facts))
        timeline.add(call, "leg_accepted", at=at, leg=leg.public_id, **{"from": caller_id, "to": to})
        store.dialled(flow, leg)
        transaction.on_commit(lambda: nudge.wake("calls.dial"))
        crashpoint("leg_before_commit")
    return leg


def note_refusal(call: Call, refusal: errors.ApiError, *, to: str, now: datetime) -> None:
    """Say on the call's timeline, and in the log of refusals, which check refused a leg to `to`, and why."""
    timeline.add(call, "leg_refused", at=now, to=to, code=refusal.code, message=refusal.message)
    refusals.note(customer_id=call.customer_id, number=to, refusal=refusal, now=now)


def release(call_id: int, *, now: datetime) -> None:
    """Hang up the legs that a call does not want any more: it has ended, or follows other instructions."""
    if ties.are_live(call_id):  # most calls have none
        _hang_up(_unwanted().filter(parent=call_id), now)


def sweep(*, now: datetime) -> None:
    """Hang up every leg that nobody wants, which nobody has heard yet."""
    _hang_up(_unwanted().order_by("id")[:_BATCH], now)


def ended() -> list[str]:
    """Return the channels of the calls whose flow waits for a leg that has ended."""
    waiting = Attempt.objects.filter(call__flow__leg__status__in=sorted(FINAL)).exclude(state=Attempt.State.ENDED)
    return [attempt.channel for attempt in waiting]


def tidy_bridges(*, now: datetime) -> None:
    """Destroy the empty bridges of legs that have ended, which a process that died meanwhile has left behind.

    Raises EngineError.
    """
    bridges = link.adapter().bridges
    empty = [channels.key(name) for name, members in bridges.all().items() if not members]
    over = Attempt.objects.filter(channel_id__in=empty, state=Attempt.State.ENDED, ended_at__lt=now - _BRIDGE_GRACE)
    for attempt in over:
        logger.warning("the bridge of leg %s outlived it", attempt.channel)
        bridges.destroy(attempt.channel)


def _unwanted() -> QuerySet[Call]:
    named = Flow.objects.filter(leg=OuterRef("pk"))
    legs = Call.objects.filter(LIVE, ~Exists(named), intent="", parent__isnull=False)
    return legs.select_related("parent")


def _hang_up(legs: QuerySet[Call], now: datetime) -> None:
    for leg in legs:
        with sweeps.alone(leg.public_id):
            if not dialing.hang_up(call=leg, reason=Reason.CANCELED, by=_who_left(leg.parent), now=now):
                break  # the engine is away, and the next sweep comes


def _who_left(call: Call | None) -> Party:
    """Return whose doing it is, seen from a leg, that its call left it."""
    if call is None or call.hung_up_at is None:
        return Party.API  # whose instructions have taken the place of those that dialled it
    if call.intent_by in {Party.CALLER, Party.CALLEE}:
        return Party.CALLER  # to the leg, the party on its call is who called
    return Party(call.intent_by or Party.SYSTEM)


def _compose(call: Call, facts: admission.Facts, ring_seconds: int) -> Call:
    return Call(
        public_id=ids.new("call", facts.accepted_at),
        customer=call.customer,
        application=call.application,
        parent=call,
        from_number=facts.caller_id,
        to_number=facts.number,
        ring_seconds=ring_seconds,
        max_duration_seconds=call.max_duration_seconds,
        accepted_at=facts.accepted_at,
        deadline_at=facts.accepted_at + _QUEUE_TIME,
        **admission.promise(facts),
    )
