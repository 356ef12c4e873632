"""Deliveries and events as JSON: what the API answers."""

import json
from typing import Annotated, Any, Literal, NotRequired, TypedDict, cast

from minivoice import clock, schema
from webhooks.models import DeliveryAttempt, WebhookEvent

Status = Literal["pending", "delivered", "exhausted", "unaddressed"]


class AttemptObject(TypedDict):
    """One try: how long it took, and the receiver's status and the beginning of its answer, or an error word."""

    number: int
    started_at: schema.Time
    duration_ms: Annotated[int, "in milliseconds"]
    http_status: int | None
    error: str | None
    response: Annotated[str, "at most 4 KiB"]


class DeliveryObject(TypedDict):
    """An event on its way to `url`. `error` says why it has not arrived: the word of its last attempt.

    `next_attempt_at` is null while an attempt is under way.
    """

    id: schema.Id
    event_id: schema.Id
    event: str
    call_id: schema.Id | None
    sequence: int | None
    url: str | None
    status: Status
    attempts_made: int
    error: str | None
    created_at: schema.Time
    next_attempt_at: schema.Time | None
    delivered_at: schema.Time | None
    replayed_at: schema.Time | None


class OneDeliveryObject(DeliveryObject):
    """A delivery with its attempts, oldest first. Those older than the platform keeps them are gone."""

    attempts: list[AttemptObject]


class EventObject(TypedDict):
    """An event as webhooks carry it. `sequence` counts the events of a call, and is there when there is a call."""

    id: schema.Id
    event: str
    created_at: schema.Time
    sequence: NotRequired[int]
    call: schema.Object | None
    variables: schema.Object
    data: schema.Object


def delivery(row: WebhookEvent) -> DeliveryObject:
    """Return a delivery as lists show it."""
    return {
        "id": row.delivery_id,
        "event_id": row.public_id,
        "event": row.type,
        "call_id": row.call_id or None,
        "sequence": row.sequence,
        "url": row.url or None,
        "status": cast("Status", row.status),
        "attempts_made": row.attempts,
        "error": row.error or None,
        "created_at": clock.text(row.created_at),
        "next_attempt_at": None if row.is_in_flight else clock.text(row.next_attempt_at),
        "delivered_at": clock.text(row.delivered_at),
        "replayed_at": clock.text(row.replayed_at),
    }


def one_delivery(row: WebhookEvent) -> OneDeliveryObject:
    """Return a delivery with all its attempts."""
    return {**delivery(row), "attempts": [attempt(each) for each in row.attempt_rows.order_by("number")]}


def attempt(row: DeliveryAttempt) -> AttemptObject:
    """Return one attempt."""
    return {
        "number": row.number,
        "started_at": clock.text(row.started_at),
        "duration_ms": row.duration_ms,
        "http_status": row.http_status,
        "error": row.error or None,
        "response": row.response,
    }


def event(body: bytes) -> dict[str, Any]:
    """Return an event (an `EventObject`) as its stored bytes tell it."""
    told: dict[str, Any] = json.loads(body)
    return told
