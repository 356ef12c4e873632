"""A call as JSON: what the API answers, and what webhooks and answer URLs are told."""

from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any, TypedDict

from billing import rating
from calls.models import Call, Party, Reason, Status
from minivoice import money, schema
from minivoice.clock import text

_Parties = TypedDict(
    "_Parties",
    {
        "from": Annotated[
            str,
            "E.164; of an inbound call as its network gave it, `anonymous` if none; `erased` at a person's wish",
        ],
        "to": Annotated[str, "E.164, or a SIP URI; `erased` at a person's wish"],
    },
)


class Outcome(TypedDict):
    """How a call ended and what it cost; all null while it is live."""

    duration_seconds: Annotated[int | None, "from answer to end"]
    billable_seconds: Annotated[int | None, "`duration_seconds` rounded up to the rate's increments"]
    cost_amount: schema.Amount | None
    cost_currency: str | None
    end_reason: Annotated[str | None, schema.Keywords({"enum": [*Reason.values, None]})]
    hangup_by: Annotated[str | None, schema.Keywords({"enum": [*Party.values, None]})]
    sip_code: Annotated[int | None, "the last answer of the far end's network"]


class CallObject(_Parties, Outcome):
    """A call as it is now."""

    id: schema.Id
    status: Annotated[str, schema.Keywords({"enum": Status.values})]
    direction: Annotated[str, schema.Keywords({"enum": Call.Direction.values})]
    application_id: schema.Id
    customer_id: schema.Id
    provider_call_id: Annotated[str | None, "the telephone engine's name of it; null while `queued`"]
    answer_url: str | None
    metadata: schema.Object
    created_at: schema.Time
    route_mode: Annotated[str, schema.Keywords({"enum": Call.RouteMode.values})]
    routing_target: Annotated[str, "the application's id with `webhook`, a number or SIP URI with `sip`"]
    dialing_at: schema.Time | None
    ringing_at: schema.Time | None
    answered_at: schema.Time | None
    ended_at: schema.Time | None
    trunk_id: schema.Id | None


def call(row: Call) -> CallObject:
    """Return the call object of the API."""
    return {
        "id": row.public_id,
        "status": row.status,
        "direction": row.direction,
        "from": row.from_number,
        "to": row.to_number,
        "application_id": row.application.public_id,
        "customer_id": row.customer.public_id,
        "provider_call_id": str(row.provider_call_id) if row.provider_call_id else None,
        "answer_url": row.answer_url or None,
        "metadata": row.metadata,
        "created_at": text(row.accepted_at),
        "route_mode": row.route_mode,
        "routing_target": row.routing_target or row.application.public_id,
        "dialing_at": text(row.dialing_at),
        "ringing_at": text(row.ringing_at),
        "answered_at": text(row.answered_at),
        "ended_at": text(row.ended_at),
        "trunk_id": row.trunk.public_id if row.trunk else None,
        **outcome(row),
    }


def webhook(row: Call) -> dict[str, Any]:
    """Return the call object of a webhook."""
    return {
        "id": row.public_id,
        "customer_id": row.customer.public_id,
        "application_id": row.application.public_id,
        "provider_call_id": str(row.provider_call_id) if row.provider_call_id else None,
        "status": row.status,
        "direction": row.direction,
        "from": row.from_number,
        "to": row.to_number,
        "route_mode": row.route_mode,
        "routing_target": row.routing_target or row.application.public_id,
        "metadata": row.metadata,
        "created_at": text(row.accepted_at),
        "dialing_at": text(row.dialing_at),
        "ringing_at": text(row.ringing_at),
        "answered_at": text(row.answered_at),
        "ended_at": text(row.ended_at),
        "end_reason": row.end_reason or None,
    }


def outcome(row: Call) -> Outcome:
    """Return how a call ended and what it cost; all null while it is live."""
    return {
        "duration_seconds": row.duration_seconds,
        "billable_seconds": row.billable_seconds,
        "cost_amount": None if row.cost_amount is None else money.text(row.cost_amount),
        "cost_currency": row.currency if row.is_final else None,
        "end_reason": row.end_reason or None,
        "hangup_by": row.hangup_by or None,
        "sip_code": row.sip_code,
    }


def legs(row: Call) -> dict[str, Any]:
    """Return how a call's legs ended and what they cost, for its final event."""
    return {
        "legs": [
            {"id": leg.public_id, "to": leg.to_number, "status": leg.status, **outcome(leg)}
            for leg in row.legs.order_by("id")
        ]
    }


def arithmetic(row: Call) -> dict[str, Any]:
    """Return how a call's charge came about, for its timeline."""
    return {
        "rate": {name: str(value) for name, value in asdict(row.price).items()},
        "prefix": row.rate_prefix,
    }


def settlement(row: Call) -> dict[str, Any]:
    """Return what an ended call was charged, with the lines that the charge is made of."""
    seconds, billed, cost = row.duration_seconds or 0, row.billable_seconds or 0, row.cost_amount or Decimal(0)
    overrun = row.overrun_amount or Decimal(0)
    lines = rating.lines(row.price, rating.Charge(seconds, billed, cost + overrun), overrun=overrun)
    return {
        "cost_amount": money.text(cost),
        "cost_currency": row.currency,
        "duration_seconds": seconds,
        "billable_seconds": billed,
        "price_per_minute": money.text(row.price.per_minute),
        "lines": [{"kind": kind, "amount": money.text(amount)} for kind, amount in lines.items()],
    }


def context(row: Call, *, reason: str) -> dict[str, Any]:
    """Return what an answer URL is told; `reason` says why it is asked."""
    return {
        "call_id": row.public_id,
        "customer_id": row.customer.public_id,
        "application_id": row.application.public_id,
        "direction": row.direction,
        "from": row.from_number,
        "to": row.to_number,
        "status": row.status,
        "reason": reason,
        "metadata": row.metadata,
        "variables": row.variables,
    }
