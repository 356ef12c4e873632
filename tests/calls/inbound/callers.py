"""Somebody calls in."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from billing.models import Balance, Hold
from calls import inbound, lifecycle
from calls.models import Attempt, Call, Flow
from minivoice import clock
from telephony.engines.facts import Arrival, Fact, Kind
from webhooks.models import WebhookEvent

PLATFORMS = "wholesale"
CALLER = "+15557654321"
# Q.850; the engine makes 404, 603, 486, 480, 503 of them
NOT_FOUND, DECLINED, BUSY, UNAVAILABLE, CONGESTED = 1, 16, 17, 19, 34


def ring(dialled: str = "+15551230001", *, trunk: str = PLATFORMS, caller: str = CALLER, channel: str = "") -> Call:
    """Somebody calls; return the call that it made."""
    arrival = Arrival(endpoint=trunk, caller=caller, dialled=dialled)
    return inbound.take(arrival, channel=channel or f"1795337107.{uuid4().int}", now=clock.now())


def refused(dialled: str = "+15551230001", **more: str) -> int:
    """Somebody calls and is turned away, leaving nothing; return the cause that he is told."""
    before = everything()
    with pytest.raises(inbound.Refused) as refusal:
        ring(dialled, **more)
    assert everything() == before
    return refusal.value.cause


def everything() -> list[Any]:
    """All that a call could leave behind, refusals aside."""
    counts = [model.objects.count() for model in (Call, Attempt, Hold, Flow, WebhookEvent)]
    return [*counts, *Balance.objects.order_by("pk").values_list("held", flat=True)]


def hear(call: Call, kind: Kind, *, at: datetime, **more: Any) -> None:
    """The engine tells of the call's channel."""
    [attempt] = call.attempts.all()
    lifecycle.record(Fact(kind=kind, channel_id=attempt.channel, at=at, **more), now=at)
    call.refresh_from_db()
