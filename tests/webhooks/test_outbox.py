"""Promise 12's first half: an event is written with its fact, whole, once."""

import json
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from applications import events
from applications.models import Application
from tests.webhooks.conftest import Publish
from webhooks import outbox
from webhooks.models import WebhookEvent

NOW = datetime(2026, 5, 29, 12, 0, 0, 123_456, tzinfo=UTC)
CALL_ID = "call_20260529T120000.000000001"


def _publish(application: Application, **changed: object) -> WebhookEvent:
    arguments: dict[str, object] = {
        "application": application,
        "event": "call.gathered",
        "call": {"id": CALL_ID, "status": "answered", "metadata": {"name": "Zoë"}},
        "call_id": CALL_ID,
        "sequence": 3,
        "data": {"digits": "12"},
        "now": NOW,
    }
    return WebhookEvent.objects.get(public_id=outbox.publish(**{**arguments, **changed}))  # type: ignore[arg-type]


def test_renders_the_documented_body(application: Application) -> None:
    row = _publish(application)

    body = json.loads(bytes(row.body))
    assert list(body) == ["id", "event", "created_at", "sequence", "call", "variables", "data"]
    assert body == {
        "id": row.public_id,
        "event": "call.gathered",
        "created_at": "2026-05-29T12:00:00.123Z",
        "sequence": 3,
        "call": {"id": CALL_ID, "status": "answered", "metadata": {"name": "Zoë"}},
        "variables": {},
        "data": {"digits": "12", "event_key": f"{CALL_ID}:call.gathered"},
    }
    assert "Zoë".encode() in bytes(row.body)


def test_makes_a_row_that_is_due(application: Application) -> None:
    row = _publish(application)

    assert row.public_id.startswith("evt_20260529T120000.123456")
    assert row.delivery_id.startswith("whd_20260529T120000.123456")
    assert (row.type, row.call_id, row.sequence, row.created_at) == ("call.gathered", CALL_ID, 3, NOW)
    assert (row.status, row.next_attempt_at, row.attempts) == ("pending", NOW, 0)
    assert (row.url, row.application) == (application.webhook_url, application)


def test_numbers_the_keys_of_events_that_repeat(application: Application) -> None:
    keys = [
        json.loads(bytes(_publish(application, sequence=n, occurrence=n).body))["data"]["event_key"] for n in (1, 2, 3)
    ]

    assert keys == [f"{CALL_ID}:call.gathered{suffix}" for suffix in ("", ":2", ":3")]


def test_renders_an_event_without_a_call(application: Application) -> None:
    row = _publish(application, event="balance.low", call=None, call_id="", sequence=None, data={"posted": "1.00"})

    body = json.loads(bytes(row.body))
    assert (body["call"], "sequence" in body, row.sequence) == (None, False, None)
    key = f"{application.customer.public_id}:balance.low:2026-05-29T12:00:00.123Z"
    assert body["data"] == {"posted": "1.00", "event_key": key}


def test_keeps_events_of_an_application_without_a_url_unaddressed(
    application: Application, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    application.webhook_url = ""
    with django_capture_on_commit_callbacks() as nudges:
        row = _publish(application)

    assert (row.status, row.next_attempt_at, row.url) == ("unaddressed", None, "")
    assert nudges == []


def test_nudges_on_commit_and_costs_one_statement(
    application: Application,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_capture_on_commit_callbacks() as nudges, django_assert_num_queries(1):
        outbox.publish(
            application=application,
            event="call.created",
            call={},
            call_id="call_1",
            sequence=1,
            data={},
            now=NOW,
        )

    assert len(nudges) == 1


def test_goes_with_its_fact_when_that_is_rolled_back(application: Application) -> None:
    with transaction.atomic():
        _publish(application)
        transaction.set_rollback(True)

    assert not WebhookEvent.objects.exists()


def test_gives_events_of_one_microsecond_different_ids(publish: Publish) -> None:
    events = [publish(now=NOW) for _ in range(200)]

    assert len({event.public_id for event in events}) == 200
    assert all(json.loads(bytes(event.body))["id"] == event.public_id for event in events)


def test_goes_on_to_the_next_microsecond_when_all_ids_of_one_are_taken(
    publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the thousand and first event of one `now` was drawn for ever, under a customer's lock."""
    draws = iter([7] * 20)  # as if a microsecond had one id
    monkeypatch.setattr("minivoice.ids.secrets.randbelow", lambda _: next(draws))

    events = [publish(now=NOW) for _ in range(3)]

    assert [event.public_id[-9:] for event in events] == ["123456007", "123457007", "123458007"]
    assert [event.created_at for event in events] == [NOW] * 3


def test_refuses_a_sequence_number_twice(application: Application) -> None:
    _publish(application)

    with pytest.raises(IntegrityError, match="webhook_event_sequence_once"), transaction.atomic():
        _publish(application)


def test_makes_documented_events_always_and_chosen_ones_on_request(application: Application) -> None:
    application.webhook_events = ["call.ringing", "call.invented"]

    assert all(outbox.wants(application, event) for event in events.DOCUMENTED)
    assert [event for event in events.CHOSEN if outbox.wants(application, event)] == ["call.ringing"]
    assert not outbox.wants(application, "call.invented")
