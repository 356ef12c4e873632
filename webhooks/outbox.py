"""Publishing an event: its bytes are rendered once, and written in the transaction of the fact it tells."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection, transaction

from applications.events import CHOSEN, DOCUMENTED
from applications.models import Application
from minivoice import clock, errors, ids, nudge
from minivoice.prepared import Statement
from webhooks import health
from webhooks.models import WebhookEvent

TEST = "webhook.test"


def wants(application: Application, event: str) -> bool:
    """Tell whether `event` is made for this application: documented ones always, others if it lists them."""
    return event in DOCUMENTED or (event in CHOSEN and event in application.webhook_events)


def publish(
    *,
    application: Application,
    event: str,
    call: dict[str, Any] | None,
    call_id: str,
    sequence: int | None,
    data: dict[str, Any],
    now: datetime,
    occurrence: int = 1,
    variables: Mapping[str, Any] | None = None,
) -> str:
    """Write an event into the caller's transaction and return its id; the delivery is nudged on commit.

    Ask `wants` first: a `sequence` has no gaps. `call` is how the API shows the call at this moment.
    `occurrence` counts events that can repeat on one call, `variables` are the call's own. Events without a call have
    no `sequence` and an empty `call_id`.
    """
    created_at = clock.text(now)
    key = f"{call_id}:{event}" if call_id else f"{application.customer.public_id}:{event}:{created_at}"
    envelope = {
        "event": event,
        "created_at": created_at,
        **({} if sequence is None else {"sequence": sequence}),
        "call": call,
        "variables": variables or {},
        "data": {**data, "event_key": f"{key}:{occurrence}" if occurrence > 1 else key},
    }
    candidates = ids.candidates("evt", now)
    event_id = next(each for each in candidates if _insert(application, each, envelope, call_id=call_id, now=now))
    if _status(application) == WebhookEvent.Status.PENDING:
        transaction.on_commit(partial(nudge.wake, "webhooks.deliver"))
    return event_id


def publish_test(application: Application, *, now: datetime) -> WebhookEvent:
    """Publish an event that tells of nothing, to try out the way to the application; return its row.

    Raises InvalidRequest when there is nowhere to send it.
    """
    if not application.webhook_url:
        raise errors.InvalidRequest("the application has no webhook_url", param="webhook_url")
    if application.webhook_disabled_at:
        raise errors.InvalidRequest("the webhook_url is disabled: saving it enables it", param="webhook_url")
    data = {"message": "This event was asked for as a test. It tells of no call."}
    event_id = publish(application=application, event=TEST, call=None, call_id="", sequence=None, data=data, now=now)
    return WebhookEvent.objects.get(public_id=event_id)


def _insert(application: Application, event_id: str, envelope: dict[str, Any], *, call_id: str, now: datetime) -> bool:
    """Insert the row; False when the id is taken."""
    status = _status(application)
    with connection.cursor() as cursor:
        _INSERT.run(
            cursor,
            [
                event_id,
                event_id.replace("evt_", "whd_", 1),
                application.pk,
                envelope["event"],
                call_id,
                envelope.get("sequence"),
                json.dumps({"id": event_id, **envelope}, ensure_ascii=False, separators=(",", ":")).encode(),
                now,
                application.webhook_url,
                status,
                now if status == WebhookEvent.Status.PENDING else None,
                health.ENDPOINT_DISABLED if status == WebhookEvent.Status.EXHAUSTED else "",
            ],
        )
        return bool(cursor.rowcount)


def _status(application: Application) -> WebhookEvent.Status:
    """Return how a delivery begins. One that learns too late that the endpoint is disabled is ended by `health`."""
    if not application.webhook_url:
        return WebhookEvent.Status.UNADDRESSED
    return WebhookEvent.Status.EXHAUSTED if application.webhook_disabled_at else WebhookEvent.Status.PENDING


# One statement: this is part of every create. Both ids have the same digits: one conflict clause is enough.
_INSERT = Statement("""
    INSERT INTO webhooks_webhookevent (public_id, delivery_id, application_id, type, call_id, sequence, body,
        created_at, url, status, next_attempt_at, error, attempts, is_in_flight)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, false)
    ON CONFLICT (public_id) DO NOTHING
""")
