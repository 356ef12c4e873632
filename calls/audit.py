"""The auditor: does everything that must always hold, hold? Read-only SQL in one snapshot, owing nothing to the code
it judges.

Each check counts violations of a promise (docs/architecture.md tells where a promise is kept); those about
money are the questions of `calls.books`. It is the judge of every journey and fault test, and runs in production.
"""

from collections.abc import Iterator
from typing import NamedTuple

from django.conf import settings
from django.db.backends.utils import CursorWrapper

from calls import books


class Finding(NamedTuple):
    """A promise in words, and how many rows break it."""

    promise: str
    violations: int


def run() -> list[Finding]:
    """Judge the database as it is at this moment; return a finding for every promise. Needs no open transaction."""
    with books.snapshot() as cursor:
        return list(_findings(cursor))


def _findings(cursor: CursorWrapper) -> Iterator[Finding]:
    for promise, question in {**books.QUESTIONS, **_QUESTIONS}.items():
        cursor.execute(f"SELECT count(*) FROM ({question}) AS violation")  # noqa: S608
        yield Finding(promise, cursor.fetchone()[0])


# The calls of which all events are still kept (webhooks.pruning)
_UNPRUNED = f"call.accepted_at > now() - interval '{settings.WEBHOOK_EVENT_DAYS} days'"

_QUESTIONS = {
    "nothing is granted below zero": """
        SELECT customer_id FROM billing_balance AS balance
        WHERE posted + credit_limit - held < 0
          AND NOT EXISTS (SELECT FROM billing_entry AS entry WHERE entry.customer_id = balance.customer_id
                          AND kind IN ('adjustment', 'refund') AND amount < 0)
    """,
    "an ended call has its one final event, a live one none": f"""
        SELECT call.id FROM calls_call AS call
        LEFT JOIN webhooks_webhookevent AS event ON event.call_id = call.public_id
            AND event.type IN ('call.completed', 'call.failed', 'call.canceled')
        WHERE {_UNPRUNED}
        GROUP BY call.id
        HAVING count(event.id) <> CASE WHEN call.ended_at IS NULL OR call.parent_id IS NOT NULL THEN 0 ELSE 1 END
            OR COALESCE(max(event.type), 'call.' || call.status) <> 'call.' || call.status
    """,  # noqa: S608  the setting is a number
    "an ended leg is told of on its call's timeline, once": """
        SELECT leg.id FROM calls_call AS leg
        LEFT JOIN calls_callevent AS line ON line.call_id = leg.parent_id AND line.kind = 'leg_ended'
            AND line.data ->> 'leg' = leg.public_id
        WHERE leg.parent_id IS NOT NULL
        GROUP BY leg.id HAVING count(line.id) <> CASE WHEN leg.ended_at IS NULL THEN 0 ELSE 1 END
    """,
    "a call's events are numbered 1, 2, 3 without a gap": f"""
        SELECT call.id FROM calls_call AS call
        LEFT JOIN webhooks_webhookevent AS event ON event.call_id = call.public_id
        WHERE {_UNPRUNED}
        GROUP BY call.id
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
    "no delivery is lost or stuck past its lease": """
        SELECT id FROM webhooks_webhookevent
        WHERE status = 'pending' AND next_attempt_at < now() - interval '60 seconds'
    """,
}
