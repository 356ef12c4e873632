"""Endpoint health: who is disabled and when, what becomes of its deliveries, who is told, and what enables it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from applications import mail as post
from applications.models import Application, Customer, Notice
from minivoice import errors
from tests.webhooks.conftest import Publish
from tests.webhooks.receiver import Receiver, respond
from webhooks import deliveries, health, outbox, pump
from webhooks.deliveries import Claim, Result
from webhooks.models import WebhookEvent

NOW = datetime(2026, 5, 29, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def take(*, now: datetime) -> Claim:
    [claim] = deliveries.claim(places=1, now=now)
    return claim


def answer(claim: Claim, status: int, *, now: datetime) -> None:
    """Note that the receiver answered a claim with `status`."""
    error = "" if status == 200 else f"http_{status}"
    result = Result(claim=claim, started_at=now, duration_ms=5, http_status=status, error=error)
    deliveries.note([result], now=now)


def hears(application: Application, **changes: Any) -> Application:
    """Return the application as it is now, first changed if wanted."""
    Application.objects.filter(pk=application.pk).update(**changes) if changes else None
    application.refresh_from_db()
    return application


def save_url(application: Application, url: str, *, now: datetime) -> None:
    """Save a URL as the API's door does."""
    row = Application.objects.get(pk=application.pk)
    row.webhook_url = url
    row.save(update_fields=["webhook_url", *row.renew_endpoint(now)])


def disable(publish: Publish, application: Application, *, now: datetime = NOW) -> WebhookEvent:
    """Let the endpoint answer 410 to an event; return the event."""
    event = publish(now=now)
    answer(take(now=now), 410, now=now)
    assert hears(application).webhook_disabled_at == now
    return event


def test_the_first_failure_after_the_last_success_is_remembered(publish: Publish, application: Application) -> None:
    for status, since in [(500, NOW), (503, NOW), (200, None), (200, None), (500, NOW + 4 * timedelta(minutes=1))]:
        minutes = timedelta(minutes=len(WebhookEvent.objects.all()))
        publish(now=NOW)
        answer(take(now=NOW), status, now=NOW + minutes)
        assert hears(application).webhook_failing_since == since
    assert application.webhook_disabled_at is None


def test_three_days_without_a_success_disable_the_endpoint_at_the_next_failure(
    publish: Publish, application: Application
) -> None:
    publish(now=NOW)
    answer(take(now=NOW), 500, now=NOW)
    almost = NOW + health.PATIENCE - timedelta(seconds=1)
    answer(take(now=almost), 500, now=almost)
    assert hears(application).webhook_disabled_at is None

    publish(now=almost)
    late = NOW + health.PATIENCE
    answer(take(now=late), 500, now=late)
    assert hears(application).webhook_disabled_at == late
    assert application.disabled_because() == "no delivery has succeeded since 2026-05-29 12:00 UTC"


def test_a_success_begins_the_three_days_anew(publish: Publish, application: Application) -> None:
    for day, status in enumerate([500, 500, 200, 500, 500, 500]):
        publish(now=NOW + day * DAY)
        claims = deliveries.claim(places=10, now=NOW + day * DAY)
        answer(claims[-1], status, now=NOW + day * DAY)
    assert hears(application).webhook_disabled_at is None
    assert application.webhook_failing_since == NOW + 3 * DAY


def test_an_idle_endpoint_is_never_disabled(publish: Publish, application: Application) -> None:
    publish(now=NOW)
    answer(take(now=NOW), 200, now=NOW)
    health.drain(now=NOW + 100 * DAY)
    publish(now=NOW + 100 * DAY)
    answer(take(now=NOW + 100 * DAY), 500, now=NOW + 100 * DAY)
    assert hears(application).webhook_disabled_at is None


def test_a_success_and_a_failure_noted_together_are_a_success(publish: Publish, application: Application) -> None:
    publish(now=NOW)
    publish(now=NOW)
    hears(application, webhook_failing_since=NOW - 4 * DAY)
    bad, good = deliveries.claim(places=2, now=NOW)
    results = [
        Result(claim=bad, started_at=NOW, duration_ms=5, http_status=500, error="http_500"),
        Result(claim=good, started_at=NOW, duration_ms=5, http_status=200),
    ]
    deliveries.note(results, now=NOW)
    assert hears(application).webhook_failing_since is None
    assert application.webhook_disabled_at is None


def test_410_disables_the_endpoint_and_ends_what_waits(
    publish: Publish, application: Application, receiver: Receiver
) -> None:
    receiver.reply = respond(410)
    for _ in range(20):
        publish()
    pump.deliver()
    sent = len(receiver.requests)
    assert sent <= 16  # those that were under way, and no more
    assert hears(application).webhook_disabled_at
    assert application.disabled_because() == "it answered 410 (Gone)"

    assert health.drain(now=WebhookEvent.objects.latest("id").created_at + timedelta(minutes=1)) == 20 - sent
    rows = list(WebhookEvent.objects.values_list("status", "error", "next_attempt_at", "is_in_flight"))
    assert sorted(set(rows)) == [
        ("exhausted", "endpoint_disabled", None, False),
        ("exhausted", "http_410", None, False),
    ]
    assert hears(application).webhook_is_draining is False


def test_new_events_of_a_disabled_endpoint_are_exhausted_from_the_start(
    publish: Publish, application: Application
) -> None:
    disable(publish, application)
    event = publish(now=NOW)
    assert (event.status, event.error, event.next_attempt_at) == ("exhausted", "endpoint_disabled", None)
    with pytest.raises(errors.InvalidRequest, match="disabled"):
        outbox.publish_test(application, now=NOW)


def test_an_event_that_learned_too_late_is_neither_sent_nor_left_waiting(
    publish: Publish, application: Application
) -> None:
    stale = Application.objects.select_related("customer").get()
    disable(publish, application)
    health.drain(now=NOW)
    event = publish(stale, now=NOW)
    assert event.status == "pending"
    assert deliveries.claim(places=10, now=NOW) == []
    assert health.drain(now=NOW) == 1
    event.refresh_from_db()
    assert (event.status, event.error) == ("exhausted", "endpoint_disabled")


def test_what_is_under_way_is_left_to_its_note(publish: Publish, application: Application) -> None:
    publish(now=NOW)
    publish(now=NOW)
    good = take(now=NOW)
    bad = take(now=NOW)
    disable(publish, application)
    assert health.drain(now=NOW) == 0
    answer(good, 200, now=NOW)
    answer(bad, 500, now=NOW)
    assert health.drain(now=NOW) == 1
    rows = WebhookEvent.objects.in_bulk([good.row_id, bad.row_id])
    assert rows[good.row_id].status == "delivered"
    assert (rows[bad.row_id].status, rows[bad.row_id].error) == ("exhausted", "endpoint_disabled")


def test_what_a_killed_worker_had_is_ended_when_its_lease_is_over(publish: Publish, application: Application) -> None:
    publish(now=NOW)
    take(now=NOW)
    disable(publish, application)
    later = NOW + timedelta(seconds=deliveries.LEASE_SECONDS)
    assert health.drain(now=later - timedelta(seconds=1)) == 0
    assert deliveries.claim(places=1, now=later) == []
    assert health.drain(now=later) == 1
    assert not WebhookEvent.objects.filter(is_in_flight=True).exists()


def test_disabled_endpoints_where_nothing_waits_cost_a_look_nothing(
    acme: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Once each of them was locked every five seconds, for ever."""
    for number in range(20):
        Application.objects.create(customer=acme, name=f"gone {number}", webhook_url="x", webhook_disabled_at=NOW)

    with django_assert_num_queries(1):
        assert health.drain(now=NOW) == 0


@pytest.mark.parametrize("url", ["the same", "https://elsewhere.example/hook"])
def test_saving_a_url_enables_it_and_sends_nothing_old(publish: Publish, application: Application, url: str) -> None:
    old = publish(now=NOW)
    gone = publish(now=NOW)
    first, second = deliveries.claim(places=2, now=NOW)
    answer(first, 500, now=NOW)
    answer(second, 410, now=NOW)
    wanted = application.webhook_url if url == "the same" else url
    save_url(application, wanted, now=NOW + timedelta(seconds=1))  # before anything was drained
    assert hears(application).webhook_disabled_at is None
    assert application.webhook_failing_since is None

    now = NOW + timedelta(hours=1)
    new = publish(hears(application), now=now)
    assert deliveries.claim(places=10, now=now) == []  # first the old ones are ended
    assert health.drain(now=now) == 1
    assert [claim.event_id for claim in deliveries.claim(places=10, now=now)] == [new.public_id]
    for event in (old, gone):
        event.refresh_from_db()
        assert event.status == "exhausted"


def test_saving_the_url_of_a_working_endpoint_ends_nothing(publish: Publish, application: Application) -> None:
    publish(now=NOW)
    save_url(application, "https://elsewhere.example/hook", now=NOW + timedelta(seconds=1))
    assert health.drain(now=NOW + timedelta(seconds=1)) == 0
    assert len(deliveries.claim(places=10, now=NOW + timedelta(seconds=1))) == 1


@pytest.mark.parametrize("url", ["the same", "https://elsewhere.example/hook"])
@pytest.mark.parametrize("status", [500, 410, 200])
def test_an_answer_to_what_was_sent_before_the_url_was_saved_says_nothing_of_it(
    publish: Publish, application: Application, status: int, url: str
) -> None:
    publish(now=NOW)
    claim = take(now=NOW)
    hears(application, webhook_failing_since=NOW - 4 * DAY)
    wanted = application.webhook_url if url == "the same" else url
    save_url(application, wanted, now=NOW + timedelta(seconds=1))
    error = "" if status == 200 else f"http_{status}"
    late = Result(claim=claim, started_at=NOW, duration_ms=2000, http_status=status, error=error)
    deliveries.note([late], now=NOW + timedelta(seconds=2))
    assert hears(application).webhook_disabled_at is None
    assert application.webhook_failing_since is None


def test_news_that_waited_for_the_url_to_be_saved_is_old(publish: Publish, application: Application) -> None:
    """The note saw the URL as it was; by the time it has the row, a customer has saved it."""
    news = health.News(
        application_id=application.pk, url=application.webhook_url, sent_at=NOW, has_succeeded=False, is_gone=True
    )
    save_url(application, application.webhook_url, now=NOW + timedelta(seconds=1))
    health.hear(news, now=NOW + timedelta(seconds=1))
    assert hears(application).webhook_disabled_at is None


@pytest.mark.django_db(transaction=True)
def test_two_pumps_that_hear_the_same_disable_once_and_wait_for_a_url_that_is_being_saved(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    news = health.News(
        application_id=application.pk, url=application.webhook_url, sent_at=NOW, has_succeeded=False, is_gone=True
    )

    def hear(_: int) -> None:
        try:
            health.hear(news, now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            Application.objects.select_for_update(no_key=True).get()
            heard = pool.map(hear, range(2))
            _wait_until(lambda: _waiting_for_locks() == 2)
        list(heard)
    assert hears(application).webhook_disabled_at == NOW
    assert [line.message for line in caplog.records if "is disabled" in line.message] == [
        f"the webhook endpoint of {application.public_id} is disabled: it answered 410 (Gone)"
    ]

    save_url(application, application.webhook_url, now=NOW)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            save_url(application, "https://elsewhere.example/hook", now=NOW)
            heard = pool.map(hear, range(1))
            _wait_until(lambda: _waiting_for_locks() == 1)
        list(heard)
    assert hears(application).webhook_disabled_at is None


def test_a_healthy_endpoint_costs_a_note_no_further_query(publish: Publish, application: Application) -> None:
    for _ in range(8):
        publish(now=NOW)
    claims = deliveries.claim(places=8, now=NOW)
    results = [Result(claim=claim, started_at=NOW, duration_ms=5, http_status=200) for claim in claims]
    with CaptureQueriesContext(connection) as queries:
        deliveries.note(results, now=NOW)
    assert len(queries) == 1


def test_a_large_backlog_is_ended_batch_by_batch(
    publish: Publish, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_BATCH", 3)
    for _ in range(10):
        publish(now=NOW + DAY)
    disable(publish, application)
    monkeypatch.setattr(health, "_RUN_SECONDS", 0)
    assert health.drain(now=NOW) == 0  # a run whose time is over leaves the rest to the next one
    monkeypatch.setattr(health, "_RUN_SECONDS", 30)
    assert health.drain(now=NOW) == 10


# Mail


@pytest.fixture
def mail_server(settings: Settings, acme: Customer) -> None:
    """A mail server, staff, and a contact address."""
    settings.EMAIL_URL = "smtp://mail.example"
    settings.STAFF_EMAIL = "staff@platform.example"
    Customer.objects.update(contact_email="ops@acme.example")


def test_customer_and_staff_are_mailed_once(publish: Publish, application: Application, mail_server: None) -> None:
    disable(publish, application)
    assert post.send(now=NOW) == 1
    assert post.send(now=NOW + DAY) == 0
    [letter] = mail.outbox
    assert letter.recipients() == ["ops@acme.example", "staff@platform.example"]
    assert letter.subject == f"The webhook endpoint of {application.public_id} is disabled"
    assert letter.body.startswith(f"Since {NOW:%Y-%m-%d %H:%M} UTC events are not sent any more")
    assert f"acme's ({application.public_id}): it answered 410 (Gone)." in letter.body


@pytest.mark.parametrize(
    ("contact", "staff", "recipients"),
    [("", "staff@platform.example", ["staff@platform.example"]), ("ops@acme.example", "", ["ops@acme.example"])],
)
def test_mails_whom_it_knows(
    publish: Publish, application: Application, mail_server: None, settings: Settings, contact: str, staff: str,
    recipients: list[str],
) -> None:  # fmt: skip
    settings.STAFF_EMAIL = staff
    Customer.objects.update(contact_email=contact)
    disable(publish, application)
    assert post.send(now=NOW) == 1
    assert mail.outbox[0].recipients() == recipients


def test_mails_nobody_without_an_address_or_a_mail_server(
    publish: Publish, application: Application, mail_server: None, settings: Settings
) -> None:
    settings.STAFF_EMAIL = ""
    Customer.objects.update(contact_email="")
    disable(publish, application)
    assert post.send(now=NOW) == 0
    assert not Notice.objects.exists()

    settings.EMAIL_URL, settings.STAFF_EMAIL = "", "staff@platform.example"
    save_url(application, application.webhook_url, now=NOW + DAY)
    hears(application)
    health.drain(now=NOW + DAY)
    disable(publish, application, now=NOW + DAY)
    assert post.send(now=NOW + DAY) == 0
    assert mail.outbox == []


def _waiting_for_locks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction, what is seen once stays
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        waiting: int = cursor.fetchone()[0]
    return waiting


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline, "waited ten seconds"
        time.sleep(0.01)
