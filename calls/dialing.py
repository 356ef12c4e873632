"""What we do to the engine: dial due attempts, hang up channels. Network here is always outside transactions."""

import logging
from datetime import datetime
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from calls import lifecycle
from calls.models import LIVE, Attempt, Call, Party, Reason
from minivoice import clock, nudge
from minivoice.crash import crashpoint
from telephony import link
from telephony.engines.ari import Ari
from telephony.engines.facts import Answer, EngineError

logger = logging.getLogger(__name__)

CONTEXT = "minivoice-out"


class Claim(NamedTuple):
    """An attempt that is ours alone to ask the engine for, once."""

    attempt_id: int
    channel_id: UUID
    call_id: int
    customer_id: int
    endpoint: str


def drain(*, due_before: datetime | None = None, seconds: float = 20.0) -> int:
    """Dial every attempt that is due (before a moment), one after the other; return how many.

    After some seconds the rest is left to a worker that is woken. Safe to run anywhere at any time, side by side
    too: a claim is committed before the engine hears of it.
    """
    count, ends_at = 0, monotonic() + seconds
    # The adapter first: asking for it ends a switchboard that no longer leads, before it has claimed anything.
    while (adapter := link.adapter()) and (claim := _claim(due_before or clock.now(), clock.now())):
        crashpoint("attempt_claimed")
        _dial(claim, adapter)
        count += 1
        if monotonic() > ends_at:
            nudge.wake("calls.dial")
            break
    return count


def hang_up(*, call: Call, reason: Reason, by: Party, now: datetime) -> bool:
    """Have `call` end for `reason`: note it, then tell the engine.

    Returns False when the engine could not be told: the sweep asks again.
    """
    channel_id = lifecycle.intend(call_id=call.pk, customer_id=call.customer_id, reason=reason, by=by, now=now)
    if channel_id is None:
        return True
    try:
        was_up = link.adapter().hang_up(str(channel_id))
    except EngineError as error:
        logger.warning("hanging up %s failed, the sweep will ask again: %s", call.public_id, error)
        return False
    if was_up:  # should its end go unheard, it is billed to here
        Call.objects.filter(LIVE, pk=call.pk, proven_at__lt=now).update(proven_at=now)
    return True


def topic(public_id: str) -> str:
    """Return where the engine's word about a new call is told to the request that waits for it."""
    return f"dial:{public_id}"


def _claim(due_before: datetime, now: datetime) -> Claim | None:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"due_before": due_before, "now": now})
        row = cursor.fetchone()
    return Claim(*row) if row else None


def _dial(claim: Claim, adapter: Ari) -> None:
    call = Call.objects.get(pk=claim.call_id)
    answer = adapter.originate(
        channel_id=str(claim.channel_id),
        endpoint=f"PJSIP/{call.to_number}@{claim.endpoint}",
        caller_id=call.from_number,
        context=CONTEXT,
        variables={"TIMER_SECONDS": str(call.timer_seconds)},
        setup_seconds=int(lifecycle.SETUP_TIME.total_seconds()) + call.ring_seconds,
    )
    crashpoint("engine_answered")
    _note(claim, call.public_id, answer)


def _note(claim: Claim, public_id: str, answer: Answer) -> None:
    """Write down what the engine said, and tell the request that waits."""
    now = clock.now()
    if answer is Answer.UNCLEAR:
        Attempt.objects.filter(pk=claim.attempt_id, state=Attempt.State.CLAIMED).update(state=Attempt.State.UNCLEAR)
        return
    if answer is Answer.REFUSED:
        goes_on = lifecycle.refused(attempt_id=claim.attempt_id, customer_id=claim.customer_id, now=now)
        if not goes_on:
            nudge.tell(topic(public_id), answer)
        return
    call = lifecycle.taken(attempt_id=claim.attempt_id, now=now)
    nudge.tell(topic(public_id), answer)
    if call.intent:
        hang_up(call=call, reason=Reason(call.intent), by=Party(call.intent_by), now=now)


_CLAIM = """
UPDATE calls_attempt AS attempt SET state = 'claimed', claimed_at = %(now)s
FROM calls_call AS call, telephony_trunk AS trunk
WHERE attempt.id = (
    SELECT due.id FROM calls_attempt AS due JOIN calls_call AS live ON live.id = due.call_id
    WHERE due.state = 'due' AND due.due_at <= %(due_before)s AND live.deadline_at > %(now)s AND live.intent = ''
    ORDER BY due.due_at LIMIT 1 FOR UPDATE OF due SKIP LOCKED
) AND call.id = attempt.call_id AND trunk.id = attempt.trunk_id
RETURNING attempt.id, attempt.channel_id, call.id, call.customer_id, trunk.endpoint
"""
