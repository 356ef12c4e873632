"""Replays: the same bytes again, on demand, once for a double click, and never more than a bounded piece of work."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction
from rest_framework.test import APIClient

from applications.models import Application, Customer
from minivoice import api, clock, nudge
from tests import factories
from tests.conftest import refusal
from tests.webhooks.conftest import Publish
from tests.webhooks.receiver import Receiver
from webhooks import deliveries, pump, replays
from webhooks.deliveries import Claim, Result
from webhooks.models import WebhookEvent

NOW = datetime(2026, 5, 29, 12, 0, tzinfo=UTC)
MOMENT = timedelta(seconds=5)


@pytest.fixture
def client(application: Application) -> APIClient:
    return APIClient(headers={"Authorization": f"Bearer {factories.issue_key(application, 'manage')}"})


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that were woken."""
    tasks: list[str] = []
    monkeypatch.setattr(nudge, "wake", tasks.append)
    return tasks


def replay(client: APIClient, event: WebhookEvent) -> Any:
    return client.post(f"/v1/webhooks/deliveries/{event.delivery_id}/replay")


def replay_range(client: APIClient, **body: Any) -> Any:
    told = {"from": "2026-05-29T12:00:00Z", "to": "2026-05-29T13:00:00Z", "status": "exhausted", **body}
    return client.post("/v1/webhooks/replay", told, format="json")


def ended(event: WebhookEvent, status: str, **columns: Any) -> WebhookEvent:
    """Let its delivery have ended like this."""
    WebhookEvent.objects.filter(pk=event.pk).update(status=status, next_attempt_at=None, **columns)
    return event


def state(event: WebhookEvent) -> dict[str, Any]:
    return WebhookEvent.objects.values().get(pk=event.pk)


def fail(claim: Claim, now: datetime) -> None:
    result = Result(claim=claim, started_at=now, duration_ms=5, http_status=500, error="http_500")
    deliveries.note([result], now=now)


def test_sends_the_same_bytes_with_the_same_id_and_the_next_number(
    client: APIClient, publish: Publish, receiver: Receiver
) -> None:
    event = publish()
    pump.deliver()

    answer = replay(client, event)
    pump.deliver()

    first, second = receiver.requests
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert answer.json()["replayed_at"] == answer.json()["next_attempt_at"]
    assert first.body == second.body == bytes(event.body)
    same = ("webhook-id", "x-minivoice-delivery", "x-minivoice-event")
    assert [first.headers[name] for name in same] == [second.headers[name] for name in same]
    assert [each.headers["x-minivoice-attempt"] for each in (first, second)] == ["1", "2"]
    assert state(event)["status"] == "delivered"


@pytest.mark.parametrize("status", ["delivered", "exhausted", "unaddressed"])
def test_sends_what_had_ended_to_the_present_url(
    client: APIClient, publish: Publish, receiver: Receiver, application: Application, status: str
) -> None:
    event = ended(publish(), status, url="" if status == "unaddressed" else "http://192.0.2.1/old")

    assert replay(client, event).json()["url"] == application.webhook_url
    pump.deliver()

    assert len(receiver.requests) == 1


def test_brings_the_next_attempt_of_a_pending_one_forward(publish: Publish) -> None:
    event = publish(now=NOW)
    for hours in (0, 1, 2, 3):
        [claim] = deliveries.claim(places=1, now=NOW + timedelta(hours=hours))
        fail(claim, NOW + timedelta(hours=hours))

    now = NOW + timedelta(hours=3, minutes=1)
    assert state(event)["next_attempt_at"] > now
    assert replays.replay([event.pk], now=now) == 1

    [claim] = deliveries.claim(places=1, now=now)
    assert claim.attempt == 5
    fail(claim, now)
    wait = state(event)["next_attempt_at"] - now
    assert timedelta(seconds=5) <= wait <= timedelta(seconds=6)  # the schedule's first


def test_the_schedule_starts_over_and_ends_as_it_does(publish: Publish) -> None:
    event = ended(publish(now=NOW), "exhausted", attempts=11)
    replays.replay([event.pk], now=NOW)

    now, waits = NOW, []
    while claims := deliveries.claim(places=1, now=now):
        fail(claims[0], now)
        due_at = state(event)["next_attempt_at"]
        waits.append(due_at - now if due_at else None)
        now = due_at or now

    bounds = [(timedelta(seconds=s), timedelta(seconds=1.2 * s)) for s in deliveries.RETRY_SECONDS]
    assert all(low <= wait <= high for (low, high), wait in zip(bounds, waits[:-1], strict=True) if wait)
    assert (waits[-1], state(event)["status"], state(event)["attempts"]) == (None, "exhausted", 22)


def test_leaves_an_attempt_that_is_under_way_alone(client: APIClient, publish: Publish, woken: list[str]) -> None:
    event = publish()
    deliveries.claim(places=1, now=clock.now())
    before = state(event)

    assert replay(client, event).status_code == 200

    assert state(event) == before


def test_a_second_click_sends_nothing_twice(publish: Publish, receiver: Receiver) -> None:
    event = publish(now=NOW)
    pump.deliver(now=lambda: NOW)

    assert replays.replay([event.pk], now=NOW) == 1
    pump.deliver(now=lambda: NOW)
    assert replays.replay([event.pk], now=NOW + MOMENT / 2) == 0
    pump.deliver(now=lambda: NOW + MOMENT / 2)

    assert len(receiver.requests) == 2
    assert replays.replay([event.pk], now=NOW + MOMENT) == 1


@pytest.mark.django_db(transaction=True)
def test_clicks_at_one_time_are_one_replay(publish: Publish, woken: list[str]) -> None:
    events = [ended(publish(now=NOW), "delivered") for _ in range(50)]
    orders = [[event.pk for event in events[:: 1 - 2 * (n % 2)]] for n in range(6)]
    start = Barrier(6)

    def click(ids: list[int]) -> int:
        try:
            start.wait(timeout=10)
            return replays.replay(ids, now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(click, orders))

    assert sum(counts) == 50
    assert set(WebhookEvent.objects.values_list("status", "attempts_before_replay")) == {("pending", 0)}


@pytest.mark.django_db(transaction=True)
def test_passes_over_what_a_worker_is_writing(publish: Publish, woken: list[str]) -> None:
    """It waits for nobody's lock, so that it can be in no deadlock."""
    held, free = (ended(publish(now=NOW), "exhausted") for _ in range(2))
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM webhooks_webhookevent WHERE id = %s FOR UPDATE", [held.pk])
        assert replays.replay([held.pk, free.pk], now=NOW) == 1
    finally:
        other.close()

    assert (state(held)["status"], state(free)["status"]) == ("exhausted", "pending")


@pytest.mark.django_db(transaction=True)
def test_wakes_the_pump_once_it_is_committed(publish: Publish, woken: list[str]) -> None:
    event = ended(publish(now=NOW), "exhausted")
    woken.clear()

    with transaction.atomic():
        replays.replay([event.pk], now=NOW)
        assert woken == []
    replays.replay([event.pk], now=NOW)

    assert woken == ["webhooks.deliver"]


def test_a_delivery_has_no_more_than_its_share_of_attempts(client: APIClient, publish: Publish) -> None:
    event = ended(publish(now=NOW), "exhausted", attempts=replays.MOST_ATTEMPTS)
    before = state(event)

    assert refusal(replay(client, event)) == (400, "invalid_request")
    assert replay_range(client).json()["replayed"] == 0

    assert state(event) == before


@pytest.mark.parametrize(
    "columns",
    [{"webhook_url": ""}, {"webhook_disabled_at": NOW, "webhook_failing_since": NOW}],
    ids=["none", "disabled"],
)
def test_refuses_to_replay_into_nothing(
    client: APIClient, publish: Publish, application: Application, columns: dict[str, Any]
) -> None:
    event = ended(publish(now=NOW), "exhausted")
    before = state(event)
    Application.objects.filter(pk=application.pk).update(**columns)

    for answer in (replay(client, event), replay_range(client)):
        assert refusal(answer) == (400, "invalid_request")
        assert answer.json()["error"]["param"] == "webhook_url"

    assert replays.replay([event.pk], now=NOW) == 0
    assert state(event) == before


def test_replays_what_was_made_in_the_range_and_has_the_status(
    client: APIClient, publish: Publish, acme: Customer
) -> None:
    hour = timedelta(hours=1)
    at_from, within = (ended(publish(now=moment), "exhausted") for moment in (NOW, NOW + hour / 2))
    too_early = ended(publish(now=NOW - timedelta(microseconds=1)), "exhausted")
    at_to = ended(publish(now=NOW + hour), "exhausted")
    delivered = ended(publish(now=NOW), "delivered")
    beside = Application.objects.create(customer=acme, name="beside", webhook_url="http://192.0.2.1/")
    theirs = ended(publish(beside, now=NOW), "exhausted")

    answer = replay_range(client)

    assert (answer.status_code, answer.json()) == (200, {"replayed": 2, "next_cursor": None})
    assert [state(event)["status"] for event in (at_from, within)] == ["pending", "pending"]
    for untouched in (too_early, at_to, delivered, theirs):
        assert state(untouched)["replayed_at"] is None


@pytest.mark.parametrize("status", ["exhausted", "delivered", "unaddressed"])
def test_goes_through_a_long_range_piece_by_piece(
    client: APIClient, publish: Publish, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    monkeypatch.setattr(replays, "BATCH", 3)
    monkeypatch.setattr(replays, "MOST_BATCHES", 2)
    # Newest first by their keys, and three of each moment.
    events = [ended(publish(now=NOW + timedelta(minutes=10 - n // 3)), status) for n in range(14)]

    counts, following = [], None
    while not counts or following:
        answer = replay_range(client, status=status, cursor=following).json()
        counts.append(answer["replayed"])
        following = answer["next_cursor"]

    assert counts == [6, 6, 2]
    assert all(state(event)["replayed_at"] for event in events)
    assert replay_range(client, status=status).json() == {"replayed": 0, "next_cursor": None}


def test_a_second_click_on_a_range_sends_nothing_twice(client: APIClient, publish: Publish) -> None:
    event = ended(publish(now=NOW), "delivered")

    assert replay_range(client, status="delivered").json()["replayed"] == 1
    ended(event, "delivered")
    assert replay_range(client, status="delivered").json()["replayed"] == 0


def test_a_range_is_of_deliveries_that_have_ended(client: APIClient, publish: Publish) -> None:
    publish(now=NOW)

    answer = replay_range(client, status="pending")

    assert refusal(answer) == (400, "invalid_request")
    assert answer.json()["error"]["param"] == "status"


def test_a_range_is_sent_in_the_order_of_its_events(client: APIClient, publish: Publish) -> None:
    events = [ended(publish(now=NOW + timedelta(minutes=n)), "exhausted") for n in range(3)]

    assert replay_range(client).json()["replayed"] == 3
    claims = [deliveries.claim(places=1, now=clock.now())[0] for _ in events]

    assert [claim.event_id for claim in claims] == [event.public_id for event in events]


@pytest.mark.parametrize("cursor", ["x", "MTIzNDU2Nzg5MDEyMzQ1Njc4", "MS4y"])
def test_refuses_a_cursor_that_it_never_gave_out(client: APIClient, publish: Publish, cursor: str) -> None:
    publish(now=NOW)

    answer = replay_range(client, cursor=cursor)

    assert refusal(answer) == (400, "invalid_request")
    assert answer.json()["error"]["param"] == "cursor"


def test_anothers_key_is_no_cursor(client: APIClient, publish: Publish, acme: Customer) -> None:
    theirs = publish(Application.objects.create(customer=acme, name="beside"), now=NOW)

    assert refusal(replay_range(client, cursor=api.cursor(theirs.pk))) == (400, "invalid_request")
