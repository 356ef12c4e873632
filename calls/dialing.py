"""What we do to the engine: dial due attempts, hang up channels. Network here is always outside transactions."""

import logging
from datetime import datetime, timedelta
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction

from calls import capacity, failover, lifecycle, reasons, rows
from calls.models import Attempt, Call, Party, Reason
from minivoice import clock, logs, nudge
from minivoice.crash import crashpoint
from minivoice.prepared import Statement
from telephony import link
from telephony.engines.ari import Ari
from telephony.engines.facts import Answer, EngineError
from telephony.models import Trunk

logger = logging.getLogger(__name__)

CONTEXT = "minivoice-out"
_NO_ROOM_FOR = timedelta(seconds=1)  # until trunks that are full are looked at again


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
    while (adapter := link.adapter()) and (claim := _claim(due_before, ends_at)):
        crashpoint("attempt_claimed")
        _dial(claim, adapter)
        count += 1
        if monotonic() > ends_at:
            nudge.wake("calls.dial")
            break
    return count


def hang_up(*, call: Call, reason: Reason, by: Party, now: datetime, overdue_since: datetime | None = None) -> bool:
    """Have `call` end for `reason`, as `lifecycle.intend` takes it: note it, then tell the engine.

    Returns False when the engine could not be told: the sweep asks again.
    """
    channel = lifecycle.intend(
        call_id=call.pk, customer_id=call.customer_id, reason=reason, by=by, now=now, overdue_since=overdue_since
    )
    if channel is None:
        return True
    adapter = link.adapter()
    seen_at = _engine_time(adapter) if call.answered_at else None
    try:
        was_up = adapter.hang_up(channel, **_cause(call, reason))
    except EngineError as error:
        logger.warning("hanging up %s failed, the sweep will ask again: %s", call.public_id, error)
        return False
    if seen_at and was_up:  # should its end go unheard, it is billed to here, by the clock that told its answer
        rows.prove(call, at=seen_at)
    return True


def topic(public_id: str) -> str:
    """Return where the engine's word about a new call is told to the request that waits for it."""
    return f"dial:{public_id}"


def _engine_time(adapter: Ari) -> datetime | None:
    """Return the moment by the engine's clock, None when it does not say: no hang-up waits for that."""
    try:
        return adapter.now()
    except EngineError:
        return None


def _cause(call: Call, reason: Reason) -> dict[str, int]:
    """Say why, where a caller still waits for an answer."""
    return {"reason_code": reasons.cause_for_caller(reason)} if call.is_unanswered_inbound else {}


def _claim(due_before: datetime | None, ends_at: float) -> Claim | None:
    """Claim the first attempt that is due and whose trunk, or another, has room; None when there is none, or when it
    was not found in time: behind a full trunk many may wait.
    """
    while True:
        now = clock.now()
        with connection.cursor() as cursor:
            _CLAIM.run(cursor, {"due_before": due_before or now, "now": now})
            row = cursor.fetchone()
        if row is None:
            return None
        *claimed, is_limited = row
        claim = Claim(*claimed)
        if not is_limited:
            return claim
        if with_room := _claim_with_room(claim, due_before or now, now):
            return with_room
        if monotonic() > ends_at:
            return None


def _claim_with_room(found: Claim, due_before: datetime, now: datetime) -> Claim | None:
    """Claim an attempt whose trunk has limits, over that or another trunk; None when it is not to be had now."""
    with transaction.atomic():
        attempt = (
            Attempt.objects.filter(pk=found.attempt_id, state=Attempt.State.DUE, due_at__lte=due_before)
            .select_for_update(of=("self",), skip_locked=True)
            .select_related("call")
            .first()
        )
        if attempt is None:
            return None
        trunk_id = capacity.trunk_with_room(
            attempt_id=attempt.pk,
            customer_id=found.customer_id,
            number=attempt.call.to_number,
            trunk_id=attempt.trunk_id,
            may_change=not attempt.call.is_trunk_test,
            now=now,
        )
        if trunk_id is not None:
            changes = {"state": Attempt.State.CLAIMED, "claimed_at": now, "trunk_id": trunk_id}
            Attempt.objects.filter(pk=attempt.pk).update(**changes)
            return found._replace(endpoint=Trunk.objects.values_list("endpoint", flat=True).get(pk=trunk_id))
        Attempt.objects.filter(pk=attempt.pk).update(due_at=now + _NO_ROOM_FOR)
    if not lifecycle.found_no_room(attempt_id=found.attempt_id, customer_id=found.customer_id, now=now):
        logger.info("no trunk has room for call %s", found.call_id)
    return None


def _dial(claim: Claim, adapter: Ari) -> None:
    call = rows.read(claim.call_id)
    with logs.about(call.public_id):
        answer = _asked(claim, call, adapter)
        crashpoint("engine_answered")
        _note(claim, call.public_id, answer)


def _asked(claim: Claim, call: Call, adapter: Ari) -> Answer:
    """Ask the engine for a claimed attempt, and return what it said."""
    try:
        return adapter.originate(
            channel_id=str(claim.channel_id),
            endpoint=_dial_string(call.to_number, claim.endpoint),
            caller_id=call.from_number,
            context=CONTEXT,
            variables={"TIMER_SECONDS": str(call.timer_seconds)},
            setup_seconds=int(failover.SETUP_TIME.total_seconds()) + call.ring_seconds,
        )
    except ValueError:  # nothing was sent; what is due after it must not wait for it
        logger.exception("%s cannot be dialled", call.public_id)
        return Answer.REFUSED


def _dial_string(to: str, endpoint: str) -> str:
    """Return how the engine is told of a number, or a SIP URI, over a trunk."""
    return f"PJSIP/{endpoint}/{to}" if to.startswith("sip:") else f"PJSIP/{to}@{endpoint}"


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


# One whose trunk has limits is only found by this: its trunk must be locked first, and then counted.
_CLAIM = Statement("""
WITH found AS (
    SELECT due.id, due.channel_id, due.call_id, call.customer_id, trunk.endpoint,
           trunk.max_channels IS NOT NULL OR trunk.max_cps IS NOT NULL AS is_limited
    FROM calls_attempt AS due
    JOIN calls_call AS call ON call.id = due.call_id
    JOIN telephony_trunk AS trunk ON trunk.id = due.trunk_id
    WHERE due.state = 'due' AND due.due_at <= %(due_before)s AND call.deadline_at > %(now)s AND call.intent = ''
    ORDER BY due.due_at LIMIT 1 FOR UPDATE OF due SKIP LOCKED
), claimed AS (
    UPDATE calls_attempt AS attempt SET state = 'claimed', claimed_at = %(now)s
    FROM found WHERE attempt.id = found.id AND NOT found.is_limited
)
SELECT id, channel_id, call_id, customer_id, endpoint, is_limited FROM found
""")
