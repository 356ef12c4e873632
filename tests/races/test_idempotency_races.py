"""One key from many sides at once: one call. Run on committed rows, with threads."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from billing.models import Balance, Hold
from calls import idempotency
from calls.models import Attempt, Call
from minivoice import clock
from tests.conftest import Actor, refusal
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.usefixtures("audited", "world", "nobody_dials", "calls_waiting")


def create(actor: Actor, key: str, to: str = "+15551230002") -> Any:
    body = {"from": "+15551230001", "to": to}
    return actor.client().post("/v1/calls", body, format="json", headers={"Idempotency-Key": key})


def outcome(response: Any) -> str:
    return "created" if response.status_code == 201 else response.json()["error"]["code"]


def test_one_key_50_times_at_once_is_one_call(acme: Actor, pool: ThreadPoolExecutor) -> None:
    responses = list(pool.map(lambda _: create(acme, "once"), range(50)))

    assert set(map(outcome, responses)) <= {"created", "idempotency_in_progress"}
    made = [response for response in responses if response.status_code == 201]
    assert len({response.json()["id"] for response in made}) == 1
    assert [response.has_header("Idempotent-Replayed") for response in made].count(False) == 1
    assert all(response["Retry-After"] for response in responses if response.status_code == 409)
    assert (Call.objects.count(), Attempt.objects.count(), Hold.objects.count()) == (1, 1, 1)
    assert WebhookEvent.objects.filter(type="call.created").count() == 1


def test_one_key_with_50_bodies_is_one_call(acme: Actor, pool: ThreadPoolExecutor) -> None:
    numbers = [f"+1555123{number:04d}" for number in range(100, 150)]

    outcomes = Counter(outcome(response) for response in pool.map(lambda to: create(acme, "once", to), numbers))

    assert outcomes["created"] == 1
    assert set(outcomes) <= {"created", "idempotency_in_progress", "idempotency_key_reused"}
    assert Call.objects.count() == 1
    assert Balance.objects.get(customer=acme.customer).held == Hold.objects.get().amount


def test_a_twin_in_its_own_transaction_is_told_and_not_waited_for(acme: Actor) -> None:
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('once', %s))", [acme.application.pk])

        response = create(acme, "once")

        assert refusal(response) == (409, "idempotency_in_progress")
        assert response["Retry-After"] == "1"
    finally:
        other.rollback()
        other.close()
    assert create(acme, "once").status_code == 201


def test_a_key_taken_in_a_transaction_that_failed_is_free(acme: Actor) -> None:
    key = idempotency.Key("once", b"digest")
    with transaction.atomic():
        assert idempotency.find(application_id=acme.application.pk, key=key, now=clock.now()) is None
        transaction.set_rollback(True)

    assert create(acme, "once").status_code == 201
