"""GET /v1/balance."""

from decimal import Decimal

import pytest

from billing.models import Balance
from tests import factories
from tests.conftest import Actor, refusal

pytestmark = pytest.mark.django_db


def test_shows_what_the_customer_has(acme: Actor) -> None:
    Balance.objects.filter(customer=acme.customer).update(held=Decimal("0.125"), credit_limit=5)

    assert acme.client().get("/v1/balance").json() == {
        "posted": "100.00",
        "held": "0.125",
        "available": "104.875",
        "credit_limit": "5.00",
        "currency": "USD",
    }


def test_shows_nobody_elses(acme: Actor, globex: Actor) -> None:
    factories.top_up(globex.customer, "7")

    assert acme.client().get("/v1/balance").json()["posted"] == "100.00"
    assert globex.client().get("/v1/balance").json()["posted"] == "107.00"


def test_a_customer_without_an_account_is_told_that_there_is_none(world: None) -> None:
    application = factories.ApplicationFactory()
    stranger = Actor(application.customer, application, factories.issue_key(application))

    assert refusal(stranger.client().get("/v1/balance")) == (404, "not_found")
