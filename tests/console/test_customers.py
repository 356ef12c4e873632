"""A customer's page: where it may call, what it may spend, and shutting it out."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from applications.models import Customer
from billing.models import Balance
from calls.models import Call
from minivoice import clock
from telephony import link
from tests.calls.steps import FakeEngine
from tests.console.conftest import Cast, make_call
from tests.console.pages import address


def form(cast: Cast, **changes: str) -> dict[str, str]:
    """What the page of a customer sends."""
    return {
        "name": "acme",
        "max_concurrent_calls": "100",
        "max_cps": "100",
        "caller_id_policy": "own",
        "verified_caller_ids": "",
        "allowed_countries": "",
        "blocked_prefixes": "870",
        "reason": "as agreed",
        "balance-TOTAL_FORMS": "1",
        "balance-INITIAL_FORMS": "1",
        "balance-0-customer": str(cast.customer.pk),
        "balance-0-deck": str(cast.deck.pk),
        **changes,
    }


def action(cast: Cast, name: str) -> str:
    return reverse(f"admin:applications_customer_{name}", args=[cast.customer.pk])


def test_spend_controls_are_changed_with_a_line_of_history(root: Client, cast: Cast) -> None:
    page = address(Customer, "change", cast.customer.pk)
    assert root.get(page).status_code == 200
    controls = {
        "allowed_countries": "us, DE",
        "blocked_prefixes": "+881, 870",
        "premium_rate_allowed": "on",
        "balance-0-day_cap": "50",
        "balance-0-highest_price_per_minute": "0.5",
        "balance-0-low_mark": "5",
    }

    assert root.post(page, form(cast, **controls)).status_code == 302

    cast.customer.refresh_from_db()
    assert (cast.customer.allowed_countries, cast.customer.blocked_prefixes) == (["DE", "US"], ["870", "881"])
    assert cast.customer.premium_rate_allowed
    balance = Balance.objects.get()
    assert (balance.day_cap, balance.highest_price_per_minute, balance.low_mark) == (50, Decimal("0.5"), 5)
    assert "allowed countries from nothing to DE, US" in LogEntry.objects.get().change_message


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"allowed_countries": "XX"}, "XX is not a country"),
        ({"allowed_countries": "001"}, "001"),
        ({"blocked_prefixes": "0049"}, "0049 is not the first digits of a number"),
        ({"blocked_prefixes": "44x"}, "44x is not the first digits of a number"),
    ],
)
def test_refuses_what_is_no_country_and_no_prefix(root: Client, cast: Cast, wrong: dict[str, str], said: str) -> None:
    answer = root.post(address(Customer, "change", cast.customer.pk), form(cast, **wrong))
    assert answer.status_code == 200
    assert said in answer.content.decode()
    cast.customer.refresh_from_db()
    assert cast.customer.blocked_prefixes == ["870", "881", "882", "883", "979"]


@pytest.mark.parametrize("hang_up", [True, False])
def test_suspends_with_and_without_hanging_up(
    root: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch, hang_up: bool
) -> None:
    engine = FakeEngine()
    monkeypatch.setattr(link, "adapter", lambda: engine)
    call = make_call(cast, **LIVE_CALL, deadline_at=clock.now() + timedelta(seconds=60))
    assert "Calls up" in root.get(action(cast, "suspend")).content.decode()

    root.post(action(cast, "suspend"), {"reason": "a stolen key", **({"hang_up": "on"} if hang_up else {})})

    cast.customer.refresh_from_db()
    assert cast.customer.status == "suspended"
    assert Call.objects.get(pk=call.pk).status == ("canceled" if hang_up else "queued")
    lines = list(LogEntry.objects.order_by("id").values_list("change_message", flat=True))
    assert lines[0] == "status from active to suspended. Reason: a stolen key"
    assert lines[1:] == (["1 live calls hung up. Reason: a stolen key"] if hang_up else [])

    root.post(action(cast, "lift"), {"reason": "a new key"})
    cast.customer.refresh_from_db()
    assert cast.customer.status == "active"


LIVE_CALL = {
    "status": "queued",
    "ended_at": None,
    "end_reason": "",
    "cost_amount": None,
    "duration_seconds": None,
    "billable_seconds": None,
    "sip_code": None,
}


def test_nothing_is_suspended_without_a_reason(root: Client, cast: Cast) -> None:
    root.post(action(cast, "suspend"), {"reason": " "})
    cast.customer.refresh_from_db()
    assert cast.customer.status == "active"


def test_the_status_is_no_field_of_the_form(root: Client, cast: Cast) -> None:
    root.post(address(Customer, "change", cast.customer.pk), form(cast, status="suspended"))
    cast.customer.refresh_from_db()
    assert cast.customer.status == "active"
