"""The auditor: does everything that must always hold, hold? Read-only SQL in one snapshot, owing nothing to the code
it judges.

Each check counts violations of a promise (docs/architecture.md tells where a promise is kept); those about
money are the questions of `calls.books`. It is the judge of every journey and fault test, and runs in production.
"""

import logging
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.backends.utils import CursorWrapper

from calls import books
from calls.models import AuditRun

logger = logging.getLogger(__name__)

_COMMITTED_LATE = timedelta(minutes=1)
_MOST_LOOKED_BACK = timedelta(hours=1)
_KEPT = timedelta(days=1)
_WHOLE_KEPT = timedelta(days=30)


class Finding(NamedTuple):
    """A promise in words, and how many rows break it."""

    promise: str
    violations: int


def run(*, since: datetime | None = None) -> list[Finding]:
    """Judge the database as it is at this moment; return a finding for every promise. Needs no open transaction.

    With `since`, judge the calls that are live, or were settled since then, by the promises that can be asked of some
    calls without the others.
    """
    every_question = {**books.QUESTIONS, **_QUESTIONS}
    promises = every_question if since is None else _OF_TOUCHED
    within = "" if since is None else _touched(since)
    with books.snapshot() as cursor:
        return [Finding(promise, _count(cursor, every_question[promise], within)) for promise in promises]


def look(*, now: datetime) -> AuditRun:
    """Judge the calls that are live, or were settled since the last look, an hour at most; keep and return the result.

    Needs no open transaction. What was committed late is looked at twice. The whole is for the night: `look_at_all`.
    """
    last = AuditRun.objects.filter(is_whole=False).order_by("-id").first()
    since = max(last.ran_at - _COMMITTED_LATE, now - _MOST_LOOKED_BACK) if last else now - _MOST_LOOKED_BACK
    return _keep(run(since=since), is_whole=False, now=now)


def look_at_all(*, now: datetime) -> AuditRun:
    """Judge everything; keep and return the result. Needs no open transaction; takes minutes."""
    return _keep(run(), is_whole=True, now=now)


def _keep(findings: list[Finding], *, is_whole: bool, now: datetime) -> AuditRun:
    broken = {finding.promise: finding.violations for finding in findings if finding.violations}
    for promise, count in broken.items():
        logger.error("%d violations: %s; see manage.py audit", count, promise)
    AuditRun.objects.filter(is_whole=False, ran_at__lt=now - _KEPT).delete()
    AuditRun.objects.filter(is_whole=True, ran_at__lt=now - _WHOLE_KEPT).delete()
    return AuditRun.objects.create(
        ran_at=now, is_whole=is_whole, violations_found=sum(broken.values()), violations=broken
    )


def _count(cursor: CursorWrapper, question: str, within: str = "") -> int:
    cursor.execute(f"{within} SELECT count(*) FROM ({question}) AS violation")  # noqa: S608
    return int(cursor.fetchone()[0])


def _touched(since: datetime) -> str:
    """Return what has a question see, in place of the tables, only calls that are live or were settled since, and
    their entries and events; all by indexes, of which those of entries and events leave out rows without a call.
    """
    return f"""
        WITH calls_call AS (
            SELECT * FROM calls_call WHERE NOT (status IN ('canceled', 'completed', 'failed'))
            UNION ALL
            SELECT settled.* FROM applications_application AS application
            CROSS JOIN LATERAL (
                SELECT * FROM calls_call
                WHERE application_id = application.id AND settled_at >= '{since.isoformat()}'
            ) AS settled
        ), billing_entry AS (
            SELECT entry.* FROM billing_entry AS entry JOIN calls_call ON calls_call.public_id = entry.call_id
            WHERE entry.call_id <> ''
        ), webhooks_webhookevent AS (
            SELECT event.* FROM webhooks_webhookevent AS event JOIN calls_call ON calls_call.public_id = event.call_id
            WHERE event.call_id <> ''
        )
    """  # noqa: S608


# Those that can be asked of some calls without the others
_OF_TOUCHED = (
    "a call is charged what it says, once, and not at all for nothing",
    "a live call has one open hold, an ended one none",
    "charge and overrun are the rating of the call's own seconds",
    "an ended call has its one final event, a live one none",
    "an ended leg is told of on its call's timeline, once",
    "an ended call's final event tells of each of its legs what it cost",
    "a call's events are numbered 1, 2, 3 without a gap",
    "no call is older than its status may last",
    "live calls stay within the limit that admitted the newest",
    "an ended call leaves no attempt and no flow open",
)


# The calls of which all events are still kept (webhooks.pruning)
_UNPRUNED = f"call.accepted_at > now() - interval '{settings.WEBHOOK_EVENT_DAYS} days'"

_QUESTIONS = {
    "nothing is granted below zero": """
        SELECT customer_id FROM billing_balance WHERE posted + credit_limit - held + lowered < 0
    """,
    "an ended call has its one final event, a live one none": f"""
        SELECT call.id FROM calls_call AS call
        LEFT JOIN webhooks_webhookevent AS event ON event.call_id = call.public_id
            AND event.type IN ('call.completed', 'call.failed', 'call.canceled')
        WHERE {_UNPRUNED}
        GROUP BY call.id, call.ended_at, call.parent_id, call.status
        HAVING count(event.id) <> CASE WHEN call.ended_at IS NULL OR call.parent_id IS NOT NULL THEN 0 ELSE 1 END
            OR COALESCE(max(event.type), 'call.' || call.status) <> 'call.' || call.status
    """,  # noqa: S608  the setting is a number
    "an ended leg is told of on its call's timeline, once": """
        SELECT leg.id FROM calls_call AS leg
        LEFT JOIN calls_callevent AS line ON line.call_id = leg.parent_id AND line.kind = 'leg_ended'
            AND line.data ->> 'leg' = leg.public_id
        WHERE leg.parent_id IS NOT NULL AND (leg.settled_at IS NULL OR leg.settled_at >= COALESCE(
            (SELECT since FROM calls_keptsince WHERE kind = 'timeline'), '-infinity'))
        GROUP BY leg.id, leg.ended_at HAVING count(line.id) <> CASE WHEN leg.ended_at IS NULL THEN 0 ELSE 1 END
    """,
    "an ended call's final event tells of each of its legs what it cost": f"""
        SELECT leg.id FROM calls_call AS leg JOIN calls_call AS call ON call.id = leg.parent_id
        LEFT JOIN webhooks_webhookevent AS event ON event.call_id = call.public_id
            AND event.type IN ('call.completed', 'call.failed', 'call.canceled')
        LEFT JOIN LATERAL jsonb_array_elements(convert_from(event.body, 'UTF8')::jsonb -> 'data' -> 'legs') AS told
            ON told ->> 'id' = leg.public_id
        WHERE call.ended_at IS NOT NULL AND {_UNPRUNED}
          AND (told ->> 'cost_amount')::numeric IS DISTINCT FROM leg.cost_amount
    """,  # noqa: S608
    "a call's events are numbered 1, 2, 3 without a gap": f"""
        SELECT call.id FROM calls_call AS call
        LEFT JOIN webhooks_webhookevent AS event ON event.call_id = call.public_id
        WHERE {_UNPRUNED}
        GROUP BY call.id, call.events
        HAVING count(event.id) <> call.events OR COALESCE(max(event.sequence), 0) <> call.events
            OR COALESCE(min(event.sequence), 1) <> 1
    """,  # noqa: S608
    "no call is older than its status may last": """
        SELECT id FROM calls_call
        WHERE ended_at IS NULL AND now() > CASE
            WHEN answered_at IS NOT NULL THEN answered_at + (max_duration_seconds + 30) * interval '1 second'
            WHEN dialing_at IS NOT NULL THEN dialing_at + (25 + ring_seconds + 30) * interval '1 second'
            WHEN direction = 'inbound' THEN accepted_at + (ring_seconds + 30) * interval '1 second'
            ELSE accepted_at + interval '60 seconds' END
    """,
    "live calls stay within the limit that admitted the newest": """
        SELECT live.customer_id FROM (
            SELECT customer_id, count(*) AS calls, max(id) AS newest_id
            FROM calls_call WHERE ended_at IS NULL GROUP BY customer_id
        ) AS live
        JOIN calls_callevent AS line ON line.call_id = live.newest_id AND line.kind = 'accepted'
        WHERE live.calls > (line.data ->> 'max_concurrent_calls')::int
    """,
    "an ended call leaves no attempt and no flow open": """
        SELECT call.id FROM calls_call AS call
        WHERE ended_at IS NOT NULL AND (
            EXISTS (SELECT FROM calls_attempt AS attempt WHERE attempt.call_id = call.id AND state <> 'ended')
            OR EXISTS (SELECT FROM calls_flow AS flow WHERE flow.call_id = call.id))
    """,
    "no two calls share a provider call id": """
        SELECT provider_call_id FROM calls_call WHERE provider_call_id IS NOT NULL
        GROUP BY provider_call_id HAVING count(*) > 1
    """,
    "what is recorded of an ended call is kept or given up within 30 hours": """
        SELECT recording.id FROM calls_recording AS recording JOIN calls_call AS call ON call.id = recording.call_id
        WHERE recording.state = 'started' AND call.ended_at < now() - interval '30 hours'
    """,
    # What waits at an endpoint that is kept busy waits for its turn there
    "no delivery is lost or stuck past its lease": """
        SELECT event.id FROM webhooks_webhookevent AS event
        WHERE event.status = 'pending' AND event.next_attempt_at < now() - interval '60 seconds'
          AND NOT EXISTS (
            SELECT FROM webhooks_webhookevent AS leased
            WHERE leased.application_id = event.application_id AND leased.is_in_flight
              AND leased.next_attempt_at > now())
    """,
}
