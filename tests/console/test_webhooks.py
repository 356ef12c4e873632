"""Webhooks at the console: deliveries with their attempts, replayed by those who may, and how endpoints fare."""

from collections.abc import Callable
from datetime import timedelta
from io import BytesIO

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.db.models import Value
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from applications import jobs
from applications.models import Application, Job
from minivoice import console
from tests.console.conftest import NOW, Cast, make_call
from tests.console.pages import address
from tests.console.test_applications import application_form
from tests.factories import ApplicationFactory
from webhooks import replaying
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
    assert f"Failing since {console.moment(NOW)}" in root.get(url).content.decode()
    disable(cast.application)
    at = console.moment(cast.application.webhook_disabled_at)
    assert f"Disabled at {at}: no delivery has succeeded since 2026-03-04 05:06 UTC" in root.get(url).content.decode()
    assert f"disabled since {at}" in root.get(address(Application, "changelist")).content.decode()


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


def replay_range_url(application: Application) -> str:
    return reverse("admin:applications_application_replay_events", args=[application.pk])


def range_form(**changes: str) -> dict[str, str]:
    """What the question sends: the day of `NOW`."""
    return {
        "status": "exhausted",
        "since": "2026-03-04T00:00",
        "until": "2026-03-05T00:00",
        "reason": "mended",
        **changes,
    }


def test_the_events_of_a_time_are_replayed_by_a_job(
    staff: Callable[..., Client], cast: Cast, event: WebhookEvent
) -> None:
    for number in range(1, 4):
        make_call(cast, number)
    WebhookEvent.objects.filter(pk__gt=event.pk).update(status="exhausted", next_attempt_at=None)
    later = WebhookEvent.objects.latest("pk")
    WebhookEvent.objects.filter(pk=later.pk).update(created_at=NOW + timedelta(days=1))
    browser = staff("applications.view_application", "applications.view_job", "webhooks.change_webhookevent")

    answer = browser.post(replay_range_url(cast.application), range_form())

    job = Job.objects.get()
    assert answer.headers["Location"] == console.url_of(job)
    assert jobs.drain()
    job.refresh_from_db()
    assert (job.state, job.line) == (Job.State.DONE, "3 events are sent again.")
    assert WebhookEvent.objects.filter(status="pending").count() == 3
    later.refresh_from_db()
    assert later.status == "exhausted"
    assert (
        "Replay of exhausted events of Front desk"
        in LogEntry.objects.filter(object_id=cast.application.pk).get().change_message
    )


def test_a_replay_that_begins_anew_leaves_out_what_it_has_sent(cast: Cast, event: WebhookEvent) -> None:
    job = Job(
        created_at=NOW,
        params=replaying.params(cast.application, status="delivered", since=NOW, until=NOW + timedelta(1)),
    )
    run = jobs.Run(job=job, tell=lambda percent, line: None, file=BytesIO(), now=NOW)
    WebhookEvent.objects.update(status="delivered", next_attempt_at=None)
    assert replaying.replay(run).line == "1 events are sent again."
    WebhookEvent.objects.update(status="delivered", next_attempt_at=None)  # it was, a moment later
    assert replaying.replay(run).line == "0 events are sent again."


def test_a_replay_to_nowhere_fails_and_says_why(root: Client, cast: Cast, event: WebhookEvent) -> None:
    Application.objects.update(webhook_url="")
    root.post(replay_range_url(cast.application), range_form())
    assert jobs.drain()
    assert Job.objects.get().line == "Not replayed: the application has no webhook_url."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"until": "2026-03-04T00:00"}, "must be after"),
        ({"since": "yesterday"}, "Enter a valid date/time"),
        ({"status": "pending"}, "Select a valid choice"),
        ({"reason": ""}, "This field is required"),
    ],
)
def test_a_time_that_makes_no_sense_is_refused(root: Client, cast: Cast, changes: dict[str, str], said: str) -> None:
    assert said in root.post(replay_range_url(cast.application), range_form(**changes)).content.decode()
    assert not Job.objects.exists()


def test_nobody_else_replays_a_time(staff: Callable[..., Client], cast: Cast) -> None:
    browser = staff("applications.view_application", "webhooks.view_webhookevent")
    assert browser.post(replay_range_url(cast.application), range_form()).status_code == 403


def test_the_log_narrows_down_by_endpoint_then_by_event(root: Client, cast: Cast, event: WebhookEvent) -> None:
    log, other = address(WebhookEvent, "changelist"), ApplicationFactory(customer=cast.customer)

    def shown(**filters: object) -> int:
        return len(root.get(log, filters).context["cl"].result_list)

    assert shown(application__id__exact=cast.application.pk) == 1
    assert shown(application__id__exact=other.pk) == 0
    assert shown(application__id__exact=cast.application.pk, type="call.failed") == 1
    assert shown(application__id__exact=cast.application.pk, type="call.created") == 0
    assert "By event" not in root.get(log).content.decode()


def test_a_deliverys_page_has_the_headers_but_no_signature(root: Client, cast: Cast, event: WebhookEvent) -> None:
    page = root.get(address(WebhookEvent, "change", event.pk)).content.decode()
    assert f"X-MiniVoice-Delivery: {event.delivery_id}" in page
    assert "and signatures, made anew for each attempt" in page
    assert "v1=" not in page
    Application.objects.update(webhook_secret=Value("of a key that is gone"))
    assert "and signatures" in root.get(address(WebhookEvent, "change", event.pk)).content.decode()
    Application.objects.update(webhook_secret="")
    assert "no signature: there is no secret" in root.get(address(WebhookEvent, "change", event.pk)).content.decode()
