"""The delivery log: what became of each event, narrowed down, with every attempt."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from applications.models import Application, Customer
from minivoice import clock
from tests import factories
from tests.conftest import refusal
from tests.webhooks.conftest import Publish
from tests.webhooks.receiver import Receiver, respond
from webhooks import deliveries, pump
from webhooks.models import WebhookEvent

NOW = datetime(2026, 5, 29, 12, 0, tzinfo=UTC)

Get = Callable[..., Any]


@pytest.fixture
def get(application: Application) -> Get:
    """Read the log with a key that may only read."""
    client = APIClient(headers={"Authorization": f"Bearer {factories.issue_key(application)}"})

    def get(delivery_id: str = "", **query: Any) -> Any:
        response = client.get("/v1/webhooks/deliveries" + (f"/{delivery_id}" if delivery_id else ""), query)
        assert response.status_code == 200, response.json()
        return response.json()

    return get


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["data"]]


def test_tells_where_an_event_goes_and_that_it_waits(publish: Publish, application: Application, get: Get) -> None:
    event = publish(now=NOW)

    assert get()["data"] == [
        {
            "id": event.delivery_id,
            "event_id": event.public_id,
            "event": "call.created",
            "call_id": event.call_id,
            "sequence": 1,
            "url": application.webhook_url,
            "status": "pending",
            "attempts_made": 0,
            "error": None,
            "created_at": "2026-05-29T12:00:00.000Z",
            "next_attempt_at": "2026-05-29T12:00:00.000Z",
            "delivered_at": None,
            "replayed_at": None,
        }
    ]


def test_shows_every_attempt_with_what_the_receiver_said(publish: Publish, receiver: Receiver, get: Get) -> None:
    event = publish(now=NOW)
    receiver.reply = respond(503, b"come back\0later")
    pump.deliver()
    failed = get(event.delivery_id)
    receiver.reply = respond(200, b"thanks")
    pump.deliver(now=lambda: clock.now() + timedelta(minutes=1))

    shown = get(event.delivery_id)

    assert (failed["status"], failed["error"], failed["delivered_at"]) == ("pending", "http_503", None)
    assert failed["next_attempt_at"] > failed["attempts"][0]["started_at"]
    assert [(each["number"], each["http_status"], each["error"]) for each in shown["attempts"]] == [
        (1, 503, "http_503"),
        (2, 200, None),
    ]
    assert [each["response"] for each in shown["attempts"]] == ["come back\N{REPLACEMENT CHARACTER}later", "thanks"]
    assert all(0 <= each["duration_ms"] < 10_000 for each in shown["attempts"])
    assert (shown["status"], shown["error"], shown["attempts_made"]) == ("delivered", None, 2)
    assert shown["next_attempt_at"] is None
    assert shown["delivered_at"] > shown["attempts"][1]["started_at"]
    assert {name: value for name, value in shown.items() if name != "attempts"} in get()["data"]


def test_names_the_error_of_a_receiver_that_is_not_there(publish: Publish, receiver: Receiver, get: Get) -> None:
    event = publish()
    receiver.__exit__()
    pump.deliver()

    [attempt] = get(event.delivery_id)["attempts"]

    assert (attempt["http_status"], attempt["error"], attempt["response"]) == (None, "connect_failed", "")


def test_a_lease_is_no_next_attempt(publish: Publish, get: Get) -> None:
    event = publish(now=NOW)
    deliveries.claim(places=1, now=NOW)

    shown = get(event.delivery_id)

    assert (shown["status"], shown["attempts_made"], shown["next_attempt_at"]) == ("pending", 1, None)


def test_is_narrowed_down_by_event_call_and_status(publish: Publish, application: Application, get: Get) -> None:
    created = publish(now=NOW)
    failed = publish(event="call.failed", now=NOW)
    WebhookEvent.objects.filter(pk=failed.pk).update(status="exhausted", next_attempt_at=None)
    application.webhook_url = ""
    application.save()
    unaddressed = publish(now=NOW)

    assert ids(get()) == [unaddressed.delivery_id, failed.delivery_id, created.delivery_id]
    assert ids(get(event="call.created")) == [unaddressed.delivery_id, created.delivery_id]
    assert ids(get(call_id=failed.call_id)) == [failed.delivery_id]
    assert ids(get(status="exhausted")) == [failed.delivery_id]
    assert ids(get(status="unaddressed")) == [unaddressed.delivery_id]
    assert ids(get(status="pending", event="call.created")) == [created.delivery_id]
    assert ids(get(status="delivered")) == []
    assert get(status="unaddressed")["data"][0]["url"] is None


def test_belongs_to_the_application_of_the_key(publish: Publish, acme: Customer, get: Get) -> None:
    beside = Application.objects.create(customer=acme, name="beside")
    theirs = publish(beside, now=NOW)
    own = publish(now=NOW)
    client = APIClient(headers={"Authorization": f"Bearer {factories.issue_key(beside)}"})

    assert ids(get()) == [own.delivery_id]
    assert ids(get(call_id=theirs.call_id)) == []
    assert refusal(client.get(f"/v1/webhooks/deliveries/{own.delivery_id}")) == (404, "not_found")
    assert client.get(f"/v1/webhooks/deliveries/{theirs.delivery_id}").status_code == 200
