"""The timeline of a call: what was checked, dialled, answered, run and charged, for people to read."""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Any, TypedDict

from django.db import connection

from calls.models import Call
from minivoice import clock, schema
from minivoice.prepared import Statement
from webhooks.models import DeliveryAttempt


class TimelineEventObject(TypedDict):
    """One thing that happened: `event` says what, `data` what a person would ask next."""

    at: schema.Time
    event: str
    data: schema.Object


def add(call: Call, kind: str, *, at: datetime, **data: Any) -> None:
    """Write one line. `kind` is a word or two in the past tense, `data` what a person would ask next."""
    with connection.cursor() as cursor:
        _ADD.run(cursor, [call.pk, at, kind, json.dumps(data)])


def read(call: Call) -> list[TimelineEventObject]:
    """Return the whole timeline, webhook attempts included, oldest first."""
    lines = sorted(chain(_facts(call), _deliveries(call)), key=lambda line: line[0])
    return [{"at": clock.text(at), "event": kind, "data": data} for at, kind, data in lines]


def _facts(call: Call) -> Iterator[tuple[datetime, str, dict[str, Any]]]:
    for line in call.timeline.order_by("id"):
        yield line.at, line.kind, line.data


def _deliveries(call: Call) -> Iterator[tuple[datetime, str, dict[str, Any]]]:
    attempts = DeliveryAttempt.objects.filter(event__call_id=call.public_id).select_related("event")
    for attempt in attempts.order_by("id"):
        outcome = {"http_status": attempt.http_status} if attempt.http_status else {"error": attempt.error}
        yield (
            attempt.started_at,
            "webhook_attempted",
            {
                "event": attempt.event.type,
                "delivery_id": attempt.event.delivery_id,
                "attempt": attempt.number,
                "duration_ms": attempt.duration_ms,
                **outcome,
            },
        )


# The hottest line of SQL after those of a create: a call has a dozen.
_ADD = Statement("INSERT INTO calls_callevent (call_id, at, kind, data) VALUES (%s, %s, %s, %s)")
