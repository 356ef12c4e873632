"""Claims and notes: who may send what, and when a failed delivery is due again."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.db import connection

from applications.models import Application, Customer
from tests.webhooks.conftest import SECRET, Publish
from webhooks import deliveries
from webhooks.deliveries import Claim, Result
from webhooks.models import DeliveryAttempt, WebhookEvent

NOW = datetime(2026, 5, 29, 12, 0, tzinfo=UTC)


def _another(acme: Customer, name: str) -> Application:
    return Application.objects.create(customer=acme, name=name, webhook_url="http://192.0.2.1/", webhook_secret="x")


def _failed(claim: Claim, *, error: str = "http_500", status: int | None = 500, retry_after: float = 0.0) -> Result:
    return Result(
        claim=claim,
        started_at=NOW,
        duration_ms=5,
        http_status=status,
        error=error,
        retry_after_seconds=retry_after,
    )


def _done(claim: Claim) -> Result:
    return Result(claim=claim, started_at=NOW, duration_ms=5, http_status=200, response="ok")


def test_claims_what_is_due_with_all_that_sending_needs(publish: Publish, application: Application) -> None:
    due = publish(now=NOW)
    publish(now=NOW + timedelta(seconds=1))

    [claim] = deliveries.claim(places=10, now=NOW)

    assert claim == Claim(
        row_id=due.pk,
        application_id=application.pk,
        attempt=1,
        event_id=due.public_id,
        delivery_id=due.delivery_id,
        event="call.created",
        body=bytes(due.body),
        url=application.webhook_url,
        secret=SECRET,
    )


def test_claims_nothing_twice_until_the_lease_is_over(publish: Publish) -> None:
    publish(now=NOW)
    almost = NOW + timedelta(seconds=deliveries.LEASE_SECONDS - 0.001)

    assert [c.attempt for c in deliveries.claim(places=10, now=NOW)] == [1]
    assert deliveries.claim(places=10, now=almost) == []
    assert [c.attempt for c in deliveries.claim(places=10, now=almost + timedelta(seconds=1))] == [2]


def test_claims_for_free_places_only_and_the_oldest_first(publish: Publish, acme: Customer) -> None:
    events = [publish(_another(acme, f"app {n}"), now=NOW - timedelta(seconds=n)) for n in (3, 1, 5, 2, 4)]

    claims = deliveries.claim(places=3, now=NOW)

    assert {c.event_id for c in claims} == {events[n].public_id for n in (2, 4, 0)}


def test_gives_one_endpoint_eight_places_and_its_backlog_delays_nobody(publish: Publish, acme: Customer) -> None:
    for _ in range(50):
        publish(now=NOW - timedelta(minutes=1))
    other = publish(_another(acme, "quick"), now=NOW)

    first = deliveries.claim(places=200, now=NOW)
    assert len(first) == 9
    assert other.public_id in {c.event_id for c in first}
    assert deliveries.claim(places=200, now=NOW) == []

    slow = [c for c in first if c.event_id != other.public_id]
    deliveries.note([_done(slow[0]), _failed(slow[1]), _done(slow[2])], now=NOW)
    assert len(deliveries.claim(places=200, now=NOW)) == 3


def test_a_scheduled_retry_takes_no_place(publish: Publish) -> None:
    for _ in range(20):
        publish(now=NOW)
    deliveries.note([_failed(c) for c in deliveries.claim(places=200, now=NOW)], now=NOW)

    assert len(deliveries.claim(places=200, now=NOW)) == 8


@pytest.mark.django_db(transaction=True)
def test_workers_that_claim_at_once_share_the_work_and_never_exceed_eight(publish: Publish, acme: Customer) -> None:
    for of in [_another(acme, f"app {n}") for n in range(6)]:
        for _ in range(20):
            publish(of, now=NOW)
    start = Barrier(8)

    def work(_: int) -> list[Claim]:
        try:
            start.wait(timeout=10)
            return deliveries.claim(places=7, now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(work, range(8)))

    assert sorted(len(claims) for claims in claimed) == [0, 6, 7, 7, 7, 7, 7, 7]
    assert len({claim.row_id for claims in claimed for claim in claims}) == 48
    busy = Counter(WebhookEvent.objects.filter(is_in_flight=True).values_list("application", flat=True))
    assert set(busy.values()) == {8}


def test_notes_success_and_failure_with_their_attempts(publish: Publish) -> None:
    publish(now=NOW)
    publish(now=NOW)
    good, bad = deliveries.claim(places=2, now=NOW)

    deliveries.note([_done(good), _failed(bad, error="read_timeout", status=None)], now=NOW)

    delivered = WebhookEvent.objects.get(pk=good.row_id)
    assert (delivered.status, delivered.delivered_at, delivered.next_attempt_at) == ("delivered", NOW, None)
    pending = WebhookEvent.objects.get(pk=bad.row_id)
    assert (pending.status, pending.delivered_at, pending.is_in_flight) == ("pending", None, False)
    assert pending.next_attempt_at is not None
    assert 5 <= (pending.next_attempt_at - NOW).total_seconds() <= 6
    assert list(
        DeliveryAttempt.objects.order_by("id").values_list("event", "number", "http_status", "error", "response")
    ) == [(good.row_id, 1, 200, "", "ok"), (bad.row_id, 1, None, "read_timeout", "")]


def test_a_note_after_the_lease_does_not_spoil_the_next_workers_claim(publish: Publish) -> None:
    event = publish(now=NOW)
    [late] = deliveries.claim(places=1, now=NOW)
    later = NOW + timedelta(seconds=deliveries.LEASE_SECONDS)
    [current] = deliveries.claim(places=1, now=later)

    deliveries.note([_failed(late)], now=later)
    event.refresh_from_db()
    assert (event.status, event.attempts, event.is_in_flight) == ("pending", 2, True)
    assert event.next_attempt_at == later + timedelta(seconds=deliveries.LEASE_SECONDS)

    deliveries.note([_done(current)], now=later)
    deliveries.note([_failed(late)], now=later)
    event.refresh_from_db()
    assert event.status == "delivered"
    assert sorted(event.attempt_rows.values_list("number", "error")) == [(1, "http_500"), (2, "")]


def test_retries_for_three_days_and_is_then_exhausted(publish: Publish) -> None:
    event = publish(now=NOW)
    now, waits = NOW, []
    while True:
        [claim] = deliveries.claim(places=1, now=now)
        deliveries.note([_failed(claim)], now=now)
        event.refresh_from_db()
        if event.next_attempt_at is None:
            break
        waits.append((event.next_attempt_at - now).total_seconds())
        now = event.next_attempt_at

    assert event.status == "exhausted"
    assert event.attempts == 11
    documented = [5, 30, 120, 600, 1800, 7200, 21600, 43200, 86400, 86400]
    assert all(base <= wait <= base * 1.2 for base, wait in zip(documented, waits, strict=True))
    assert waits != documented  # there is jitter
    assert deliveries.claim(places=1, now=now + timedelta(days=30)) == []


def test_ends_a_delivery_that_is_gone(publish: Publish) -> None:
    event = publish(now=NOW)
    [claim] = deliveries.claim(places=1, now=NOW)

    deliveries.note([_failed(claim, error="http_410", status=410)], now=NOW)

    event.refresh_from_db()
    assert (event.status, event.attempts, event.next_attempt_at) == ("exhausted", 1, None)


def test_waits_as_long_as_the_receiver_asks() -> None:
    assert deliveries.retry_delay(attempt=1, retry_after_seconds=900.0) == 900.0
    assert 86400 <= (deliveries.retry_delay(attempt=10, retry_after_seconds=900.0) or 0) <= 86400 * 1.2
    assert deliveries.retry_delay(attempt=11, retry_after_seconds=900.0) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("000120", 120),
        ("3600", 3600),
        ("3601", 3600),
        ("99999999999999", 3600),
        ("9" * 5000, 3600),
        ("Fri, 29 May 2026 12:10:00 GMT", 600),
        ("Fri, 29 May 2026 12:10:00 -0000", 600),
        ("Fri, 29 May 2026 11:00:00 GMT", 0),
        ("Fri, 29 May 9999 11:00:00 GMT", 3600),
        ("Fri, 29 May 99999999999 11:00:00 GMT", 0),
        ("", 0),
        ("-5", 0),
        ("1.5", 0),
        ("1e9", 0),
        ("NaN", 0),
        ("soon", 0),
        ("١٢", 0),
        ("12; DROP TABLE", 0),
    ],
)
def test_reads_retry_after_however_silly(value: str, seconds: int) -> None:
    assert deliveries.retry_after(value, NOW) == seconds
