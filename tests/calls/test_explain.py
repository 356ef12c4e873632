"""`POST /v1/calls/explain`: what it says is what a create then answers, and nothing comes of asking.

A create is asked in a hundred and fifty configurations, a thousand with FAULTS=full.
"""

import os
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from applications import keys
from applications.models import Customer
from billing import rating
from billing.models import Balance, DeckVersion, Rate
from billing.rating import Price
from calls import commands, explanation
from calls.models import Call, Refusal
from minivoice import clock, errors
from telephony.models import Engine, Number, Trunk
from tests import factories
from tests.calls.steps import order
from tests.calls.test_admission import everything
from tests.conftest import Actor, refusal

pytestmark = pytest.mark.django_db

IS_FULL = os.environ.get("FAULTS") == "full"
CALL = {"from": "+15551230001", "to": "+15551230002"}
CHECKS = [
    "engine",
    "account",
    "caller_id",
    "country",
    "blocked_prefix",
    "premium_rate",
    "blocked_rate",
    "rate",
    "trunk",
    "highest_price",
    "day_cap",
    "balance",
    "concurrency",
    "calls_per_second",
]


def explain(actor: Actor, **changes: Any) -> dict[str, Any]:
    response = actor.client().post("/v1/calls/explain", {**CALL, **changes}, format="json")
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


def test_says_each_check_the_rate_the_money_and_the_way(acme: Actor) -> None:
    trunk = Trunk.objects.get()

    assert explain(acme) == {
        "accepted": True,
        "code": None,
        "checks": [{"check": name, "passed": True, "code": None, "message": None} for name in CHECKS],
        "rate": {
            "prefix": "1",
            "description": Rate.objects.get().description,
            "price_per_minute": "0.60",
            "connection_fee": "0.00",
            "minimum_charge": "0.00",
            "initial_increment": 60,
            "subsequent_increment": 60,
            "blocked": False,
        },
        "currency": "USD",
        "available": "100.00",
        "hold": "0.60",
        "funded_seconds": 60,
        "affordable_seconds": 9960,
        "trunks": [{"trunk_id": trunk.public_id, "name": None}],
    }


def test_nothing_comes_of_asking(acme: Actor) -> None:
    Trunk.objects.update(is_active=False)
    before = everything()

    body = explain(acme)

    assert (body["accepted"], body["code"]) == (False, "no_active_trunk")
    assert everything() == before
    assert not Refusal.objects.exists()


def test_every_check_is_told_though_the_first_refuses(acme: Actor) -> None:
    Number.objects.all().delete()
    Customer.objects.update(max_concurrent_calls=0)

    body = explain(acme)

    assert body["code"] == "caller_id_not_allowed"
    assert [line["check"] for line in body["checks"] if not line["passed"]] == ["caller_id", "concurrency"]
    assert "limit of 0 concurrent calls" in body["checks"][CHECKS.index("concurrency")]["message"]


def test_a_destination_without_a_rate_has_no_price(acme: Actor) -> None:
    body = explain(acme, to="+442071838750")

    assert body["code"] == "rate_not_found"
    assert {body[name] for name in ("rate", "hold", "funded_seconds", "affordable_seconds")} == {None}


def test_names_a_customers_own_trunks(acme: Actor) -> None:
    factories.TrunkFactory(customer=acme.customer, name="our carrier")

    assert [route["name"] for route in explain(acme)["trunks"]] == ["our carrier"]


def test_a_body_that_a_create_refuses_is_refused_alike(acme: Actor) -> None:
    response = acme.client().post("/v1/calls/explain", {**CALL, "to": "5"}, format="json")

    assert refusal(response) == (400, "invalid_request")


CONFIGURATIONS = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(["own", "any"]),
        "owns_number": st.booleans(),
        "own_trunk": st.booleans(),
        "platform_trunk": st.sampled_from([True, True, True, False]),
        "prefixes": st.sampled_from([[], ["1"], ["44"]]),
        "rate": st.sampled_from(["live", "live", "live", "draft"]),
        "blocked": st.sampled_from([False, False, False, True]),
        "price": st.decimals(min_value=0, max_value=5, places=4),
        "minimum": st.decimals(min_value=0, max_value=2, places=2),
        "increments": st.sampled_from([(60, 60), (1, 1), (30, 6), (90, 60)]),
        "funds": st.decimals(min_value=0, max_value=10, places=2),
        "credit": st.sampled_from([Decimal(0), Decimal("0.5")]),
        "cap": st.sampled_from([None, None, Decimal("0.1"), Decimal(1)]),
        "concurrent": st.sampled_from([0, 5, 5, 5]),
        "cps": st.sampled_from([0, 5, 5, 5]),
        "engine": st.sampled_from([True, True, True, True, False]),
        "longest": st.sampled_from([10, 60, 14_400]),
    }
)


def configure(acme: Actor, chosen: dict[str, Any]) -> None:
    Customer.objects.filter(pk=acme.customer.pk).update(
        caller_id_policy=chosen["policy"], max_concurrent_calls=chosen["concurrent"], max_cps=chosen["cps"]
    )
    if not chosen["owns_number"]:
        Number.objects.all().delete()
    Trunk.objects.update(is_active=chosen["platform_trunk"], allowed_prefixes=chosen["prefixes"])
    if chosen["own_trunk"]:
        factories.TrunkFactory(customer=acme.customer)
    DeckVersion.objects.update(state=chosen["rate"])
    initial, subsequent = chosen["increments"]
    Rate.objects.update(
        blocked=chosen["blocked"],
        price_per_minute=chosen["price"],
        minimum_charge=chosen["minimum"],
        initial_increment=initial,
        subsequent_increment=subsequent,
    )
    factories.top_up(acme.customer, chosen["funds"] - 100)
    Balance.objects.update(credit_limit=chosen["credit"], day_cap=chosen["cap"])
    if not chosen["engine"]:
        Engine.objects.update(seen_at=None)


@given(chosen=CONFIGURATIONS)
@settings(
    max_examples=1_000 if IS_FULL else 150,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_agrees_with_create_whatever_the_configuration(acme: Actor, chosen: dict[str, Any]) -> None:
    save = transaction.savepoint()
    try:
        configure(acme, chosen)
        caller = keys.recognise(acme.key)
        assert caller is not None
        asked = order(max_duration_seconds=chosen["longest"])
        facts = commands.explain(caller=caller, order=asked, now=clock.now())
        told = explanation.describe(facts, max_duration_seconds=chosen["longest"])

        made = attempt(caller, asked)

        assert told["accepted"] is isinstance(made, Call)
        if isinstance(made, Call):
            assert (told["code"], told["funded_seconds"]) == (None, made.funded_seconds)
            assert Decimal(told["hold"] or 0) == Balance.objects.get(customer=acme.customer).held
        else:
            first = next(line for line in told["checks"] if not line["passed"])
            assert (told["code"], first["code"], first["message"]) == (made.code, made.code, made.message)
    finally:
        transaction.savepoint_rollback(save)


def attempt(caller: keys.Caller, asked: commands.Order) -> Call | errors.ApiError:
    """Create the call; return it, or its refusal."""
    try:
        return commands.place(caller=caller, order=asked, request_id="test-request", now=clock.now()).call
    except errors.ApiError as refused:
        return refused


PRICES = st.builds(
    Price,
    per_minute=st.decimals(min_value=0, max_value=3, places=4),
    connection_fee=st.decimals(min_value=0, max_value=1, places=2),
    initial_increment=st.integers(1, 90),
    subsequent_increment=st.integers(1, 90),
    minimum_charge=st.decimals(min_value=0, max_value=1, places=2),
)


@given(price=PRICES, amount=st.decimals(min_value=0, max_value=10, places=3), most=st.integers(1, 4_000))
@settings(max_examples=300, deadline=None, phases=[Phase.generate])
def test_the_affordable_seconds_are_the_most_that_the_money_covers(price: Price, amount: Decimal, most: int) -> None:
    seconds = rating.affordable_seconds(price, amount=amount, most_seconds=most)

    assert 0 <= seconds <= most
    assert rating.charge(price, seconds).amount <= amount
    if seconds < most:
        assert rating.charge(price, seconds + 1).amount > amount
