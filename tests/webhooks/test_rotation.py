"""POST /v1/applications/:id/webhook-secret: a new secret without a gap, seen by receivers of real deliveries."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Value
from rest_framework.test import APIClient
from standardwebhooks import Webhook, WebhookVerificationError

from applications import secret
from applications.models import Application, Customer
from minivoice import clock
from tests import factories
from tests.conftest import refusal
from tests.webhooks.conftest import SECRET, Publish
from tests.webhooks.receiver import Received, Receiver
from webhooks import deliveries, pump

NEW = "the next secret of acme"


@pytest.fixture
def client(application: Application) -> APIClient:
    return APIClient(headers={"Authorization": f"Bearer {factories.issue_key(application)}"})


def replace(client: APIClient, application: Application, **body: Any) -> Any:
    return client.post(f"/v1/applications/{application.public_id}/webhook-secret", body, format="json")


def later(hours: float) -> Callable[[], datetime]:
    return lambda: clock.now() + timedelta(hours=hours)


def is_genuine(request: Received, key: str) -> bool:
    """What an off-the-shelf verifier says of a request that came just now."""
    try:
        Webhook("whsec_" + base64.b64encode(key.encode()).decode()).verify(request.body, request.headers)
    except WebhookVerificationError:
        return False
    return True


def signature(request: Received, key: str) -> str:
    signed = request.headers["x-minivoice-timestamp"].encode() + b"." + request.body
    return "v1=" + hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()


def test_both_secrets_sign_what_is_sent(
    client: APIClient, application: Application, publish: Publish, receiver: Receiver
) -> None:
    publish()
    pump.deliver()
    assert replace(client, application, secret=NEW).status_code == 200
    publish()
    pump.deliver()

    before, after = receiver.requests
    assert [is_genuine(before, key) for key in (SECRET, NEW)] == [True, False]
    assert [is_genuine(after, key) for key in (SECRET, NEW, "another secret")] == [True, True, False]
    assert "x-minivoice-signature-previous" not in before.headers
    assert after.headers["x-minivoice-signature"] == signature(after, NEW)
    assert after.headers["x-minivoice-signature-previous"] == signature(after, SECRET)


def test_after_a_day_the_old_one_signs_no_more(
    client: APIClient, application: Application, publish: Publish, receiver: Receiver
) -> None:
    replace(client, application, secret=NEW)
    Application.objects.update(previous_secret_expires_at=clock.now())
    publish()
    pump.deliver()

    [request] = receiver.requests
    assert [is_genuine(request, key) for key in (SECRET, NEW)] == [False, True]
    assert "x-minivoice-signature-previous" not in request.headers


@pytest.mark.parametrize(("hours", "previous"), [(23.99, SECRET), (24.01, "")])
def test_the_day_has_24_hours(
    client: APIClient, application: Application, publish: Publish, hours: float, previous: str
) -> None:
    replace(client, application, secret=NEW)
    publish()

    [claim] = deliveries.claim(places=1, now=later(hours)())

    assert (claim.secret, claim.previous_secret) == (NEW, previous)
    application.refresh_from_db()
    assert application.previous_secret_at(later(hours)()) == previous
    assert NEW not in repr(claim)
    assert SECRET not in repr(claim)


def test_makes_one_when_none_is_given_and_shows_it_once(
    client: APIClient, application: Application, publish: Publish, receiver: Receiver
) -> None:
    answer = replace(client, application).json()

    made = answer["webhook_secret"]
    assert answer["application_id"] == application.public_id
    assert answer["previous_secret_expires_at"].endswith("Z")
    assert len(made) >= 32
    publish()
    pump.deliver()
    assert is_genuine(receiver.requests[0], made)
    assert made not in client.get(f"/v1/applications/{application.public_id}").content.decode()


def test_does_not_echo_a_secret_that_is_given(client: APIClient, application: Application) -> None:
    response = replace(client, application, secret=NEW)

    assert response.json()["webhook_secret"] is None
    assert NEW not in response.content.decode()


def test_the_same_again_ends_nothing(client: APIClient, application: Application) -> None:
    first = replace(client, application, secret=NEW)
    again = replace(client, application, secret=NEW)

    assert first.json() == again.json()
    application.refresh_from_db()
    assert (application.webhook_secret, application.previous_webhook_secret) == (NEW, SECRET)


def test_a_third_secret_leaves_the_second_beside_it(client: APIClient, application: Application) -> None:
    replace(client, application, secret=NEW)
    replace(client, application, secret="a third secret")

    application.refresh_from_db()
    assert (application.webhook_secret, application.previous_webhook_secret) == ("a third secret", NEW)


def test_a_first_secret_has_none_before_it(
    client: APIClient, application: Application, publish: Publish, receiver: Receiver
) -> None:
    Application.objects.update(webhook_secret="")

    assert replace(client, application, secret=NEW).json()["previous_secret_expires_at"] is None
    publish()
    pump.deliver()
    assert is_genuine(receiver.requests[0], NEW)
    assert "x-minivoice-signature-previous" not in receiver.requests[0].headers


def test_one_that_cannot_be_read_is_replaced_and_signs_no_more(
    client: APIClient, application: Application, publish: Publish, receiver: Receiver
) -> None:
    Application.objects.update(webhook_secret=Value("of a key that is gone"))

    assert replace(client, application, secret=NEW).json()["previous_secret_expires_at"] is None
    publish()
    pump.deliver()
    assert is_genuine(receiver.requests[0], NEW)
    assert "x-minivoice-signature-previous" not in receiver.requests[0].headers


def test_both_are_encrypted(application: Application) -> None:
    secret.replace(application, secret=NEW, now=clock.now())

    with connection.cursor() as cursor:
        cursor.execute("SELECT webhook_secret || previous_webhook_secret FROM applications_application")
        [(stored,)] = cursor.fetchall()
    assert len(stored) > 150
    assert NEW not in stored
    assert SECRET not in stored


@pytest.mark.parametrize("given", ["short", "s" * 257, "", 12345678, ["a secret of acme"]])
def test_refuses_what_is_no_secret_and_keeps_the_old_one(
    client: APIClient, application: Application, given: object
) -> None:
    response = replace(client, application, secret=given)

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == "secret"
    application.refresh_from_db()
    assert application.webhook_secret == SECRET


def test_another_customers_secret_is_out_of_reach(client: APIClient, application: Application) -> None:
    globex = factories.ApplicationFactory(customer=Customer.objects.create(name="globex"), webhook_secret="globex's")

    assert refusal(replace(client, globex, secret=NEW)) == (404, "not_found")
    globex.refresh_from_db()
    assert globex.webhook_secret == "globex's"


def test_needs_the_scope_manage(application: Application) -> None:
    weak = APIClient(headers={"Authorization": f"Bearer {factories.issue_key(application, 'calls')}"})

    assert refusal(replace(weak, application, secret=NEW)) == (403, "scope_required")
