"""May this call be made? The order of the checks, each check, and what a refusal leaves behind: nothing."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps

from applications import limits
from applications.models import Customer
from billing import ledger
from billing.models import Balance, DeckVersion, Entry, Rate, SpendDay
from calls.models import Call, Refusal
from minivoice import clock, errors
from telephony.models import Engine, Number, Trunk
from tests import factories
from tests.calls.steps import FakeEngine, answer, dial, end, keep_within_a_second, place
from tests.conftest import Actor

pytestmark = pytest.mark.django_db


def spend_everything(acme: Actor) -> None:
    ledger.post(
        customer_id=acme.customer.pk,
        kind=Entry.Kind.ADJUSTMENT,
        amount=-Decimal(100),
        key=str(uuid4()),
        now=clock.now(),
    )


def block(acme: Actor) -> None:
    """The number is blocked; its unblocked neighbours are not."""
    Rate.objects.update(blocked=True)


def forbid_the_country(acme: Actor) -> None:
    """Only Germany may be called."""
    Customer.objects.update(allowed_countries=["DE"])


def price_beyond(acme: Actor) -> None:
    """The rate of 0.60 a minute is a little dearer than may be."""
    Balance.objects.update(highest_price_per_minute=Decimal("0.599999"))


# In their documented order. A blocked rate is a rate: with it, "rate" cannot refuse too.
SPOILERS: dict[str, tuple[str, Callable[[Actor], Any]]] = {
    "engine": ("unavailable", lambda acme: Engine.objects.update(seen_at=None)),
    "caller id": ("caller_id_not_allowed", lambda acme: Number.objects.all().delete()),
    "country": ("destination_blocked", forbid_the_country),
    "blocked prefix": ("destination_blocked", lambda acme: Customer.objects.update(blocked_prefixes=["1555"])),
    "blocked rate": ("destination_blocked", block),
    "rate": ("rate_not_found", lambda acme: DeckVersion.objects.update(state="draft")),
    "trunk": ("no_active_trunk", lambda acme: Trunk.objects.update(is_active=False)),
    "highest price": ("spend_control_exceeded", price_beyond),
    "day cap": ("spend_control_exceeded", lambda acme: Balance.objects.update(day_cap=Decimal("0.59"))),
    "balance": ("insufficient_balance", spend_everything),
    "concurrency": (
        "concurrent_call_limit_reached",
        lambda acme: Customer.objects.update(max_concurrent_calls=0),
    ),
    "calls per second": ("cps_limit_reached", lambda acme: Customer.objects.update(max_cps=0)),
}
ORDER = list(SPOILERS)


def refused(acme: Actor, **changes: Any) -> str:
    """Return the code a call is refused with."""
    with pytest.raises(errors.ApiError) as refusal:
        place(acme, **changes)
    return refusal.value.code


@pytest.mark.parametrize("first", ORDER)
def test_the_first_refusal_wins(acme: Actor, first: str) -> None:
    later = ORDER[ORDER.index(first) :]
    for check in reversed(later):
        if check != "rate" or first in {"rate", "trunk"}:
            SPOILERS[check][1](acme)

    assert refused(acme) == SPOILERS[first][0]


@pytest.mark.parametrize("check", ORDER)
def test_a_refused_call_leaves_nothing_behind(acme: Actor, check: str) -> None:
    SPOILERS[check][1](acme)
    before = everything()

    assert refused(acme) == SPOILERS[check][0]

    assert everything() == before


def test_refusals_of_a_minute_are_one_line(acme: Actor) -> None:
    Number.objects.all().delete()
    for last in range(3):
        refused(acme, to_number=f"+1555123000{last}")
    Trunk.objects.update(is_active=False)
    Customer.objects.update(caller_id_policy="any")
    refused(acme)

    lines = Refusal.objects.order_by("id").values_list("code", "count", "last_number")
    assert sum(count for code, count, _ in lines if code == "caller_id_not_allowed") == 3
    assert list(lines)[-1] == ("no_active_trunk", 1, "+15551230002")
    assert {line.minute.second for line in Refusal.objects.all()} == {0}


def everything() -> dict[str, list[Any]]:
    """Return every row of every table of ours, but for the line that support reads of the refusal."""
    ours = [model for model in apps.get_models() if model._meta.app_label in OURS and model is not Refusal]
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in ours}  # type: ignore[attr-defined]


OURS = {"applications", "billing", "calls", "telephony", "webhooks"}


@pytest.mark.parametrize(
    ("caller_id", "allowed"),
    [
        ("+15551230001", True),  # its number
        ("+15551230005", True),  # verified by staff
        ("+15551230006", False),  # its number once
        ("+15551230007", False),  # globex's number
        ("+15551230008", False),
    ],
)
def test_platform_trunks_show_own_numbers_and_verified_ones(
    acme: Actor, globex: Actor, caller_id: str, allowed: bool
) -> None:
    Customer.objects.filter(pk=acme.customer.pk).update(verified_caller_ids=["+15551230005"])
    factories.NumberFactory(customer=acme.customer, number_e164="+15551230006", is_active=False)
    factories.NumberFactory(customer=globex.customer, number_e164="+15551230007")

    if allowed:
        assert place(acme, from_number=caller_id).from_number == caller_id
    else:
        assert refused(acme, from_number=caller_id) == "caller_id_not_allowed"


def test_any_caller_id_shows_when_the_policy_says_so(acme: Actor) -> None:
    Customer.objects.update(caller_id_policy="any")

    assert place(acme, from_number="+15551239999")


def test_any_caller_id_shows_on_a_trunk_of_the_customers_own(acme: Actor, globex: Actor) -> None:
    factories.TrunkFactory(customer=acme.customer)

    assert place(acme, from_number="+15551239999")
    assert refused(globex, from_number="+15551239999") == "caller_id_not_allowed"


def test_the_last_cent_may_be_held(acme: Actor) -> None:
    Rate.objects.update(price_per_minute=100)

    assert place(acme)
    assert refused(acme) == "insufficient_balance"


def test_a_free_call_needs_no_money(acme: Actor) -> None:
    Rate.objects.update(price_per_minute=0)
    spend_everything(acme)

    assert place(acme).funded_seconds == 14_400


def test_the_day_cap_counts_what_is_charged_and_held(acme: Actor, engine: FakeEngine) -> None:
    Balance.objects.update(day_cap=Decimal("1.80"))
    call, now = dial(acme), clock.now()
    answer(call, at=now)
    end(call, at=now + timedelta(seconds=1))
    assert SpendDay.objects.get().charged == Decimal("0.60")

    place(acme)
    place(acme)

    with pytest.raises(errors.SpendControlExceeded, match=r"1\.80 USD.*frees up at 20.*T00:00:00"):
        place(acme)


def test_an_ended_call_frees_its_place(acme: Actor, engine: FakeEngine) -> None:
    Customer.objects.update(max_concurrent_calls=1)
    call = dial(acme)
    assert refused(acme) == "concurrent_call_limit_reached"

    end(call, at=clock.now(), sip_code=486)

    assert place(acme)


def test_the_window_of_calls_per_second_slides_by_the_databases_clock(acme: Actor) -> None:
    Customer.objects.update(max_cps=2)
    first, second = place(acme), place(acme)
    keep_within_a_second()
    assert refused(acme) == "cps_limit_reached"

    Call.objects.filter(pk=first.pk).update(accepted_at=second.accepted_at - timedelta(seconds=1))

    assert place(acme)
    keep_within_a_second()
    Call.objects.filter(pk=first.pk).update(accepted_at=second.accepted_at - timedelta(seconds=1))
    assert refused(acme) == "cps_limit_reached"


def test_limits_until_a_date_are_those_that_count(acme: Actor) -> None:
    Customer.objects.update(max_concurrent_calls=1, max_cps=100)
    place(acme)
    assert refused(acme) == "concurrent_call_limit_reached"
    limits.give(
        Customer.objects.get(pk=acme.customer.pk), concurrent_calls=2, cps=None, until=clock.now() + timedelta(hours=1)
    )
    call = place(acme)
    assert call.timeline.get().data["max_concurrent_calls"] == 2
    assert refused(acme) == "concurrent_call_limit_reached"
    Customer.objects.update(temporary_concurrent_calls=9, temporary_until=clock.now())
    assert refused(acme) == "concurrent_call_limit_reached"


def test_the_message_of_a_limit_names_it_and_where_it_stands(acme: Actor) -> None:
    Customer.objects.update(max_concurrent_calls=1)
    place(acme)

    with pytest.raises(errors.ConcurrentCallLimitReached) as refusal:
        place(acme)
    assert refusal.value.message == "the limit of 1 concurrent calls is reached: 1 are up"
    assert refusal.value.retry_after_seconds == 5


def test_one_customers_calls_count_against_nobody_else(acme: Actor, globex: Actor) -> None:
    Customer.objects.update(max_concurrent_calls=1, max_cps=1, caller_id_policy="any")

    assert place(acme)
    assert place(globex)


def test_an_accepted_call_keeps_the_price_it_was_promised(acme: Actor, engine: FakeEngine) -> None:
    call, now = dial(acme), clock.now()
    Rate.objects.update(price_per_minute=99)
    answer(call, at=now)
    end(call, at=now + timedelta(seconds=1))

    assert call.cost_amount == Decimal("0.60")
