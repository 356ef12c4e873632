"""How a customer stands: money, limits with what is used of them, refusals, usage, and its applications."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q, Sum
from django.http import HttpRequest
from django.urls import reverse

from applications import limits
from applications.models import Application, Customer
from billing.models import Balance, SpendDay
from calls import suspension
from calls.admin import charts
from calls.models import Call, Refusal, UsageDay
from minivoice import console, money

USAGE_DAYS = 30
REFUSAL_DAYS = 7


@dataclass(frozen=True, slots=True)
class Control:
    """A limit, what is used of it now (None: nothing is counted), and of how much."""

    name: str
    used: str
    most: str
    percent: int | None = None


def about(customer: Customer, request: HttpRequest, *, now: datetime) -> dict[str, Any]:
    """Return what the page of a customer shows above its settings, as far as this request's user may see it."""
    user = request.user
    balance = Balance.objects.filter(customer=customer).first()
    sees_calls, currency = user.has_perm("calls.view_call"), balance.currency if balance else ""
    sees_money = user.has_perm("billing.view_balance") or user.has_perm("billing.change_balance")
    shown = balance if sees_money else None
    return {
        "facts": list(_money(shown)),
        "controls": list(_controls(customer, shown, now)),
        "temporary": customer.temporary_until if limits.are_temporary(customer, at=now) else None,
        "applications": list(_applications(customer)) if user.has_perm("applications.view_application") else [],
        "refusals": _refusals(customer, now) if sees_calls else [],
        "refusal_days": REFUSAL_DAYS,
        "usage": _usage(customer, currency, now) if sees_calls else None,
        "links": list(_links(customer, request)),
    }


def _money(balance: Balance | None) -> Iterator[tuple[str, Any]]:
    if balance is not None:
        available = balance.posted + balance.credit_limit - balance.held
        flag = ", below zero: nothing more is granted" if available < 0 else ""
        yield "Available", console.amount(available, balance.currency) + flag
        yield "Posted", console.amount(balance.posted, balance.currency)
        yield "Held by live calls", console.amount(balance.held, balance.currency)
        yield "Credit limit", console.amount(balance.credit_limit, balance.currency)


def _controls(customer: Customer, balance: Balance | None, now: datetime) -> Iterator[Control]:
    allowed = limits.in_force(customer, at=now)
    second = Q(accepted_at__gt=now - timedelta(seconds=1), parent=None)
    last_second = Call.objects.filter(second, customer=customer).count()
    yield _counted("Calls up", suspension.live_calls(customer).count(), allowed.concurrent_calls)
    yield _counted("Calls in the last second", last_second, allowed.cps)
    if balance is not None:
        days = SpendDay.objects.filter(customer=customer, day=now.date())
        spent = balance.held + (days.values_list("charged", flat=True).first() or 0)
        cap = balance.day_cap
        share = min(100, int(spent * 100 / cap)) if cap else None
        most = console.amount(cap, balance.currency) if cap is not None else "no cap"
        yield Control("Charged and held today (UTC)", console.amount(spent, balance.currency), most, share)
        highest = balance.highest_price_per_minute
        yield Control("Highest price per minute", "", "any" if highest is None else money.text(highest))
    countries = ", ".join(customer.allowed_countries) or "all"
    yield Control("Countries that may be called", "", countries)
    yield Control("Prefixes that are blocked", "", ", ".join(customer.blocked_prefixes) or "none")
    yield Control("Premium-rate numbers", "", "allowed" if customer.premium_rate_allowed else "blocked")
    verified = len(customer.verified_caller_ids)
    shown = customer.get_caller_id_policy_display()
    yield Control("Caller ids", "", f"{shown}; {verified} verified")


def _counted(name: str, used: int, most: int) -> Control:
    return Control(name, str(used), str(most), min(100, used * 100 // most) if most else 100)


def _applications(customer: Customer) -> Iterator[dict[str, Any]]:
    working = Count("keys", filter=Q(keys__revoked_at=None))
    for application in Application.objects.filter(customer=customer).annotate(working=working).order_by("name")[:50]:
        yield {
            "link": console.link(console.url_of(application), application.name),
            "state": "in use" if application.is_active else "out of use",
            "keys": application.working,
            "issue_url": reverse("admin:applications_application_issue_key", args=[application.pk]),
            "endpoint": "disabled" if application.webhook_disabled_at else application.webhook_url or "no webhook URL",
        }


def _refusals(customer: Customer, now: datetime) -> list[dict[str, Any]]:
    """Return the refusals of the last days by code, the most frequent first, each with the last of them."""
    since = now - timedelta(days=REFUSAL_DAYS)
    recent = Refusal.objects.filter(customer=customer, minute__gte=since)
    sums = recent.values("code").annotate(total=Sum("count"), last_at=Max("minute")).order_by("-total", "code")
    latest = {each.code: each for each in recent.order_by("code", "-minute").distinct("code")}
    return [
        {
            "code": each["code"],
            "total": each["total"],
            "last_at": each["last_at"],
            "last_number": console.numbers(latest[each["code"]].last_number),
            "last_message": console.numbers(latest[each["code"]].last_message),
        }
        for each in sums
    ]


def _usage(customer: Customer, currency: str, now: datetime) -> dict[str, Any]:
    """Return calls and cost by UTC day, for the chart and for those who cannot see one."""
    today = now.date()
    days = [today - timedelta(days=back) for back in reversed(range(USAGE_DAYS))]
    rows = UsageDay.objects.filter(application__customer=customer, day__gte=days[0]).values("day")
    sums = {row["day"]: row for row in rows.annotate(number=Sum("calls"), cost=Sum("cost_amount"))}
    calls = [sums[day]["number"] if day in sums else 0 for day in days]
    cost = sum(row["cost"] for row in sums.values())
    return {
        "chart": charts.chart([f"{day:%m-%d}" for day in days], {"calls": calls}),
        "days": USAGE_DAYS,
        "calls": sum(calls),
        "cost": console.amount(cost, currency) if sums else "",
    }


def _links(customer: Customer, request: HttpRequest) -> Iterator[str]:
    """Yield links to the lists of what is the customer's, for those who may see them."""
    for name, model in _LISTS.items():
        app, _, kind = model.partition("_")
        if request.user.has_perm(f"{app}.view_{kind}"):
            url = f"{reverse(f'admin:{model}_changelist')}?customer__id__exact={customer.pk}"
            yield console.link(url, name)


_LISTS = {
    "Applications": "applications_application",
    "Calls": "calls_call",
    "Refused calls": "calls_refusal",
    "Ledger": "billing_entry",
    "Held money": "billing_hold",
    "Numbers": "telephony_number",
}
