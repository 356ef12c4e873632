"""Applications at the console: keys shown once, secrets written and never shown."""

import re
from collections.abc import Callable
from datetime import timedelta

from django.contrib.admin.models import LogEntry
from django.db.models import Value
from django.test import Client
from django.urls import reverse

from applications import keys
from applications.models import ApiKey, Application, Customer
from minivoice import clock
from tests.console.conftest import Cast
from tests.console.pages import address


def issue_url(cast: Cast) -> str:
    return reverse("admin:applications_application_issue_key", args=[cast.application.pk])


def issue(browser: Client, cast: Cast, *scopes: str) -> str:
    """Issue a key; return the page that shows it."""
    return browser.post(issue_url(cast), {"scopes": scopes, "reason": "a new server"}).content.decode()


def test_an_issued_key_works_and_is_shown_once(root: Client, cast: Cast) -> None:
    shown = re.search(r"mv_live_[\w-]{43}", issue(root, cast, "calls", "manage"))
    assert shown
    caller = keys.recognise(shown[0])
    assert caller
    assert (caller.application, list(caller.scopes)) == (cast.application, ["calls", "manage"])
    for page in ("change", "history", "issue_key"):
        assert shown[0] not in root.get(address(Application, page, cast.application.pk)).content.decode()
    line = LogEntry.objects.get()
    assert (
        line.change_message
        == f"API key {shown[0][:12]}…{shown[0][-4:]} issued with scopes calls, manage. Reason: a new server"
    )


def test_a_key_needs_a_scope_and_a_reason(root: Client, cast: Cast) -> None:
    assert "This field is required" in root.post(issue_url(cast), {"scopes": ["calls"]}).content.decode()
    assert "This field is required" in issue(root, cast)
    assert "available choices" in issue(root, cast, "everything")
    assert ApiKey.objects.count() == 1


def test_a_revoked_key_stays_revoked_and_listed(root: Client, cast: Cast) -> None:
    key = ApiKey.objects.get()
    url = reverse("admin:applications_application_revoke", args=[cast.application.pk, key.pk])
    assert root.get(url).status_code == 200
    assert keys.recognise(cast.secrets[-1])
    for _ in range(2):
        page = root.post(url, {"reason": "leaked"}, follow=True).content.decode()
        assert str(key) in page
    assert keys.recognise(cast.secrets[-1]) is None
    assert LogEntry.objects.get().change_message == f"API key {key} revoked. Reason: leaked"


def test_only_staff_who_may_issue_and_revoke_do(staff: Callable[..., Client], cast: Cast) -> None:
    browser = staff("applications.view_application", "applications.view_apikey")
    key = ApiKey.objects.get()
    assert browser.post(issue_url(cast), {"scopes": ["calls"], "reason": "mischief"}).status_code == 403
    url = reverse("admin:applications_application_revoke", args=[cast.application.pk, key.pk])
    assert browser.post(url, {"reason": "mischief"}).status_code == 403
    key.refresh_from_db()
    assert (ApiKey.objects.count(), key.revoked_at) == (1, None)


def application_form(**more: str) -> dict[str, str]:
    return {
        "name": "IVR",
        "is_active": "on",
        "answer_url": "https://acme.example/answer",
        "answer_method": "POST",
        "fallback_url": "",
        "webhook_url": "",
        "webhook_secret": "",
        "webhook_events": "",
        "keys-TOTAL_FORMS": "0",
        "keys-INITIAL_FORMS": "0",
        "reason": "the customer asked",
        **more,
    }


def test_an_application_keeps_its_webhook_secret_and_its_customer(root: Client, cast: Cast) -> None:
    url = address(Application, "change", cast.application.pk)
    assert root.post(url, application_form(customer="999", is_active="")).status_code == 302
    cast.application.refresh_from_db()
    assert (cast.application.webhook_secret, cast.application.customer) == ("the-webhook-secret", cast.customer)
    assert cast.application.is_active is False


def test_beside_a_new_webhook_secret_the_old_one_signs_on_for_a_day(root: Client, cast: Cast) -> None:
    url = address(Application, "change", cast.application.pk)
    for _ in range(2):  # sent twice
        assert root.post(url, application_form(webhook_secret="a-secret-that-follows")).status_code == 302

    now = clock.now()
    cast.application.refresh_from_db()
    assert cast.application.webhook_secret == "a-secret-that-follows"
    assert cast.application.previous_secret_at(now) == "the-webhook-secret"
    assert cast.application.previous_secret_at(now + timedelta(hours=24)) == ""


def test_a_webhook_secret_that_cannot_be_read_is_kept_or_replaced(root: Client, cast: Cast) -> None:
    url = address(Application, "change", cast.application.pk)
    Application.objects.update(webhook_secret=Value("of a key that is gone"))

    page = root.get(url).content.decode()
    assert "A value is set; leave empty to keep it." in page
    assert "of a key that is gone" not in page
    assert root.post(url, application_form(name="renamed")).status_code == 302
    assert list(Application.objects.values_list("name", "webhook_secret")) == [("renamed", "of a key that is gone")]

    assert root.post(url, application_form(webhook_secret="a-secret-that-follows")).status_code == 302
    assert Application.objects.get().webhook_secret == "a-secret-that-follows"


def test_refuses_urls_that_lead_inside(root: Client, cast: Cast) -> None:
    url = address(Application, "change", cast.application.pk)
    for inside in ("http://10.0.0.1/", "ftp://acme.example/", "http://[::1]/"):
        assert root.post(url, application_form(webhook_url=inside)).status_code == 200
    cast.application.refresh_from_db()
    assert cast.application.webhook_url == "https://acme.example/hook"


def test_a_new_application_has_the_secret_it_was_given(root: Client, cast: Cast) -> None:
    form = application_form(customer=str(cast.customer.pk), webhook_secret="a-secret-of-its-own")
    assert root.post(address(Application, "add"), form).status_code == 302
    assert Application.objects.latest("id").webhook_secret == "a-secret-of-its-own"
    assert "a-secret-of-its-own" not in "".join(line.change_message for line in LogEntry.objects.all())


def test_a_customers_caller_ids_are_numbers(root: Client, cast: Cast) -> None:
    form = {
        "name": "acme",
        "status": "active",
        "max_concurrent_calls": "5",
        "max_cps": "2",
        "caller_id_policy": "own",
        "verified_caller_ids": "+15551230001, 0800 12345",
        "balance-TOTAL_FORMS": "1",
        "balance-INITIAL_FORMS": "1",
        "balance-0-customer": str(cast.customer.pk),
        "balance-0-deck": str(cast.deck.pk),
        "balance-0-day_cap": "",
        "reason": "verified by mail",
    }
    url = address(Customer, "change", cast.customer.pk)
    assert "0800 12345 is not an E.164 number" in root.post(url, form).content.decode()
    assert root.post(url, {**form, "verified_caller_ids": "+15551230001, +442079460000"}).status_code == 302
    cast.customer.refresh_from_db()
    assert cast.customer.verified_caller_ids == ["+15551230001", "+442079460000"]
