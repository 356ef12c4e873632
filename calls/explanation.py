"""What `POST /v1/calls/explain` answers: each check's verdict on a call that is not made."""

from typing import TypedDict

from billing import rating, rendering
from calls import admission
from minivoice import money, schema
from telephony.models import Trunk


class CheckObject(TypedDict):
    """One check; a refusal's code and message are what a create would answer if it came this far."""

    check: str
    passed: bool
    code: str | None
    message: str | None


class RouteObject(TypedDict):
    """A trunk the call would be tried over."""

    trunk_id: schema.Id
    name: str | None


class ExplanationObject(TypedDict):
    """The verdict, each check, and the money of it. `code` is the first refusal's."""

    accepted: bool
    code: str | None
    checks: list[CheckObject]
    rate: rendering.RateObject | None
    currency: str
    available: schema.Amount
    hold: schema.Amount | None
    funded_seconds: int | None
    affordable_seconds: int | None
    trunks: list[RouteObject]


def describe(facts: admission.Facts, *, max_duration_seconds: int) -> ExplanationObject:
    """Return how `facts` would be judged; `max_duration_seconds` bounds what the balance could pay for."""
    verdicts = admission.verdicts(facts)
    refusal = admission.refusal(facts)
    quote = facts.quote
    return {
        "accepted": refusal is None,
        "code": refusal.code if refusal else None,
        "checks": [
            {
                "check": name,
                "passed": verdict is None,
                "code": verdict.code if verdict else None,
                "message": verdict.message if verdict else None,
            }
            for name, verdict in verdicts
        ],
        "rate": rendering.rate(quote) if quote else None,
        "currency": facts.account.currency,
        "available": money.text(facts.account.available),
        "hold": money.text(facts.hold) if quote else None,
        "funded_seconds": facts.funded_seconds if quote else None,
        "affordable_seconds": rating.affordable_seconds(
            quote.price, amount=facts.account.available, most_seconds=max_duration_seconds
        )
        if quote
        else None,
        "trunks": _routes(facts),
    }


def _routes(facts: admission.Facts) -> list[RouteObject]:
    """Platform trunks are the platform's business: their names stay inside."""
    trunks = Trunk.objects.in_bulk([route.trunk_id for route in facts.routes])
    return [
        {
            "trunk_id": trunks[route.trunk_id].public_id,
            "name": trunks[route.trunk_id].name if route.is_own else None,
        }
        for route in facts.routes
    ]
