"""Who changes anything in the console says why, and its history tells."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from applications.models import Customer
from billing.models import Balance
from calls.admin.customers import CallingCustomerAdmin
from telephony.models import Number
from tests.console.conftest import Cast
from tests.console.pages import address
from tests.console.test_customers import form

PASSWORD = "a long enough password"


@pytest.fixture
def ada(db: None) -> User:
    """A colleague."""
    return User.objects.create_user("ada", is_staff=True, password=PASSWORD)


def rows(cast: Cast, ada: User) -> list[Any]:
    """One row of everything that has a form to change it."""
    owned = [cast.customer, cast.application, Number.objects.get()]
    return [*owned, cast.trunk, cast.engine, cast.deck, cast.draft, cast.draft.rates.get(), ada, Group.objects.all()[0]]


def test_every_form_asks_last_why_and_takes_nothing_without(root: Client, cast: Cast, ada: User) -> None:
    asked: list[type[Model]] = []
    for row in rows(cast, ada):
        page = root.get(address(type(row), "change", row.pk))
        assert page.context["adminform"].fieldsets[-1] == ("Why", {"fields": ["reason"]})
        refused = root.post(address(type(row), "change", row.pk), {"name": "another"})
        assert refused.context["adminform"].form.errors["reason"] == ["This field is required."]
        asked.append(type(row))

    assert LogEntry.objects.count() == 0
    request: Any = root.get("/admin/").wsgi_request
    assert {model for model, page in admin.site._registry.items() if page.has_change_permission(request)} == set(asked)


def test_a_customer_is_not_changed_without_a_reason_and_with_one_the_history_tells_it(root: Client, cast: Cast) -> None:
    url = address(Customer, "change", cast.customer.pk)
    change = {"max_cps": "7", "balance-0-day_cap": "50"}
    answer = root.post(url, form(cast, **change, reason="  "))

    assert answer.status_code == 200
    assert "This field is required" in answer.content.decode()
    cast.customer.refresh_from_db()
    assert (cast.customer.max_cps, Balance.objects.get().day_cap) == (100, None)

    assert root.post(url, form(cast, **change, reason="ticket 4711, by mail")).status_code == 302
    said = LogEntry.objects.get().change_message
    assert "day cap from nothing to 50.00" in said
    assert said.endswith(". Reason: ticket 4711, by mail")
    assert "ticket 4711, by mail" in root.get(address(Customer, "history", cast.customer.pk)).content.decode()


def test_rights_are_given_with_a_reason(root: Client, ada: User) -> None:
    group = Group.objects.get(name="support")
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "0:00"}
    fields = {"username": "ada", "is_active": "on", "is_staff": "on", "groups": [group.pk], **joined}
    assert root.post(address(User, "change", ada.pk), {**fields, "reason": "joins support"}).status_code == 302
    assert list(ada.groups.all()) == [group]
    assert "groups from nothing to support" in LogEntry.objects.latest("pk").change_message

    own = Group.objects.create(name="night shift")
    answer = root.post(address(Group, "change", own.pk), {"name": "nights", "reason": "shorter"})
    assert answer.status_code == 302
    assert LogEntry.objects.latest("pk").change_message == "name from night shift to nights. Reason: shorter"


def test_a_colleague_gets_a_password_for_a_reason(root: Client, ada: User) -> None:
    url = reverse("admin:auth_user_password_change", args=[ada.pk])
    words = {"password1": "another long password", "password2": "another long password"}
    assert 'name="reason"' in root.get(url).content.decode()
    assert "This field is required" in root.post(url, words).content.decode()
    assert User.objects.get(pk=ada.pk).check_password(PASSWORD)

    assert root.post(url, {**words, "reason": "forgot it"}).status_code == 302
    assert User.objects.get(pk=ada.pk).check_password(words["password1"])
    assert LogEntry.objects.get().change_message == "password replaced. Reason: forgot it"


def test_nobody_is_suspended_or_let_in_without_a_line_of_history(
    root: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no history today")

    monkeypatch.setattr(CallingCustomerAdmin, "log_change", fail)
    for act, status in (("suspend", "active"), ("lift", "suspended")):
        Customer.objects.update(status=status)
        with pytest.raises(RuntimeError):
            root.post(address(Customer, act, cast.customer.pk), {"reason": "x"})
        cast.customer.refresh_from_db()
        assert cast.customer.status == status
