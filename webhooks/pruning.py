"""Attempts and events that are older than they are kept, deleted batch by batch."""

import logging
from datetime import datetime, timedelta
from time import monotonic

from django.conf import settings

from minivoice import pruning

logger = logging.getLogger(__name__)

_BATCH = 2000


def prune(*, now: datetime, run_seconds: float = 40.0, batch: int = _BATCH) -> tuple[int, int]:
    """Delete old attempts and events; return how many of each. What `run_seconds` leave is the next run's.

    Deliveries that are still pending are kept, however old.
    """
    started = monotonic()
    ends_at = started + run_seconds
    kept_from = now - timedelta(days=settings.WEBHOOK_EVENT_DAYS)
    events = pruning.walk_table(_EVENTS, kept_from=kept_from, batch=batch, ends_at=ends_at)
    kept_from = now - timedelta(days=settings.WEBHOOK_ATTEMPT_DAYS)
    attempts = pruning.walk_table(_ATTEMPTS, kept_from=kept_from, batch=batch, ends_at=ends_at)
    logger.info("pruned %d attempts and %d events in %.1f s", attempts, events, monotonic() - started)
    return attempts, events


# An event's attempts may be younger than the event, and go with it. The status is asked of the row itself:
# one that is replayed at this moment stays.
_EVENTS = """
    WITH oldest AS MATERIALIZED (
        SELECT id, created_at FROM webhooks_webhookevent WHERE id > %(last_id)s ORDER BY id LIMIT %(batch)s
    ), gone AS (
        DELETE FROM webhooks_webhookevent e USING oldest
        WHERE e.id = oldest.id AND e.created_at < %(kept_from)s AND e.status <> 'pending' AND NOT e.is_in_flight
        RETURNING e.id
    ), theirs AS (
        DELETE FROM webhooks_deliveryattempt USING gone WHERE event_id = gone.id
    )
    SELECT (SELECT max(id) FROM oldest), (SELECT count(*) FROM oldest WHERE created_at < %(kept_from)s),
        (SELECT count(*) FROM gone)
"""

_ATTEMPTS = """
    WITH oldest AS MATERIALIZED (
        SELECT id, started_at FROM webhooks_deliveryattempt WHERE id > %(last_id)s ORDER BY id LIMIT %(batch)s
    ), gone AS (
        DELETE FROM webhooks_deliveryattempt a USING oldest
        WHERE a.id = oldest.id AND a.started_at < %(kept_from)s
        RETURNING a.id
    )
    SELECT (SELECT max(id) FROM oldest), (SELECT count(*) FROM oldest WHERE started_at < %(kept_from)s),
        (SELECT count(*) FROM gone)
"""
