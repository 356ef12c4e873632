"""Webhooks at the console: deliveries with their attempts, replayed by those who may, and how endpoints fare."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from applications.models import Application
from tests.console.conftest import NOW, Cast, make_call
from tests.console.pages import address
from tests.console.test_applications import application_form
from webhooks.models import DeliveryAttempt, WebhookEvent


@pytest.fixture
def event(cast: Cast) -> WebhookEvent:
    """A delivery that was given up after a 500."""
    make_call(cast)
    event = WebhookEvent.objects.get()
    event.status, event.next_attempt_at, event.error = WebhookEvent.Status.EXHAUSTED, None, "http_500"
    event.save()
    return event


def replay_url(event: WebhookEvent) -> str:
    return reverse("admin:webhooks_webhookevent_replay", args=[event.pk])


def disable(application: Application) -> None:
    application.webhook_failing_since = NOW
    application.webhook_disabled_at = NOW + timedelta(days=3)
    application.save()


def test_a_delivery_shows_what_became_of_it_and_each_attempt(root: Client, event: WebhookEvent) -> None:
    DeliveryAttempt.objects.create(
        event=event, number=2, started_at=NOW, duration_ms=3021, error="connect_timeout", response="<b>try later</b>"
    )
    page = root.get(address(WebhookEvent, "change", event.pk)).content.decode()
    for shown in ("Exhausted", "http_500", "connect_timeout", "3021", "&lt;b&gt;try later", event.delivery_id):
        assert shown in page
    assert "Exhausted" in root.get(address(WebhookEvent, "changelist")).content.decode()


def test_a_page_of_a_delivery_asks_the_same_number_of_queries_for_20_attempts_as_for_1(
    root: Client, event: WebhookEvent
) -> None:
    url = address(WebhookEvent, "change", event.pk)
    root.get(url)  # the session and content types are read once
    with CaptureQueriesContext(connection) as few:
        root.get(url)
    DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(event=event, number=number, started_at=NOW, duration_ms=1) for number in range(2, 21)
    )
    with CaptureQueriesContext(connection) as many:
        root.get(url)
    assert len(many) == len(few)
    assert not [query for query in many if "COUNT(*)" in query["sql"] and "webhookevent" in query["sql"]]


def test_a_replay_asks_first_and_is_in_the_history(root: Client, event: WebhookEvent) -> None:
    assert "Send this event again" in root.get(replay_url(event)).content.decode()
    assert "This field is required" in root.post(replay_url(event), {}).content.decode()
    event.refresh_from_db()
    assert event.status == "exhausted"

    page = root.post(replay_url(event), {"reason": "receiver mended"}, follow=True).content.decode()
    assert "The event is sent again." in page
    event.refresh_from_db()
    assert (event.status, event.error, event.attempts) == ("pending", "", 1)
    assert event.next_attempt_at == event.replayed_at

    page = root.post(replay_url(event), {"reason": "a second click"}, follow=True).content.decode()
    assert "The event is being sent already." in page
    assert [line.change_message for line in LogEntry.objects.all()] == ["replayed. Reason: receiver mended"]


def test_a_replay_to_nowhere_says_so(root: Client, cast: Cast, event: WebhookEvent) -> None:
    disable(cast.application)
    page = root.post(replay_url(event), {"reason": "try"}, follow=True).content.decode()
    assert "Not replayed: the webhook_url is disabled: saving it enables it." in page
    event.refresh_from_db()
    assert (event.status, LogEntry.objects.count()) == ("exhausted", 0)


def test_only_staff_who_may_change_deliveries_replay(staff: Callable[..., Client], event: WebhookEvent) -> None:
    looks = staff("webhooks.view_webhookevent")
    assert replay_url(event) not in looks.get(address(WebhookEvent, "change", event.pk)).content.decode()
    assert looks.post(replay_url(event), {"reason": "mischief"}).status_code == 403
    event.refresh_from_db()
    assert event.status == "exhausted"

    may = staff("webhooks.view_webhookevent", "webhooks.change_webhookevent")
    assert replay_url(event) in may.get(address(WebhookEvent, "change", event.pk)).content.decode()
    may.post(replay_url(event), {"reason": "mended"})
    event.refresh_from_db()
    assert event.status == "pending"


def test_an_application_shows_how_its_endpoint_fares(root: Client, cast: Cast) -> None:
    url = address(Application, "change", cast.application.pk)
    assert "No failure since the last success" in root.get(url).content.decode()
    cast.application.webhook_failing_since = NOW
    cast.application.save()
    assert "Failing since 2026-03-04 05:06:07" in root.get(url).content.decode()
    disable(cast.application)
    said = "Disabled at 2026-03-07 05:06:07: no delivery has succeeded since 2026-03-04 05:06 UTC"
    assert said in root.get(url).content.decode()
    assert "disabled since 2026-03-07 05:06:07" in root.get(address(Application, "changelist")).content.decode()


def test_the_list_finds_endpoints_in_trouble(root: Client, cast: Cast) -> None:
    url = address(Application, "changelist")

    def found(endpoint: str) -> bool:
        return cast.application.public_id in root.get(url, {"endpoint": endpoint}).content.decode()

    assert not found("failing")
    cast.application.webhook_failing_since = NOW
    cast.application.save()
    assert (found("failing"), found("disabled")) == (True, False)
    disable(cast.application)
    assert (found("failing"), found("disabled")) == (False, True)


def test_staff_enable_an_endpoint_with_a_reason(
    root: Client, staff: Callable[..., Client], cast: Cast, event: WebhookEvent
) -> None:
    url = reverse("admin:applications_application_enable_endpoint", args=[cast.application.pk])
    page = address(Application, "change", cast.application.pk)
    assert url not in root.get(page).content.decode()
    disable(cast.application)
    assert url in root.get(page).content.decode()
    assert staff("applications.view_application").post(url, {"reason": "mischief"}).status_code == 403
    root.post(url, {})
    cast.application.refresh_from_db()
    assert cast.application.webhook_disabled_at

    root.post(url, {"reason": "the customer asked"})
    cast.application.refresh_from_db()
    assert (cast.application.webhook_disabled_at, cast.application.webhook_failing_since) == (None, None)
    assert LogEntry.objects.get().change_message == "webhook endpoint enabled. Reason: the customer asked"
    event.refresh_from_db()
    assert event.status == "exhausted"


def test_a_new_url_enables_the_endpoint_and_a_new_name_does_not(root: Client, cast: Cast) -> None:
    disable(cast.application)
    url = address(Application, "change", cast.application.pk)
    root.post(url, application_form(name="Renamed", webhook_url="https://acme.example/hook"))
    cast.application.refresh_from_db()
    assert (cast.application.name, bool(cast.application.webhook_disabled_at)) == ("Renamed", True)
    root.post(url, application_form(webhook_url="https://acme.example/other"))
    cast.application.refresh_from_db()
    assert (cast.application.webhook_url, cast.application.webhook_disabled_at) == ("https://acme.example/other", None)
