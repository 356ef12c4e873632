"""POST /v1/calls, up to the committed row."""

from decimal import Decimal
from typing import Any

import pytest

from billing.models import Balance, Hold
from calls.models import Attempt, Call
from tests import factories
from tests.conftest import Actor
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.django_db


def test_accepts_a_call_with_its_hold_attempt_and_event(acme: Actor, call_body: dict[str, Any]) -> None:
    response = acme.client().post("/v1/calls", call_body, format="json")

    assert response.status_code == 201, response.json()
    call = Call.objects.get(public_id=response.json()["id"])
    assert call.status == "queued"
    assert Hold.objects.get(key=call.public_id).amount == Decimal("0.60")
    assert Balance.objects.get(customer=acme.customer).held == Decimal("0.60")
    assert Attempt.objects.get(call=call).state == "due"
    assert WebhookEvent.objects.get(call_id=call.public_id).type == "call.created"


def test_refuses_a_call_the_balance_cannot_cover(world: None, call_body: dict[str, Any]) -> None:
    poor = factories.CustomerFactory(name="poor", caller_id_policy="any")
    factories.open_account(poor, funds="0.59")
    key = factories.issue_key(factories.ApplicationFactory(customer=poor))

    response = Actor(poor, poor.applications.get(), key).client().post("/v1/calls", call_body, format="json")

    assert response.status_code == 402
    assert response.json()["error"]["code"] == "insufficient_balance"
    assert not Call.objects.exists()
    assert Balance.objects.get(customer=poor).held == 0
