"""A hold is extended to a billing boundary, as far as the balance and the day cap go, and no further."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from applications.models import Customer
from billing import ledger, rating
from billing.models import Balance, Entry, Hold
from billing.rating import Price
from tests import factories

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 29, 12, tzinfo=UTC)
FOREVER = 1_000_000


def price(first: int, then: int, *, fee: str = "0", least: str = "0") -> Price:
    return Price(Decimal("0.60"), Decimal(fee), first, then, Decimal(least))


def customer_with_hold(of: Price, *, funds: str, seconds: int = 60, **limits: Decimal | None) -> Customer:
    customer = factories.CustomerFactory()
    factories.open_account(customer, funds=funds, **limits)
    funded = rating.billed_seconds(of, seconds)
    amount = rating.charge(of, funded).amount
    assert ledger.hold(customer_id=customer.pk, key="call_1", amount=amount, funded_seconds=funded, now=NOW)
    return customer


def extend(customer: Customer, of: Price, *, most_seconds: int = FOREVER) -> ledger.Extension:
    account = ledger.lock(customer_id=customer.pk, now=NOW)
    extension = ledger.extend(account=account, key="call_1", price=of, by_seconds=120, most_seconds=most_seconds)
    assert extension is not None
    hold, balance = Hold.objects.get(), Balance.objects.get(customer=customer)
    assert (hold.amount, hold.funded_seconds) == (extension.amount, extension.funded_seconds)
    assert balance.held == hold.amount <= balance.posted
    assert hold.amount == rating.charge(of, hold.funded_seconds).amount
    return extension


@pytest.mark.parametrize(
    ("first", "then", "reached"),
    [(60, 60, 180), (6, 6, 180), (1, 1, 180), (30, 6, 180), (90, 60, 210), (10, 7, 185), (60, 50, 160), (60, 300, 360)],
)
def test_pays_for_two_more_minutes_down_to_a_boundary_but_one_at_least(first: int, then: int, reached: int) -> None:
    of = price(first, then)

    assert extend(customer_with_hold(of, funds="50"), of).funded_seconds == reached


def test_takes_what_is_affordable_and_leaves_what_cannot_buy_a_boundary() -> None:
    of = price(6, 6)
    customer = customer_with_hold(of, funds="0.83")  # 0.60 is held for 60 s, 0.06 buys 6 s

    extension = extend(customer, of)

    assert (extension.funded_seconds, extension.added, extension.limited_by) == (78, Decimal("0.18"), "balance")


def test_changes_nothing_when_not_one_boundary_more_is_affordable() -> None:
    of = price(60, 60)
    customer = customer_with_hold(of, funds="1.199999")

    extension = extend(customer, of)

    assert (extension.funded_seconds, extension.added, extension.limited_by) == (60, 0, "balance")


def test_the_fee_is_paid_once_and_a_minimum_pays_for_the_talk_below_it() -> None:
    of = price(60, 60, fee="0.25", least="1.00")
    customer = customer_with_hold(of, funds="2.05")

    extension = extend(customer, of)

    assert (extension.funded_seconds, extension.amount) == (180, Decimal("2.05"))


def test_talk_that_a_minimum_pays_for_is_had_with_nothing_left() -> None:
    of = price(10, 10, least="1.00")
    customer = customer_with_hold(of, funds="50")
    Balance.objects.update(day_cap=Decimal("0.50"))  # lowered by staff: less than is held

    extension = extend(customer, of)

    assert (extension.funded_seconds, extension.added, extension.limited_by) == (100, 0, "day_cap")


def test_the_day_cap_limits_it_and_is_named() -> None:
    of = price(60, 60)
    customer = customer_with_hold(of, funds="50", day_cap=Decimal("1.30"))

    first, second = extend(customer, of), extend(customer, of)

    assert (first.funded_seconds, first.limited_by) == (120, "day_cap")
    assert (second.added, second.limited_by) == (0, "day_cap")


def test_pays_for_the_longest_talk_and_no_more() -> None:
    of = price(60, 60)
    customer = customer_with_hold(of, funds="50")

    first, second = extend(customer, of, most_seconds=100), extend(customer, of, most_seconds=100)

    assert (first.funded_seconds, first.limited_by) == (120, "")
    assert (second.added, second.limited_by) == (0, "")


def test_a_balance_corrected_below_zero_extends_nothing() -> None:
    of = price(60, 60)
    customer = customer_with_hold(of, funds="50")
    account = ledger.lock(customer_id=customer.pk, now=NOW)
    ledger.post(customer_id=customer.pk, kind=Entry.Kind.ADJUSTMENT, amount=Decimal(-60), key="mistake", now=NOW)
    poor = ledger.lock(customer_id=customer.pk, now=NOW)

    extension = ledger.extend(account=poor, key="call_1", price=of, by_seconds=120, most_seconds=FOREVER)

    assert extension is not None
    assert (extension.funded_seconds, extension.limited_by) == (60, "balance")
    with pytest.raises(RuntimeError, match="not locked"):
        ledger.extend(account=account, key="call_1", price=of, by_seconds=120, most_seconds=FOREVER)


def test_a_closed_hold_is_not_extended() -> None:
    of = price(60, 60)
    customer = customer_with_hold(of, funds="50")
    ledger.release(key="call_1", now=NOW)
    account = ledger.lock(customer_id=customer.pk, now=NOW)

    assert ledger.extend(account=account, key="call_1", price=of, by_seconds=120, most_seconds=FOREVER) is None
    assert Balance.objects.get().held == 0


def test_what_it_pays_for_is_settled_as_any_hold() -> None:
    of = price(60, 60)
    customer = customer_with_hold(of, funds="50")
    extend(customer, of)

    settlement = ledger.settle(key="call_1", price=of, milliseconds=150_000, now=NOW)

    assert settlement is not None
    assert (settlement.amount, settlement.overrun) == (Decimal("1.80"), 0)
    assert Balance.objects.get().held == 0
