"""`Idempotency-Key`: one call, one hold, one dial, however often a create comes."""

from datetime import timedelta
from typing import Any

import pytest

from billing.models import Hold
from calls import dialing, idempotency
from calls.models import Attempt, Call, IdempotencyKey
from minivoice import clock
from telephony.models import Engine, Trunk
from tests import factories
from tests.calls.steps import FakeEngine
from tests.conftest import Actor, refusal
from webhooks.models import WebhookEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nobody_dials")]

CALL = {"from": "+15551230001", "to": "+15551230002"}


def create(actor: Actor, key: str | None = "order-1", body: dict[str, Any] | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return actor.client().post("/v1/calls", body or CALL, format="json", headers=headers)


def test_the_same_request_is_answered_with_the_same_call(acme: Actor) -> None:
    first, again = create(acme), create(acme)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert not first.has_header("Idempotent-Replayed")
    assert again["Idempotent-Replayed"] == "true"
    assert (Call.objects.count(), Hold.objects.count(), Attempt.objects.count()) == (1, 1, 1)
    assert WebhookEvent.objects.count() == 1


def test_a_replay_shows_the_call_as_it_now_is(acme: Actor, engine: FakeEngine) -> None:
    create(acme)
    assert dialing.drain() == 1

    assert create(acme).json()["status"] == "dialing"
    assert dialing.drain() == 0


def test_a_replay_needs_no_engine_and_no_trunk(acme: Actor) -> None:
    first = create(acme)
    Engine.objects.update(seen_at=None)
    Trunk.objects.update(is_active=False)

    assert create(acme).json()["id"] == first.json()["id"]


def test_a_call_the_engine_refused_is_refused_again(acme: Actor) -> None:
    call_id = create(acme).json()["id"]
    Attempt.objects.update(state="ended", ended_at=clock.now())
    Call.objects.update(status="failed", end_reason="originate_failed", ended_at=clock.now(), cost_amount=0)

    again = create(acme)

    assert refusal(again) == (502, "originate_failed")
    assert again["Idempotent-Replayed"] == "true"
    assert again.json()["error"]["call_id"] == call_id


def test_another_body_is_refused_however_little_it_differs(acme: Actor) -> None:
    create(acme)

    assert refusal(create(acme, body={**CALL, "to": "+15551230003"})) == (422, "idempotency_key_reused")
    spaced = acme.client().generic(
        "POST",
        "/v1/calls",
        b'{"from": "+15551230001","to": "+15551230002" }',
        headers={"Idempotency-Key": "order-1"},
        content_type="application/json",
    )
    assert refusal(spaced) == (422, "idempotency_key_reused")
    assert Call.objects.count() == 1


def test_keys_belong_to_an_application(acme: Actor, globex: Actor) -> None:
    globex.customer.caller_id_policy = "any"
    globex.customer.save()
    beside = factories.ApplicationFactory(customer=acme.customer)
    other = Actor(acme.customer, beside, factories.issue_key(beside))

    ids = {create(actor).json()["id"] for actor in (acme, globex, other)}

    assert len(ids) == 3


def test_without_a_key_every_request_is_a_call(acme: Actor) -> None:
    assert len({create(acme, None).json()["id"] for _ in range(2)}) == 2


def test_a_refused_create_leaves_its_key_free(acme: Actor) -> None:
    refused = create(acme, body={**CALL, "to": "+442071838750"})

    assert refusal(refused) == (400, "rate_not_found")
    assert create(acme).status_code == 201


def test_a_key_is_forgotten_after_a_day(acme: Actor) -> None:
    first = create(acme)
    IdempotencyKey.objects.update(created_at=clock.now() - idempotency.LIFE)

    assert create(acme).json()["id"] != first.json()["id"]


def test_old_keys_are_deleted_and_young_ones_are_not(acme: Actor) -> None:
    for key in ("old", "young"):
        create(acme, key)
    IdempotencyKey.objects.filter(key="old").update(created_at=clock.now() - timedelta(hours=25))

    assert idempotency.forget(now=clock.now()) == 1
    assert IdempotencyKey.objects.get().key == "young"


@pytest.mark.parametrize("key", ["", "a" * 256, "tab\there", "caf\xe9"])
def test_a_key_that_is_none_is_refused(acme: Actor, key: str) -> None:
    response = create(acme, key)

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == "Idempotency-Key"
    assert not Call.objects.exists()
