"""Events of calls, numbered without a gap. A leg tells nobody: its facts are told with those of its call."""

from datetime import datetime
from typing import Any

from calls import rendering
from calls.models import Call
from webhooks import outbox
from webhooks.models import WebhookEvent


def created(call: Call, *, now: datetime) -> None:
    """Publish `call.created`, the first event of a call that is being accepted with `events` at 1."""
    _write(call, "call.created", {}, 1, now)


def publish(call: Call, event: str, data: dict[str, Any], *, now: datetime, occurrence: int = 1) -> None:
    """Publish an event of `call`, whose `events` the caller saves; `occurrence` counts those that can repeat."""
    if call.parent_id is None:
        call.events += 1
        _write(call, event, data, occurrence, now)


def occurrences(call: Call, event: str) -> int:
    """Return how often an event has been published of `call`."""
    return WebhookEvent.objects.filter(call_id=call.public_id, type=event).count()


def _write(call: Call, event: str, data: dict[str, Any], occurrence: int, now: datetime) -> None:
    outbox.publish(
        application=call.application,
        event=event,
        call=rendering.webhook(call),
        call_id=call.public_id,
        sequence=call.events,
        data=data,
        occurrence=occurrence,
        variables=call.variables,
        now=now,
    )
