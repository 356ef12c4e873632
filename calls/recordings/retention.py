"""Recordings kept no longer than said: their audio goes, their rows stay as `deleted`."""

import logging
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from calls.recordings.progress import COLLECT_TASK
from minivoice import nudge

logger = logging.getLogger(__name__)

_BATCH = 500


def expire(*, now: datetime) -> int:
    """Take a batch of recordings away that are older than they are kept; return how many, 0 when none is left.

    A customer may have days of its own, but none keeps them longer than their calls. Workers erase the audio.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_EXPIRE, _values(now))
        count: int = cursor.rowcount
        transaction.on_commit(partial(nudge.wake, COLLECT_TASK))
    if count:
        logger.info("%d recordings are older than they are kept", count)
    return count


def _values(now: datetime) -> dict[str, Any]:
    return {"now": now, "days": settings.RECORDING_DAYS, "call_days": settings.CALL_DAYS - 1, "batch": _BATCH}


_EXPIRE = """
    UPDATE calls_recording SET state = 'deleted', due_at = %(now)s, attempts = 0, updated_at = %(now)s
    WHERE id IN (
        SELECT recording.id FROM calls_recording AS recording
        JOIN calls_call AS call ON call.id = recording.call_id
        JOIN applications_customer AS customer ON customer.id = call.customer_id
        WHERE recording.state = 'completed'
          AND recording.ended_at < %(now)s - LEAST(
              COALESCE(customer.recording_days, %(days)s), %(call_days)s) * interval '1 day'
          AND recording.ended_at < %(now)s - LEAST(
              %(days)s, %(call_days)s, (SELECT min(recording_days) FROM applications_customer)) * interval '1 day'
        ORDER BY recording.ended_at LIMIT %(batch)s
        FOR UPDATE OF recording SKIP LOCKED
    )
"""
