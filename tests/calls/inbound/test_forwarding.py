"""Calls that are forwarded: two calls, each with its own money, or neither."""

from decimal import Decimal
from typing import Any

import pytest

from applications.models import Customer
from billing.models import Hold, Rate
from calls import dialing, legs
from calls.models import Flow
from minivoice import clock
from telephony.engines.facts import Kind
from telephony.models import Number
from tests import factories
from tests.calls.inbound.callers import BUSY, UNAVAILABLE, hear, refused, ring
from tests.calls.steps import FakeEngine
from tests.conftest import Actor, refusal


def forward(to: str) -> None:
    """Have acme's number forwarded."""
    Number.objects.update(route_mode="sip", routing_target=to)


def test_a_forwarded_call_holds_money_for_both_ends(acme: Actor, number: Number) -> None:
    forward("+15551230002")

    call = ring()

    [leg] = call.legs.all()
    assert (leg.from_number, leg.to_number, leg.status, leg.events) == ("+15551230001", "+15551230002", "queued", 0)
    assert sorted(Hold.objects.values_list("amount", flat=True)) == [Decimal("0.12"), Decimal("0.60")]
    [flow] = Flow.objects.all()
    assert (flow.leg, [name for name, _ in flow.actions]) == (leg, ["transfer"])
    assert (call.route_mode, call.routing_target) == ("sip", "+15551230002")


@pytest.mark.parametrize(
    ("to", "changes", "cause"),
    [
        ("+15551230002", {"max_concurrent_calls": 1}, BUSY),
        ("+15551230002", {"blocked_prefixes": ["1555"]}, UNAVAILABLE),
        ("+4930123456", {}, UNAVAILABLE),  # no rate
        ("sip:desk@elsewhere.example", {}, UNAVAILABLE),
        ("sip:+15551230002@pbx.example", {"blocked_prefixes": ["1555"]}, UNAVAILABLE),
    ],
)
def test_a_call_that_cannot_be_forwarded_leaves_nothing(
    acme: Actor, number: Number, to: str, changes: dict[str, Any], cause: int
) -> None:
    factories.RateFactory(version=Rate.objects.get().version, prefix="sip")
    if to.startswith("sip:+"):
        factories.TrunkFactory(customer=acme.customer, proxy="pbx.example")
    forward(to)
    Customer.objects.update(**changes)

    assert refused() == cause


def test_a_sip_target_is_dialled_over_the_trunk_that_leads_there_alone(
    acme: Actor, globex: Actor, number: Number, engine: FakeEngine
) -> None:
    factories.RateFactory(version=Rate.objects.get().version, prefix="sip", price_per_minute=Decimal("0.06"))
    factories.TrunkFactory(customer=globex.customer, proxy="pbx.example", priority=1)
    own = factories.TrunkFactory(customer=acme.customer, proxy="pbx.example:5070", allowed_prefixes=["49"])
    factories.TrunkFactory(customer=acme.customer, proxy="other.example", priority=1)
    forward("sip:desk@pbx.example")

    call = ring()
    assert dialing.drain() == 1

    assert [row["endpoint"] for row in engine.originated] == [f"PJSIP/{own.endpoint}/sip:desk@pbx.example"]
    assert [leg.rate_prefix for leg in call.legs.all()] == ["sip"]


def test_a_leg_whose_call_has_ended_unheard_is_parted_by_the_sweep(number: Number, engine: FakeEngine) -> None:
    forward("+15551230002")
    call = ring()
    hear(call, Kind.ENDED, at=clock.now(), cause=127, sip_code=487)

    legs.sweep(now=clock.now())

    [leg] = call.legs.all()
    assert (leg.status, leg.end_reason, leg.hangup_by) == ("canceled", "canceled", "caller")


def test_the_leg_of_a_forwarded_call_counts_for_no_calls_per_second(acme: Actor, number: Number) -> None:
    acme.customer.max_cps = 1
    acme.customer.save(update_fields=["max_cps"])
    forward("+15551230002")

    call = ring()

    assert call.legs.count() == 1


def test_the_leg_of_a_call_follows_no_instructions(acme: Actor, number: Number) -> None:
    forward("+15551230002")
    leg = ring().legs.get()

    answer = acme.client().post(f"/v1/calls/{leg.public_id}/actions", {"actions": []}, format="json")

    assert refusal(answer) == (400, "invalid_request")
    assert not Flow.objects.filter(call=leg).exists()
