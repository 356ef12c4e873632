"""POST and GET /v1/applications."""

from typing import Any

import pytest
from django.db import connection

from applications.models import ApiKey, Application
from tests import factories
from tests.conftest import Actor, refusal

pytestmark = pytest.mark.django_db

FIELDS = {
    "id",
    "customer_id",
    "name",
    "answer_url",
    "answer_method",
    "fallback_url",
    "webhook_url",
    "webhook_events",
    "webhook_failing_since",
    "webhook_disabled_at",
    "is_active",
    "created_at",
}


def create(actor: Actor, **body: Any) -> Any:
    return actor.client().post("/v1/applications", body, format="json")


def test_makes_one_with_a_key_that_works(acme: Actor) -> None:
    response = create(
        acme,
        name="Bäckerei ☎",
        answer_url="https://example.test/answer",
        webhook_url="https://example.test/hook",
        answer_method="GET",
        fallback_url="https://example.test/fallback",
        webhook_events=["call.settled", "call.ringing", "call.settled"],
    )

    made = response.json()
    assert response.status_code == 201
    assert set(made) == FIELDS | {"api_key"}
    assert made["customer_id"] == acme.customer.public_id
    assert (made["name"], made["answer_method"], made["is_active"]) == ("Bäckerei ☎", "GET", True)
    assert (made["answer_url"], made["webhook_url"]) == (
        "https://example.test/answer",
        "https://example.test/hook",
    )
    assert made["fallback_url"] == "https://example.test/fallback"
    assert made["webhook_events"] == ["call.settled", "call.ringing"]
    own = Actor(acme.customer, Application.objects.get(public_id=made["id"]), made["api_key"])
    assert own.client().get("/v1/balance").status_code == 200


def test_a_name_is_all_it_needs(acme: Actor) -> None:
    made = create(acme, name="Front desk").json()

    assert (made["answer_url"], made["webhook_url"], made["answer_method"]) == (None, None, "POST")
    assert (made["fallback_url"], made["webhook_events"]) == (None, [])


def test_the_new_key_may_what_the_key_that_asked_for_it_may(acme: Actor) -> None:
    create(Actor(acme.customer, acme.application, factories.issue_key(acme.application, "manage")), name="x")

    assert ApiKey.objects.latest("pk").scopes == ["manage"]


def test_shows_key_and_secret_to_nobody_again(acme: Actor) -> None:
    made = create(acme, name="x", webhook_secret="a secret of the customer").json()
    listed = acme.client().get("/v1/applications")

    assert "webhook_secret" not in made
    assert {frozenset(row) for row in listed.json()["data"]} == {frozenset(FIELDS)}
    assert made["api_key"] not in listed.content.decode()
    assert "a secret of the customer" not in listed.content.decode()


def test_keeps_the_secret_encrypted(acme: Actor) -> None:
    create(acme, name="x", webhook_secret="a secret of the customer")

    with connection.cursor() as cursor:
        cursor.execute("SELECT webhook_secret FROM applications_application ORDER BY id DESC LIMIT 1")
        (stored,) = cursor.fetchone()

    assert Application.objects.latest("pk").webhook_secret == "a secret of the customer"
    assert len(stored) > 50
    assert "secret" not in stored


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x", "answer_url": "example"}, "answer_url"),
        ({"name": "x", "answer_url": "http://169.254.169.254/"}, "answer_url"),
        ({"name": "x", "webhook_url": "ftp://example.test/"}, "webhook_url"),
        ({"name": "x", "webhook_secret": "short"}, "webhook_secret"),
        ({"name": "x", "webhook_secret": "s" * 257}, "webhook_secret"),
        ({"name": "x", "answer_method": "PUT"}, "answer_method"),
        ({"name": "x", "fallback_url": "http://[::1]/"}, "fallback_url"),
        ({"name": "x", "webhook_events": "call.ringing"}, "webhook_events"),
        ({"name": "x", "webhook_events": ["call.ringing", "call.rung"]}, "webhook_events"),
        ({"name": "x", "webhook_events": ["call.ringing", 5]}, "webhook_events"),
        ({"name": "x", "webhook_events": [["call.ringing"]]}, "webhook_events"),
    ],
)
def test_refuses_what_is_wrong_and_makes_nothing(acme: Actor, body: dict[str, Any], param: str) -> None:
    response = create(acme, **body)

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == param
    assert response.json()["error"]["message"].startswith(f"{param} ")
    assert Application.objects.count() == ApiKey.objects.count() == 1


def test_needs_the_scope_manage(acme: Actor) -> None:
    key = factories.issue_key(acme.application, "calls")

    assert refusal(create(Actor(acme.customer, acme.application, key), name="x")) == (403, "scope_required")


def test_lists_the_customers_applications_and_nobody_elses(acme: Actor, globex: Actor) -> None:
    second = factories.ApplicationFactory(customer=acme.customer)

    listed = acme.client().get("/v1/applications").json()

    assert [row["id"] for row in listed["data"]] == [second.public_id, acme.application.public_id]
    assert listed["next_cursor"] is None
