"""What happened to a call. The only writer of its status, and the one exit: `end`.

Each function is one transaction: state, money and event change together or not at all. Everything may be told twice,
late or out of order; what changes nothing is kept on the timeline and otherwise ignored.
"""

import logging
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import transaction

from billing import ledger
from calls import channels, reasons, rendering, rollup, telling, timeline
from calls.models import Attempt, Call, Flow, Party, Reason, Status
from calls.reasons import Ending
from minivoice import logs, nudge
from minivoice.crash import crashpoint
from telephony import routing
from telephony.engines.facts import Fact, Kind
from webhooks import outbox

logger = logging.getLogger(__name__)

SETUP_TIME = timedelta(seconds=25)
MOST_ATTEMPTS = 3
_LAST_LOOK = timedelta(seconds=3)  # the sweep, which ends what is overdue, would be faster than the next look
_HANG_UP_TIME = timedelta(seconds=5)
OVER_TIME = timedelta(seconds=10)  # that an engine's timer may be late


def record(fact: Fact, *, now: datetime) -> int | None:
    """Take one fact from the engine; return the id of the call it is about, or None for a channel that is not ours."""
    attempt = (
        Attempt.objects.filter(channel_id=channels.key(fact.channel_id)).select_related("call").only(*_GLANCE).first()
    )
    if attempt is None:
        return None
    if fact.kind == Kind.ENDED:
        _channel_ended(attempt.pk, attempt.call.customer_id, fact, now)
    elif fact.kind == Kind.LOST:
        lost(attempt_id=attempt.pk, customer_id=attempt.call.customer_id, now=now)
    elif fact.kind in _HANDLERS and _changes_nothing(attempt, fact):
        _tell_timeline(attempt.call, fact)
    elif fact.kind in _HANDLERS:
        crashpoint("fact_read")
        with transaction.atomic():
            call, row = _lock_attempt(attempt.pk)
            _tell_timeline(call, fact)
            if not call.is_final and row.state != Attempt.State.ENDED:
                _HANDLERS[fact.kind](call, row, fact, now)
        crashpoint("fact_stored")
    return attempt.call_id


def taken(*, attempt_id: int, now: datetime) -> Call:
    """The engine took an attempt: the call is being dialled. Return the call as it then is."""
    with transaction.atomic():
        call, attempt = _lock_attempt(attempt_id)
        _dialing(call, attempt, now)
        return call


def refused(*, attempt_id: int, customer_id: int, now: datetime) -> bool:
    """The engine would not take an attempt, so nothing rang: the next trunk's is made due, or the call ends.

    Returns whether the call goes on.
    """
    with transaction.atomic():
        ledger.lock(customer_id=customer_id, now=now)
        call, attempt = _lock_attempt(attempt_id)
        timeline.add(call, "trunk_refused", at=now, attempt=attempt.number, trunk=attempt.trunk.public_id)
        _close(attempt, now)
        crashpoint("refusal_before_release")
        if call.is_final or (not call.intent and _next_trunk(call, attempt, now)):
            return not call.is_final
        reason = Reason(call.intent or Reason.ORIGINATE_FAILED)
        end(call, Ending(reason, now, Party(call.intent_by or Party.SYSTEM)), now=now)
    crashpoint("refusal_after_release")
    return False


def found_no_room(*, attempt_id: int, customer_id: int, now: datetime) -> bool:
    """No trunk had room for an attempt that is due; return whether the call goes on, and looks again.

    It does until the setup time is over, which for a first attempt counts from the acceptance.
    """
    with transaction.atomic():
        ledger.lock(customer_id=customer_id, now=now)
        call, attempt = _lock_attempt(attempt_id)
        if call.is_final or attempt.state != Attempt.State.DUE:
            return not call.is_final
        first = call.attempts.order_by("number")[0]
        if now < (first.claimed_at or call.accepted_at) + SETUP_TIME - _LAST_LOOK:
            return True
        timeline.add(call, "trunks_full", at=now, attempt=attempt.number)
        _close(attempt, now)
        end(call, Ending(Reason.TRUNK_FAILED, now, Party.SYSTEM), now=now)
    return False


def intend(*, call_id: int, customer_id: int, reason: Reason, by: Party, now: datetime) -> str | None:
    """Note that we want the call to end and why; return the channel to hang up, None when there is none.

    A call that no engine was asked for ends at once. The first intent stands: it explains the end.
    """
    with transaction.atomic():
        ledger.lock(customer_id=customer_id, now=now)
        call = _lock(pk=call_id)
        attempt = call.attempts.exclude(state=Attempt.State.ENDED).select_for_update().first()
        if call.is_final or attempt is None:
            return None
        if attempt.state == Attempt.State.DUE:
            end(call, Ending(reason, now, by), now=now)
            return None
        if not call.intent:
            call.intent, call.intent_by = reason, by
            timeline.add(call, "hangup_asked", at=now, reason=reason, by=by)
        call.deadline_at = now + _HANG_UP_TIME
        call.save(update_fields=["intent", "intent_by", "deadline_at"])
        return attempt.channel


def lost(*, attempt_id: int, customer_id: int, now: datetime) -> None:
    """Listings of the engine's channels lack this attempt's: the call ended unseen, when it was last seen."""
    with transaction.atomic():
        ledger.lock(customer_id=customer_id, now=now)
        call, attempt = _lock_attempt(attempt_id)
        if call.is_final or attempt.state == Attempt.State.ENDED:
            return
        logger.warning("channel %s ended unseen", attempt.channel_id)
        timeline.add(call, "channel_lost", at=now, attempt=attempt.number)
        never_heard_of = attempt.state in {Attempt.State.CLAIMED, Attempt.State.UNCLEAR}
        reason = Reason.ORIGINATE_FAILED if never_heard_of else Reason.ENGINE_LOST
        seen_at = max(filter(None, [call.answered_at, call.proven_at]), default=now)
        if call.intent and not (call.answered_at and call.intent in reasons.TIMER):
            reason = Reason(call.intent)
        end(call, Ending(reason, seen_at, Party(call.intent_by or Party.SYSTEM)), now=now)


def tell(*, call_id: int, event: str, data: dict[str, Any], occurrence: int, now: datetime) -> None:
    """Publish an event of a live call that is not a change of its status; nothing is told of an ended call."""
    with transaction.atomic():
        call = _lock(pk=call_id)
        if not call.is_final:
            telling.publish(call, event, data, now=now, occurrence=occurrence)
            call.save(update_fields=["events"])


def end(call: Call, ending: Ending, *, now: datetime) -> None:
    """The one exit: final status, charge or release, attempts and flow closed, final event.

    Needs the caller's transaction with the customer's balance row and then the call's row locked, and a live call.
    """
    answered = call.answered_at is not None
    ended_at = max(ending.at, call.answered_at or call.accepted_at)
    crashpoint("end_before_settlement")
    milliseconds = call.talk_milliseconds(ended_at)
    call.duration_seconds = call.billable_seconds = 0
    call.cost_amount = call.overrun_amount = 0
    if answered:
        settlement = ledger.settle(key=call.public_id, price=call.price, milliseconds=milliseconds, now=now)
        if settlement is None:
            raise RuntimeError(f"{call.public_id} is live but its hold is closed")
        call.duration_seconds = settlement.charge.seconds
        call.billable_seconds = settlement.charge.billed_seconds
        call.cost_amount, call.overrun_amount = settlement.amount, settlement.overrun
    else:
        ledger.release(key=call.public_id, now=now)
    call.ended_at, call.end_reason, call.hangup_by = ended_at, ending.reason, ending.by or ""
    call.sip_code, call.settled_at = ending.sip_code, now
    call.deadline_at = call.extend_at = None
    _note_early_cut(call, now)
    _advance(call, _final_status(answered, ending.reason))
    call.attempts.exclude(state=Attempt.State.ENDED).update(
        state=Attempt.State.ENDED, ended_at=now, sip_code=ending.sip_code
    )
    Flow.objects.filter(call=call).delete()
    timeline.add(call, f"call_{call.status}", at=now, **rendering.outcome(call), **_arithmetic(call))
    telling.publish(call, f"call.{call.status}", {**rendering.outcome(call), **rendering.legs(call)}, now=now)
    if outbox.wants(call.application, "call.settled"):
        telling.publish(call, "call.settled", rendering.settlement(call), now=now)
    if call.parent is not None:
        timeline.add(call.parent, "leg_ended", at=now, leg=call.public_id, **rendering.outcome(call))
    call.save()
    rollup.add(call, settled_at=now)
    crashpoint("end_before_commit")


def _note_early_cut(call: Call, now: datetime) -> None:
    """Say so when the engine did not learn in time of money that was set aside: such calls are counted."""
    if call.end_reason != Reason.OUT_OF_FUNDS:
        return
    held_seconds = ledger.funded_seconds(key=call.public_id)
    if held_seconds > call.funded_seconds:
        logger.warning("%s was cut early: its timer knew of %s s of %s s", call, call.funded_seconds, held_seconds)
        timeline.add(call, "cut_early", at=now, funded_seconds=held_seconds, timer_seconds=call.timer_seconds)


def _changes_nothing(attempt: Attempt, fact: Fact) -> bool:
    """Whether a fact is old, which needs no lock to see: a call never goes back. Engines say most things twice."""
    told = {Kind.RINGING: Status.RINGING, Kind.PROGRESS: Status.RINGING}.get(fact.kind, Status.IN_PROGRESS)
    is_known = attempt.state in {Attempt.State.TAKEN, Attempt.State.ENDED} and attempt.call.status != Status.QUEUED
    return is_known and not attempt.call.may_become(told)


def _tell_timeline(call: Call, fact: Fact) -> None:
    repeated = {} if _is_news(call, fact) else {"repeated": True}
    timeline.add(call, f"engine_{fact.kind}", at=fact.at, channel_id=fact.channel_id, **repeated)


def _is_news(call: Call, fact: Fact) -> bool:
    """Whether the timeline does not say yet what this fact says: engines say most things twice."""
    if fact.kind in {Kind.RINGING, Kind.PROGRESS}:
        return call.ringing_at is None
    return fact.kind != Kind.ANSWERED or call.answered_at is None


def _channel_ended(attempt_id: int, customer_id: int, fact: Fact, now: datetime) -> None:
    with transaction.atomic():
        ledger.lock(customer_id=customer_id, now=now)
        call, attempt = _lock_attempt(attempt_id)
        facts = {"cause": fact.cause, "sip_code": fact.sip_code, "attempt": attempt.number}
        timeline.add(call, "engine_ended", at=fact.at, channel_id=fact.channel_id, **facts)
        if call.is_final or attempt.state == Attempt.State.ENDED:
            return
        _dialing(call, attempt, now)
        if fact.answered_at is not None:
            _answered(call, attempt, fact, now)  # unless it was heard of in time, this is the first word of it
        _close(attempt, now, sip_code=fact.sip_code, cause=fact.cause)
        may_try = not (call.ringing_at or call.answered_at or call.intent) and reasons.proves_no_ring(fact)
        if may_try and _next_trunk(call, attempt, now):
            return
        end(call, reasons.explain(call, fact), now=now)
    crashpoint("end_after_commit")


def _dialing(call: Call, attempt: Attempt, now: datetime) -> None:
    """The engine has the attempt, by its answer or by an event that outran it."""
    if attempt.state in {Attempt.State.CLAIMED, Attempt.State.UNCLEAR}:
        Attempt.objects.filter(pk=attempt.pk).update(state=Attempt.State.TAKEN)
        attempt.state = Attempt.State.TAKEN
    if call.status != Status.QUEUED:
        return
    first = call.attempts.order_by("number")[0]
    call.dialing_at, call.provider_call_id, call.trunk_id = now, first.channel_id, attempt.trunk_id
    _expect(call, (first.claimed_at or now) + SETUP_TIME)
    _advance(call, Status.DIALING)
    timeline.add(call, "dialed", at=now, attempt=attempt.number, trunk=attempt.trunk.public_id)
    call.save()


def _ringing(call: Call, attempt: Attempt, fact: Fact, now: datetime) -> None:
    _dialing(call, attempt, now)
    if not call.may_become(Status.RINGING):
        return
    call.ringing_at, call.trunk_id = fact.at, attempt.trunk_id
    _expect(call, now + timedelta(seconds=call.ring_seconds))
    _advance(call, Status.RINGING)
    if outbox.wants(call.application, "call.ringing"):
        telling.publish(call, "call.ringing", {}, now=now)
    call.save()


def _answered(call: Call, attempt: Attempt, fact: Fact, now: datetime) -> None:
    _dialing(call, attempt, now)
    if not call.may_become(Status.IN_PROGRESS):
        return
    answered_at = fact.answered_at or fact.at
    call.answered_at, call.trunk_id, call.proven_at = answered_at, attempt.trunk_id, fact.at
    _expect(call, answered_at + timedelta(seconds=call.timer_seconds) + OVER_TIME)
    call.extend_at = call.extension_due_at
    if call.intent:
        call.intent = Reason.HANGUP  # too late to cancel: an answered call is hung up
    _advance(call, Status.IN_PROGRESS)
    crashpoint("answer_before_commit")
    if call.is_instructed:
        begin_flow(call)
    telling.publish(call, "call.answered", {}, now=now)
    call.save()


def begin_flow(call: Call) -> None:
    """Have `call` follow the instructions of its answer URL, unless it follows some already."""
    Flow.objects.get_or_create(call=call, defaults={"url": call.answer_url, "method": call.application.answer_method})


# What `record` looks at before it locks anything.
_GLANCE = ("state", "call__customer_id", "call__status", "call__ringing_at", "call__answered_at")
_HANDLERS = {
    Kind.RINGING: _ringing,
    Kind.PROGRESS: _ringing,
    Kind.ANSWERED: _answered,
    Kind.ENTERED: _answered,
}


def _lock(**named: int) -> Call:
    """Lock a call's row. Rows that refer to it may still be written, or they and its end could wait for each other."""
    calls = Call.objects.select_for_update(of=("self",), no_key=True)
    related = calls.select_related("application", "customer", "trunk")
    return related.defer("application__webhook_secret").get(**named)


def _expect(call: Call, deadline_at: datetime) -> None:
    """Say by when the call must have moved on; once it is to end, the sweep that sees to it keeps its own time."""
    if not call.intent:
        call.deadline_at = deadline_at


def _lock_attempt(attempt_id: int) -> tuple[Call, Attempt]:
    """Lock an attempt's call and then the attempt: in this order everywhere."""
    call = _lock(attempts=attempt_id)
    logs.call_id.set(call.public_id)
    attempt = Attempt.objects.select_for_update(of=("self",)).select_related("trunk").get(pk=attempt_id)
    return call, attempt


def _advance(call: Call, status: Status) -> None:
    if not call.may_become(status):
        raise RuntimeError(f"{call.public_id} is {call.status} and cannot become {status}")
    call.status = status


def _final_status(answered: bool, reason: Reason) -> Status:
    if answered:
        return Status.FAILED if reason == Reason.ENGINE_LOST else Status.COMPLETED
    return Status.CANCELED if reason == Reason.CANCELED else Status.FAILED


def _close(attempt: Attempt, now: datetime, *, sip_code: int | None = None, cause: int | None = None) -> None:
    attempt.state, attempt.ended_at, attempt.sip_code, attempt.cause = (
        Attempt.State.ENDED,
        now,
        sip_code,
        cause,
    )
    attempt.save(update_fields=["state", "ended_at", "sip_code", "cause"])


def _next_trunk(call: Call, attempt: Attempt, now: datetime) -> bool:
    """Make an attempt over the next trunk due, if there is one and the setup time is not over."""
    tried = list(call.attempts.values_list("trunk_id", flat=True))
    first_claimed_at = call.attempts.order_by("number").values_list("claimed_at", flat=True)[0] or now
    if len(tried) >= MOST_ATTEMPTS or now >= first_claimed_at + SETUP_TIME:
        return False
    routes = routing.outbound_trunks(
        customer_id=call.customer_id,
        number=call.to_number,
        without=tried,
        is_own=attempt.trunk.customer_id is not None,  # or a carrier of ours would show a caller id nobody checked
    )
    if not routes:
        return False
    Attempt.objects.create(
        call=call, number=attempt.number + 1, trunk_id=routes[0].trunk_id, channel_id=uuid4(), due_at=now
    )
    crashpoint("next_trunk_due")
    transaction.on_commit(lambda: nudge.wake("calls.dial"))
    return True


def _arithmetic(call: Call) -> dict[str, Any]:
    """Return how the charge came about, for the timeline."""
    return {
        "rate": {name: str(value) for name, value in asdict(call.price).items()},
        "prefix": call.rate_prefix,
    }
