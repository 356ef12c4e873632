"""How a customer stands, on its page: limits with what is used of them, refusals by code, usage, keys; and support's
own way to give it other limits for a while."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from applications import limits
from applications.limits import Limits
from applications.models import Customer
from billing import ledger
from billing.models import Balance, Entry, SpendDay
from calls import refusals
from calls.models import Refusal, UsageDay
from minivoice import clock, errors
from tests.console.conftest import Cast, make_call
from tests.console.pages import address
from tests.console.test_calls import LIVE
from tests.factories import CustomerFactory, issue_key


def page(cast: Cast) -> str:
    return address(Customer, "change", cast.customer.pk)


def act(name: str, cast: Cast) -> str:
    return reverse(f"admin:applications_customer_{name}", args=[cast.customer.pk])


def controls(browser: Client, cast: Cast) -> dict[str, tuple[str, str, int | None]]:
    return {each.name: (each.used, each.most, each.percent) for each in browser.get(page(cast)).context["controls"]}


def test_each_control_has_what_is_used_of_it_beside_it(root: Client, cast: Cast) -> None:
    Customer.objects.update(max_concurrent_calls=4, max_cps=10)
    now = clock.now()
    make_call(cast, 1, **LIVE, accepted_at=now)
    make_call(cast, 2, **{**LIVE, "accepted_at": now - timedelta(minutes=1)})
    SpendDay.objects.create(customer=cast.customer, day=now.date(), charged=Decimal("0.776"))
    Balance.objects.update(day_cap=Decimal(2))
    shown = controls(root, cast)
    assert shown["Calls up"] == ("2", "4", 50)
    assert shown["Calls in the last second"][1] == "10"
    assert shown["Charged and held today (UTC)"] == ("0.80 USD", "2.00 USD", 40)
    assert shown["Premium-rate numbers"] == ("", "blocked", None)
    Balance.objects.update(day_cap=None)
    assert controls(root, cast)["Charged and held today (UTC)"] == ("0.80 USD", "no cap", None)


def test_an_account_below_zero_is_flagged(root: Client, cast: Cast) -> None:
    customers, below = reverse("admin:applications_customer_changelist"), {"money": "below_zero"}
    assert "below zero" not in root.get(page(cast)).content.decode()
    assert cast.customer not in root.get(customers, below).context["cl"].queryset

    balance = Balance.objects.get(customer=cast.customer)
    correction = -balance.posted - 2
    kind = Entry.Kind.ADJUSTMENT
    ledger.post(customer_id=cast.customer.pk, kind=kind, amount=correction, key="correction", now=clock.now())

    facts = dict(root.get(page(cast)).context["facts"])
    assert facts["Available"] == "-2.00 USD, below zero: nothing more is granted"
    listed = root.get(customers, below)
    assert list(listed.context["cl"].queryset) == [cast.customer]
    assert "-2.00 USD, below zero" in listed.content.decode()


def test_the_calls_of_a_second_count_those_of_that_second(root: Client, cast: Cast) -> None:
    for number in range(3):
        make_call(cast, number, accepted_at=clock.now() + timedelta(seconds=60 * number))
    assert controls(root, cast)["Calls in the last second"][0] == "3"


def test_money_is_shown_to_those_only_who_may_see_it(staff: Callable[..., Client], cast: Cast) -> None:
    seeing = staff("applications.view_customer", "billing.view_balance").get(page(cast))
    assert dict(seeing.context["facts"])["Available"] == "10.00 USD"
    blind = staff("applications.view_customer").get(page(cast))
    assert blind.context["facts"] == []
    assert "10.00" not in blind.content.decode()
    assert blind.context["usage"] is None
    assert blind.context["applications"] == []
    assert blind.context["links"] == []


def test_refusals_are_grouped_by_code_with_the_last_of_each(root: Client, cast: Cast) -> None:
    assert "None in the last 7 days." in root.get(page(cast)).content.decode()
    now = clock.now()
    for minutes, number in ((9, "+15550001"), (5, "+15550002"), (1, "+15550003")):
        at = now - timedelta(minutes=minutes)
        refusals.note(customer_id=cast.customer.pk, number=number, refusal=errors.RateNotFound(), now=at)
    old = now - timedelta(days=8)
    refusals.note(customer_id=cast.customer.pk, number="+15550004", refusal=errors.CpsLimitReached("5"), now=old)
    refusals.note(customer_id=cast.customer.pk, number="+15550004", refusal=errors.InsufficientBalance(), now=now)
    refusals.note(customer_id=CustomerFactory().pk, number="+15550005", refusal=errors.RateNotFound(), now=now)
    shown = root.get(page(cast)).context["refusals"]
    assert [(each["code"], each["total"], each["last_number"]) for each in shown] == [
        ("rate_not_found", 3, "+15550003"),
        ("insufficient_balance", 1, "+15550004"),
    ]


def test_usage_is_told_and_drawn_by_day(root: Client, cast: Cast) -> None:
    today = clock.now().date()
    for days, calls in ((0, 3), (29, 4), (30, 100)):
        UsageDay.objects.create(
            application=cast.application,
            day=today - timedelta(days=days),
            rate_prefix="1555",
            calls=calls,
            duration_seconds=60,
            billable_seconds=60,
            cost_amount=Decimal("0.5"),
        )
    answer = root.get(page(cast))
    assert "7 calls in the last 30 days (UTC), 1.00 USD charged" in " ".join(answer.content.decode().split())
    assert '"data": [4, 0, 0,' in answer.context["usage"]["chart"]["data"]
    assert f'"{today:%m-%d}"]' in answer.context["usage"]["chart"]["data"]


def test_applications_are_shown_with_their_keys_that_work(root: Client, cast: Cast) -> None:
    issue_key(cast.application, "calls")
    (shown,) = root.get(page(cast)).context["applications"]
    assert shown["keys"] == 2
    assert (
        reverse("admin:applications_application_issue_key", args=[cast.application.pk])
        in root.get(page(cast)).content.decode()
    )


def test_a_page_costs_the_same_queries_however_much_there_is(root: Client, cast: Cast) -> None:
    root.get(page(cast))
    with CaptureQueriesContext(connection) as few:
        root.get(page(cast))
    now = clock.now()
    for number in range(5):
        make_call(cast, number)
        refusals.note(customer_id=cast.customer.pk, number="+1", refusal=errors.RateNotFound(), now=now)
        issue_key(cast.application, "calls")
    with CaptureQueriesContext(connection) as many:
        root.get(page(cast))
    assert len(many) == len(few)


def test_support_gives_limits_until_a_day_is_over(staff: Callable[..., Client], cast: Cast) -> None:
    Customer.objects.update(max_concurrent_calls=20, max_cps=5)
    now = clock.now()
    support = staff("applications.view_customer", "applications.give_limits")
    day = now.date() + timedelta(days=3)
    form = {"concurrent_calls": "50", "cps": "", "last_day": str(day), "reason": "campaign"}
    assert support.post(act("give_limits", cast), form).status_code == 302
    customer = Customer.objects.get()
    assert limits.in_force(customer, at=now) == Limits(50, 5)
    assert limits.in_force(customer, at=now + timedelta(days=4)) == Limits(20, 5)
    said = LogEntry.objects.get().change_message
    assert said == (
        f"limits until {day + timedelta(days=1)} 00:00 UTC from 20 calls up, 5 a second to 50 calls up, 5 a second. "
        "Reason: campaign"
    )
    shown = support.get(page(cast))
    assert controls(support, cast)["Calls up"] == ("0", "50", 0)
    assert "After that: 20 calls up" in " ".join(shown.content.decode().split())
    assert support.post(act("end_limits", cast), {"reason": "over"}).status_code == 302
    assert limits.in_force(Customer.objects.get(), at=now) == Limits(20, 5)
    assert "After that" not in support.get(page(cast)).content.decode()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"concurrent_calls": "", "cps": ""}, "give one limit at least"),
        ({"concurrent_calls": "0"}, "greater than or equal to 1"),
        ({"last_day": "2020-01-01"}, "must be today"),
        ({"last_day": "2999-01-01"}, "must be today"),
        ({"last_day": ""}, "This field is required"),
        ({"reason": ""}, "This field is required"),
    ],
)
def test_refuses_limits_that_make_no_sense(root: Client, cast: Cast, changes: dict[str, str], said: str) -> None:
    form = {"concurrent_calls": "50", "cps": "9", "last_day": str(clock.now().date()), "reason": "why", **changes}
    assert said in root.post(act("give_limits", cast), form).content.decode()
    assert Customer.objects.get().temporary_until is None


def test_nobody_else_gives_limits(staff: Callable[..., Client], cast: Cast) -> None:
    browser = staff("applications.view_customer", "billing.view_balance")
    for name in ("give_limits", "end_limits"):
        assert browser.post(act(name, cast), {"reason": "mischief"}).status_code == 403
    assert act("give_limits", cast) not in browser.get(page(cast)).content.decode()


def test_refused_calls_are_listed_and_summed_by_code(root: Client, cast: Cast) -> None:
    url = address(Refusal, "changelist")
    assert "No call was refused." in root.get(url).content.decode()
    now = clock.now()
    for number in ("+15550001", "+15550002"):
        refusals.note(customer_id=cast.customer.pk, number=number, refusal=errors.RateNotFound(), now=now)
    refusals.note(
        customer_id=cast.customer.pk, number="+1", refusal=errors.InsufficientBalance(), now=now - timedelta(days=2)
    )
    answer = root.get(url)
    (summed,) = answer.context["by_code"]
    assert (summed["code"], summed["calls"], summed["customers"]) == ("rate_not_found", 2, 1)
    assert len(answer.context["cl"].result_list) == 2
    (only,) = root.get(url, {"code": "insufficient_balance"}).context["cl"].result_list
    assert only.last_number == "+1"
