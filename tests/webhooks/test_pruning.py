"""What is older than it is kept goes, in batches; what is pending stays."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django.fixtures import Settings

from tests.plans import plan_of
from tests.webhooks.conftest import Publish
from webhooks import pruning
from webhooks.models import DeliveryAttempt, WebhookEvent

NOW = datetime(2026, 5, 29, 12, 0, tzinfo=UTC)


def aged(publish: Publish, days: float, *, status: str = "delivered", attempt_days: float | None = None) -> int:
    """Publish an event so many days ago, with an attempt; return its key."""
    event = publish(now=NOW - timedelta(days=days))
    if status != "pending":
        WebhookEvent.objects.filter(pk=event.pk).update(status=status, next_attempt_at=None)
    at = NOW - timedelta(days=days if attempt_days is None else attempt_days)
    DeliveryAttempt.objects.create(event=event, number=1, started_at=at, duration_ms=5, http_status=200)
    return event.pk


def events() -> list[int]:
    return list(WebhookEvent.objects.order_by("pk").values_list("pk", flat=True))


def attempts() -> list[int]:
    return list(DeliveryAttempt.objects.order_by("event").values_list("event", flat=True))


def test_keeps_events_for_90_days_and_attempts_for_30(publish: Publish, caplog: pytest.LogCaptureFixture) -> None:
    for days in (91, 90.01):
        aged(publish, days)
    kept = [aged(publish, days) for days in (89.99, 31, 30.01, 29.99, 1)]
    with caplog.at_level(logging.INFO):
        assert pruning.prune(now=NOW) == (3, 2)
    assert events() == kept
    assert attempts() == kept[3:]
    assert "pruned 3 attempts and 2 events in" in caplog.text


def test_the_settings_say_how_long(publish: Publish, settings: Settings) -> None:
    settings.WEBHOOK_EVENT_DAYS, settings.WEBHOOK_ATTEMPT_DAYS = 7, 2
    aged(publish, 8)
    kept = [aged(publish, days) for days in (6, 1)]
    pruning.prune(now=NOW)
    assert (events(), attempts()) == (kept, kept[1:])


def test_a_pending_event_stays_however_old_and_holds_up_nothing(publish: Publish) -> None:
    pending = [aged(publish, 100, status="pending") for _ in range(5)]
    for status in ("exhausted", "unaddressed", "delivered"):
        aged(publish, 95, status=status)
    pruning.prune(now=NOW, batch=2)
    assert events() == pending


def test_an_event_takes_younger_attempts_with_it(publish: Publish) -> None:
    aged(publish, 91, attempt_days=1)
    pruning.prune(now=NOW)
    assert (events(), attempts()) == ([], [])


def test_goes_on_batch_by_batch_and_leaves_the_rest_to_the_next_run(publish: Publish) -> None:
    for _ in range(7):
        aged(publish, 91)
    young = aged(publish, 1)
    assert pruning.prune(now=NOW, batch=3, run_seconds=0) == (0, 0)
    assert pruning.prune(now=NOW, batch=3) == (0, 7)
    assert (events(), attempts()) == ([young], [young])


@pytest.mark.parametrize("statement", [pruning._EVENTS, pruning._ATTEMPTS])
def test_reads_no_more_of_a_large_table_than_a_batch(publish: Publish, statement: str) -> None:
    for _ in range(3):
        aged(publish, 1)
    values = {"last_id": 0, "kept_from": NOW - timedelta(days=90), "batch": 2}
    plan = plan_of(statement, values)
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
    assert "pkey" in plan
