"""The log of refused calls: a line per customer, code and minute, so that a flood writes one row."""

from datetime import datetime

from django.db import connection

from minivoice import errors


def note(*, customer_id: int, number: str, refusal: errors.ApiError, now: datetime) -> None:
    """Count a call to `number` that was refused, outside of the transaction that refused it.

    Of a SIP URI the beginning is kept.
    """
    minute = now.replace(second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, [customer_id, refusal.code, minute, number[:16], refusal.message[:200]])


_NOTE = """
INSERT INTO calls_refusal AS line (customer_id, code, minute, count, last_number, last_message)
VALUES (%s, %s, %s, 1, %s, %s)
ON CONFLICT (customer_id, code, minute) DO UPDATE
SET count = line.count + 1, last_number = EXCLUDED.last_number, last_message = EXCLUDED.last_message
"""
