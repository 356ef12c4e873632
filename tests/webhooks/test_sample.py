"""POST /v1/applications/:id/test-event: the way all events go, tried out."""

import json
from typing import Any

import pytest
from rest_framework.test import APIClient
from standardwebhooks import Webhook

from applications.models import Application, Customer
from tests import factories
from tests.conftest import refusal
from tests.webhooks.conftest import SECRET
from tests.webhooks.receiver import Receiver, respond
from webhooks import pump
from webhooks.models import WebhookEvent


@pytest.fixture
def client(application: Application) -> APIClient:
    return APIClient(headers={"Authorization": f"Bearer {factories.issue_key(application)}"})


def send(client: APIClient, application: Application) -> Any:
    return client.post(f"/v1/applications/{application.public_id}/test-event")


def test_arrives_signed_as_all_events_do(client: APIClient, application: Application, receiver: Receiver) -> None:
    response = send(client, application)
    assert pump.deliver() == 1

    answer = response.json()
    [request] = receiver.requests
    body = json.loads(request.body)
    assert response.status_code == 201
    assert set(answer) == {"event_id", "delivery_id", "event", "url", "created_at"}
    assert Webhook(SECRET.encode()).verify(request.body, request.headers) == body
    assert (request.headers["x-minivoice-delivery"], body["id"]) == (answer["delivery_id"], answer["event_id"])
    assert request.headers["x-minivoice-event"] == body["event"] == answer["event"] == "webhook.test"
    assert (body["call"], body["variables"], body["created_at"]) == (None, {}, answer["created_at"])
    assert body["data"]["event_key"] == f"{application.customer.public_id}:webhook.test:{answer['created_at']}"
    assert "sequence" not in body
    assert answer["url"] == receiver.url


def test_is_tried_again_and_logged_as_all_events_are(
    client: APIClient, application: Application, receiver: Receiver
) -> None:
    receiver.reply = respond(500, b"no")
    answer = send(client, application).json()
    pump.deliver()

    event = WebhookEvent.objects.get(delivery_id=answer["delivery_id"])
    assert (event.status, event.attempts, event.attempt_rows.get().error) == ("pending", 1, "http_500")


def test_needs_somewhere_to_go(client: APIClient, application: Application) -> None:
    Application.objects.update(webhook_url="")

    response = send(client, application)

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == "webhook_url"
    assert not WebhookEvent.objects.exists()


def test_nothing_is_sent_to_another_customers_application(client: APIClient, receiver: Receiver) -> None:
    globex = factories.ApplicationFactory(customer=Customer.objects.create(name="globex"), webhook_url=receiver.url)

    assert refusal(send(client, globex)) == (404, "not_found")
    assert pump.deliver() == 0


def test_needs_the_scope_manage(application: Application) -> None:
    weak = APIClient(headers={"Authorization": f"Bearer {factories.issue_key(application, 'calls')}"})

    assert refusal(send(weak, application)) == (403, "scope_required")
