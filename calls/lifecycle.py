"""What happened to a call. The only writer of its status, and the one exit: `end`.

Each function is one transaction: state, money and event change together or not at all. Everything may be told twice,
late or out of order; what changes nothing is kept on the timeline and otherwise ignored.
"""

import logging
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction

from billing import ledger
from calls import failover, gathering, reasons, rendering, rollup, rows, telling, ties, timeline
from calls.models import Attempt, Call, Flow, Party, Reason, Status
from calls.reasons import Ending
from minivoice.crash import crashpoint
from telephony.engines.facts import Fact, Kind
from webhooks import outbox

logger = logging.getLogger(__name__)

_LAST_LOOK = timedelta(seconds=3)  # the sweep, which ends what is overdue, would be faster than the next look
_HANG_UP_TIME = timedelta(seconds=5)
OVER_TIME = timedelta(seconds=10)  # that an engine's timer may be late


class Told(NamedTuple):
    """Which call a fact is about, and the call that it is a leg of."""

    call_id: int
    parent_id: int | None = None


def record(fact: Fact, *, now: datetime) -> Told | None:
    """Take one fact from the engine; return what call it is about, or None for a channel that is not ours."""
    glance = rows.glance(fact.channel_id)
    if glance is None:
        return None
    attempt, seen = glance
    if fact.kind == Kind.ENDED:
        _channel_ended(attempt.pk, seen.customer_id, fact, now)
    elif fact.kind == Kind.LOST:
        lost(attempt_id=attempt.pk, customer_id=seen.customer_id, now=now)
    elif fact.kind in _HANDLERS and _changes_nothing(attempt, seen, fact):
        _tell_timeline(seen, fact)
    elif fact.kind in _HANDLERS:
        crashpoint("fact_read")
        with transaction.atomic():
            call, locked = rows.lock_with_attempt(attempt.pk)
            _tell_timeline(call, fact)
            if not call.is_final and locked.state != Attempt.State.ENDED:
                _HANDLERS[fact.kind](call, locked, fact, now)
        crashpoint("fact_stored")
    return Told(seen.pk, seen.parent_id)


def taken(*, attempt_id: int, now: datetime) -> Call:
    """The engine took an attempt: the call is being dialled. Return the call as it then is."""
    with transaction.atomic():
        call, attempt = rows.lock_with_attempt(attempt_id)
        _dialing(call, attempt, now)
        return call


def refused(*, attempt_id: int, customer_id: int, now: datetime) -> bool:
    """The engine would not take an attempt, so nothing rang: the next trunk's is made due, or the call ends.

    Returns whether the call goes on.
    """
    with transaction.atomic():
        ledger.lock_row(customer_id=customer_id)
        call, attempt = rows.lock_with_attempt(attempt_id)
        timeline.add(call, "trunk_refused", at=now, attempt=attempt.number, trunk=rows.trunk_name(attempt))
        if attempt.state == Attempt.State.ENDED:
            return not call.is_final  # its channel's end outran the answer, and the next trunk's attempt may be due
        _close(attempt, now)
        crashpoint("refusal_before_release")
        if not call.intent and failover.next_attempt(call, attempt, now):
            return True
        reason = Reason(call.intent or Reason.ORIGINATE_FAILED)
        end(call, Ending(reason, now, Party(call.intent_by or Party.SYSTEM)), now=now)
    crashpoint("refusal_after_release")
    return False


def found_no_room(*, attempt_id: int, customer_id: int, now: datetime) -> bool:
    """No trunk had room for an attempt that is due; return whether the call goes on, and looks again.

    It does until the setup time is over, which for a first attempt counts from the acceptance.
    """
    with transaction.atomic():
        ledger.lock_row(customer_id=customer_id)
        call, attempt = rows.lock_with_attempt(attempt_id)
        if call.is_final or attempt.state != Attempt.State.DUE:
            return not call.is_final
        first = _first(call, attempt)
        if now < (first.claimed_at or call.accepted_at) + failover.SETUP_TIME - _LAST_LOOK:
            return True
        timeline.add(call, "trunks_full", at=now, attempt=attempt.number)
        _close(attempt, now)
        end(call, Ending(Reason.TRUNK_FAILED, now, Party.SYSTEM), now=now)
    return False


def intend(
    *, call_id: int, customer_id: int, reason: Reason, by: Party, now: datetime, overdue_since: datetime | None = None
) -> str | None:
    """Note that we want the call to end and why; return the channel to hang up, None when there is none.

    A call that no engine was asked for ends at once. The first intent stands: it explains the end. To cancel a call
    that has been answered is to hang it up. One that was `overdue_since` a deadline, and has another now, goes on.
    """
    for holds_balance in (False, True):  # few calls end here: the customer's others need not wait for the rest
        with transaction.atomic():
            if holds_balance:
                ledger.lock_row(customer_id=customer_id)
            call, attempt = _up(call_id, overdue_since)
            if attempt is None:
                return None
            if attempt.state != Attempt.State.DUE:
                return _ask_for_end(call, attempt, reason, by, now)
            if holds_balance:
                end(call, Ending(reason, now, by), now=now)
    return None


def lost(*, attempt_id: int, customer_id: int, now: datetime) -> None:
    """Listings of the engine's channels lack this attempt's: the call ended unseen, when it was last seen."""
    with transaction.atomic():
        ledger.lock_row(customer_id=customer_id)
        call, attempt = rows.lock_with_attempt(attempt_id)
        if call.is_final or attempt.state == Attempt.State.ENDED:
            return
        logger.warning("channel %s ended unseen", attempt.channel_id)
        timeline.add(call, "channel_lost", at=now, attempt=attempt.number)
        never_heard_of = attempt.state in {Attempt.State.CLAIMED, Attempt.State.UNCLEAR}
        reason = Reason.ORIGINATE_FAILED if never_heard_of else Reason.ENGINE_LOST
        seen_at = max(filter(None, [call.answered_at, call.proven_at]), default=now)
        if call.intent and not (call.answered_at and call.intent in reasons.TIMER):
            reason = Reason(call.intent)
        if reason == Reason.MEDIA_LOST:
            seen_at = reasons.heard_until(call, seen_at)
        end(call, Ending(reason, seen_at, Party(call.intent_by or Party.SYSTEM)), now=now)


def tell(*, call_id: int, event: str, data: dict[str, Any], occurrence: int, now: datetime) -> None:
    """Publish an event of a live call that is not a change of its status; nothing is told of an ended call."""
    with transaction.atomic():
        call = rows.lock(call_id)
        if not call.is_final:
            telling.publish(call, event, data, now=now, occurrence=occurrence)
            call.save(update_fields=["events"])


def end(call: Call, ending: Ending, *, now: datetime) -> None:
    """The one exit: final status, charge or release, attempts and flow closed, final event.

    A call with legs that are up ends with the last of them: its final event tells what they cost.
    Needs the caller's transaction with the customer's balance row and then the call's row locked, and a live call.
    """
    gathering.close(call, now=now)
    legs = ties.count(call)
    if legs.live:
        ties.wait(call, ending, now=now)
        return
    ended_at = max(ending.at, call.answered_at or call.accepted_at)
    crashpoint("end_before_settlement")
    _settle(call, ended_at, now)
    call.ended_at, call.end_reason, call.hangup_by = ended_at, ending.reason, ending.by or ""
    call.sip_code, call.settled_at = ending.sip_code, now
    call.deadline_at = call.extend_at = None
    _note_early_cut(call, now)
    _advance(call, _final_status(call.answered_at is not None, ending.reason))
    ties.close_attempts(call, ending, now=now)
    timeline.add(call, f"call_{call.status}", at=now, **rendering.outcome(call), **rendering.arithmetic(call))
    told = {**rendering.outcome(call), **(rendering.legs(call) if legs.all else {})}
    telling.publish(call, f"call.{call.status}", told, now=now)
    if outbox.wants(call.application, "call.settled"):
        telling.publish(call, "call.settled", rendering.settlement(call), now=now)
    rows.OUTCOME.run(call)
    rollup.add(call, settled_at=now)
    if call.parent is not None:
        timeline.add(call.parent, "leg_ended", at=now, leg=call.public_id, **rendering.outcome(call))
        _end_waiting(call.parent, now)
    crashpoint("end_before_commit")


def _up(call_id: int, overdue_since: datetime | None) -> tuple[Call, Attempt | None]:
    """Lock a call; return it with its attempt that is up or due, None when it is over or not overdue any more."""
    call = rows.lock(call_id)
    goes_on = overdue_since not in {None, call.deadline_at}
    return call, None if call.is_final or goes_on else rows.lock_open_attempt(call_id)


def _ask_for_end(call: Call, attempt: Attempt, reason: Reason, by: Party, now: datetime) -> str:
    """Note the first intent of a locked call; return the channel to hang up."""
    if not call.intent:
        is_too_late = reason == Reason.CANCELED and call.answered_at is not None
        call.intent, call.intent_by = Reason.HANGUP if is_too_late else reason, by
        timeline.add(call, "hangup_asked", at=now, reason=call.intent, by=by)
    call.deadline_at = now + _HANG_UP_TIME
    rows.INTENT.run(call)
    return attempt.channel


def _settle(call: Call, ended_at: datetime, now: datetime) -> None:
    """Charge a call that was answered, and let go of what was held for it."""
    call.duration_seconds = call.billable_seconds = 0
    call.cost_amount = call.overrun_amount = 0
    if call.answered_at is None:
        ledger.release(key=call.public_id, now=now)
        return
    milliseconds = call.talk_milliseconds(ended_at)
    settlement = ledger.settle(key=call.public_id, price=call.price, milliseconds=milliseconds, now=now)
    if settlement is None:
        raise RuntimeError(f"{call.public_id} is live but its hold is closed")
    call.duration_seconds = settlement.charge.seconds
    call.billable_seconds = settlement.charge.billed_seconds
    call.cost_amount, call.overrun_amount = settlement.amount, settlement.overrun


def _end_waiting(call: Call, now: datetime) -> None:
    """End a call that waits for a leg that has just ended. The balance row is locked: nobody ends another leg now."""
    if call.hung_up_at is None or call.is_final:
        return
    by = Party(call.intent_by) if call.intent_by else None
    end(rows.lock(call.pk), Ending(Reason(call.intent), call.hung_up_at, by, call.sip_code), now=now)


def _note_early_cut(call: Call, now: datetime) -> None:
    """Say so when the engine did not learn in time of money that was set aside: such calls are counted."""
    if call.end_reason != Reason.OUT_OF_FUNDS:
        return
    held_seconds = ledger.funded_seconds(key=call.public_id)
    if held_seconds > call.funded_seconds:
        logger.warning("%s was cut early: its timer knew of %s s of %s s", call, call.funded_seconds, held_seconds)
        timeline.add(call, "cut_early", at=now, funded_seconds=held_seconds, timer_seconds=call.timer_seconds)


def _changes_nothing(attempt: Attempt, call: Call, fact: Fact) -> bool:
    """Whether a fact is old, which needs no lock to see: a call never goes back. Engines say most things twice."""
    told = {Kind.RINGING: Status.RINGING, Kind.PROGRESS: Status.RINGING}.get(fact.kind, Status.IN_PROGRESS)
    if fact.kind in _MEDIA:
        return False
    is_known = attempt.state in {Attempt.State.TAKEN, Attempt.State.ENDED} and call.status != Status.QUEUED
    return is_known and not call.may_become(told)


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
        ledger.lock_row(customer_id=customer_id)
        call, attempt = rows.lock_with_attempt(attempt_id)
        facts = {"cause": fact.cause, "sip_code": fact.sip_code, "attempt": attempt.number}
        timeline.add(call, "engine_ended", at=fact.at, channel_id=fact.channel_id, **facts)
        if call.is_final or attempt.state == Attempt.State.ENDED:
            return
        _dialing(call, attempt, now)
        if fact.answered_at is not None:
            _answered(call, attempt, fact, now)  # unless it was heard of in time, this is the first word of it
        _close(attempt, now, sip_code=fact.sip_code, cause=fact.cause)
        has_rung = call.ringing_at or call.answered_at or not reasons.proves_no_ring(fact, asked_at=attempt.claimed_at)
        if not (has_rung or call.intent) and failover.next_attempt(call, attempt, now):
            return
        end(call, reasons.explain(call, fact), now=now)
    crashpoint("end_after_commit")


def _dialing(call: Call, attempt: Attempt, now: datetime) -> None:
    """The engine has the attempt, by its answer or by an event that outran it."""
    if attempt.state in {Attempt.State.CLAIMED, Attempt.State.UNCLEAR}:
        attempt.state = Attempt.State.TAKEN
        rows.TAKEN.run(attempt)
    if call.status != Status.QUEUED:
        return
    first = _first(call, attempt)
    call.dialing_at, call.provider_call_id, call.trunk_id = now, first.channel_id, attempt.trunk_id
    _expect(call, (first.claimed_at or now) + failover.SETUP_TIME)
    _advance(call, Status.DIALING)
    timeline.add(call, "dialed", at=now, attempt=attempt.number, trunk=rows.trunk_name(attempt))
    rows.DIALING.run(call)


def _first(call: Call, attempt: Attempt) -> Attempt:
    """Return the first attempt of a call of which one is at hand."""
    return attempt if attempt.number == 1 else call.attempts.order_by("number")[0]


def _ringing(call: Call, attempt: Attempt, fact: Fact, now: datetime) -> None:
    _dialing(call, attempt, now)
    if not call.may_become(Status.RINGING):
        return
    call.ringing_at, call.trunk_id = fact.at, attempt.trunk_id
    _expect(call, now + timedelta(seconds=call.ring_seconds))
    _advance(call, Status.RINGING)
    if outbox.wants(call.application, "call.ringing"):
        telling.publish(call, "call.ringing", {}, now=now)
    if call.parent is not None:
        timeline.add(call.parent, "leg_ringing", at=fact.at, leg=call.public_id)
    rows.RINGING.run(call)


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
    if call.parent is not None:
        timeline.add(call.parent, "leg_answered", at=answered_at, leg=call.public_id)
    rows.ANSWER.run(call)


def _note_media(call: Call, attempt: Attempt, fact: Fact, now: datetime) -> None:
    """What is told of a call that is up; that the engine will end it for its silence is why it ends."""
    if fact.answered_at is not None:
        _answered(call, attempt, fact, now)
    if fact.kind == Kind.MEDIA_LOST and call.answered_at is not None and not call.intent:
        call.intent, call.intent_by = Reason.MEDIA_LOST, Party.SYSTEM
        call.save(update_fields=["intent", "intent_by"])


def begin_flow(call: Call) -> None:
    """Have `call` follow the instructions of its answer URL, unless it follows some already."""
    flow = Flow(call=call, url=call.answer_url, method=call.application.answer_method)
    Flow.objects.bulk_create([flow], ignore_conflicts=True)


_MEDIA = (Kind.HELD, Kind.RESUMED, Kind.MEDIA_LOST)
_HANDLERS = {
    Kind.RINGING: _ringing,
    Kind.PROGRESS: _ringing,
    Kind.ANSWERED: _answered,
    Kind.ENTERED: _answered,
    **dict.fromkeys(_MEDIA, _note_media),
}


def _expect(call: Call, deadline_at: datetime) -> None:
    """Say by when the call must have moved on; once it is to end, the sweep that sees to it keeps its own time."""
    if not call.intent:
        call.deadline_at = deadline_at


def _advance(call: Call, status: Status) -> None:
    if not call.may_become(status):
        raise RuntimeError(f"{call.public_id} is {call.status} and cannot become {status}")
    call.status = status


def _final_status(answered: bool, reason: Reason) -> Status:
    if answered:
        return Status.FAILED if reason == Reason.ENGINE_LOST else Status.COMPLETED
    return Status.CANCELED if reason == Reason.CANCELED else Status.FAILED


def _close(attempt: Attempt, now: datetime, *, sip_code: int | None = None, cause: int | None = None) -> None:
    attempt.state, attempt.ended_at = Attempt.State.ENDED, now
    attempt.sip_code, attempt.cause = sip_code, cause
    rows.CLOSED.run(attempt)
