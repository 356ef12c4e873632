"""The ledger: holds are settled or released once, entries are posted once and stay."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from applications.models import Customer
from billing import ledger
from billing.models import Balance, Entry, Hold, SpendDay
from billing.rating import Price
from minivoice import clock
from tests import factories

pytestmark = pytest.mark.django_db

PRICE = Price(Decimal("0.60"), Decimal(0), 60, 60, Decimal(0))
NOW = datetime(2026, 5, 29, 12, tzinfo=UTC)
MINUTE = 60_000


@pytest.fixture
def acme() -> Customer:
    """A customer with ten dollars."""
    customer = factories.CustomerFactory()
    factories.open_account(customer, funds="10")
    return customer


def hold(customer: Customer, amount: str, key: str = "call_1") -> bool:
    return ledger.hold(customer_id=customer.pk, key=key, amount=Decimal(amount), funded_seconds=60, now=NOW)


def settle(milliseconds: int, *, key: str = "call_1", now: datetime = NOW) -> ledger.Settlement | None:
    return ledger.settle(key=key, price=PRICE, milliseconds=milliseconds, now=now)


def post(customer: Customer, amount: str, *, key: str = "", reference: str = "") -> Entry:
    return ledger.post(
        customer_id=customer.pk,
        kind=Entry.Kind.TOP_UP,
        amount=Decimal(amount),
        key=key or str(uuid4()),
        reference=reference,
        now=NOW,
    )


def money(customer: Customer) -> tuple[Decimal, Decimal]:
    """Return what is posted and what is held."""
    balance = Balance.objects.get(customer=customer)
    return balance.posted, balance.held


def test_holds_down_to_zero_and_no_further(acme: Customer) -> None:
    assert hold(acme, "4", "call_1")
    assert hold(acme, "6", "call_2")
    assert not hold(acme, "0.000001", "call_3")
    assert hold(acme, "0", "call_4")
    assert money(acme) == (10, 10)
    assert set(Hold.objects.values_list("key", flat=True)) == {"call_1", "call_2", "call_4"}


def test_credit_may_be_held_too(acme: Customer) -> None:
    Balance.objects.filter(customer=acme).update(credit_limit=5)

    assert hold(acme, "15")
    assert not hold(acme, "0.01", "call_2")


def test_settles_once_and_says_so(acme: Customer) -> None:
    hold(acme, "0.60")

    first, second = settle(MINUTE), settle(2 * MINUTE)

    assert first is not None
    assert (first.amount, first.overrun, first.charge.billed_seconds) == (Decimal("0.60"), 0, 60)
    assert second is None
    assert money(acme) == (Decimal("9.40"), 0)
    entry = Entry.objects.get(kind="charge")
    assert (entry.amount, entry.posted_after, entry.call_id) == (Decimal("-0.60"), Decimal("9.40"), "call_1")
    assert SpendDay.objects.get().charged == Decimal("0.60")


def test_charges_no_more_than_was_held_and_tells_the_rest(acme: Customer) -> None:
    hold(acme, "0.60")

    settlement = settle(MINUTE + 1)

    assert settlement is not None
    assert (settlement.amount, settlement.overrun) == (Decimal("0.60"), Decimal("0.60"))
    assert money(acme) == (Decimal("9.40"), 0)


def test_settling_no_talk_charges_nothing_and_posts_nothing(acme: Customer) -> None:
    hold(acme, "0.60")

    settlement = settle(0)

    assert settlement is not None
    assert (settlement.amount, settlement.overrun) == (0, 0)
    assert money(acme) == (10, 0)
    assert not Entry.objects.filter(kind="charge").exists()
    assert not SpendDay.objects.exists()


def test_releases_once_and_then_neither_settles_nor_releases(acme: Customer) -> None:
    hold(acme, "0.60")

    assert ledger.release(key="call_1", now=NOW)
    assert not ledger.release(key="call_1", now=NOW)
    assert settle(MINUTE) is None
    assert money(acme) == (10, 0)


def test_neither_settles_nor_releases_a_hold_that_never_was(acme: Customer) -> None:
    assert settle(MINUTE, key="call_unknown") is None
    assert not ledger.release(key="call_unknown", now=NOW)


def test_a_settled_hold_is_not_released(acme: Customer) -> None:
    hold(acme, "0.60")
    settle(MINUTE)

    assert not ledger.release(key="call_1", now=NOW)
    assert money(acme) == (Decimal("9.40"), 0)


def test_posts_a_key_once(acme: Customer) -> None:
    post(acme, "5", key="payment 7")

    with pytest.raises(ledger.DuplicateEntry):
        post(acme, "5", key="payment 7")
    assert money(acme) == (15, 0)


def test_posts_a_customers_reference_once(acme: Customer) -> None:
    stranger = factories.CustomerFactory()
    factories.open_account(stranger)
    post(acme, "5", reference="bank 7")

    with pytest.raises(ledger.DuplicateEntry):
        post(acme, "6", reference="bank 7")
    post(stranger, "5", reference="bank 7")

    assert money(acme) == (15, 0)
    assert money(stranger) == (5, 0)


@pytest.mark.django_db(transaction=True)
def test_a_duplicate_changes_nothing_without_a_transaction_too(acme: Customer) -> None:
    post(acme, "5", key="payment 7")

    with pytest.raises(ledger.DuplicateEntry):
        post(acme, "5", key="payment 7")
    assert money(acme) == (15, 0)


def test_ids_that_meet_in_one_microsecond_lose_no_entry(acme: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([7] * 20)  # as if all the thousand ids of a microsecond were taken by one
    monkeypatch.setattr("minivoice.ids.secrets.randbelow", lambda _: next(draws))

    entries = [post(acme, "1") for _ in range(3)]

    assert [entry.public_id[-5:] for entry in entries] == ["00007", "01007", "02007"]
    assert [entry.created_at for entry in entries] == [NOW] * 3
    assert money(acme) == (13, 0)


def test_posts_to_an_account_that_exists_only() -> None:
    with pytest.raises(Balance.DoesNotExist):
        ledger.lock(customer_id=0, now=NOW)


def test_takes_below_zero_when_staff_correct(acme: Customer) -> None:
    entry = post(acme, "-12")

    assert entry.posted_after == -2
    assert not hold(acme, "0.01")
    assert hold(acme, "0")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_entry SET amount = 1000000",
        "UPDATE billing_entry SET note = 'changed'",
        "DELETE FROM billing_entry",
        "TRUNCATE billing_entry CASCADE",
    ],
)
def test_the_database_refuses_to_change_entries(acme: Customer, statement: str) -> None:
    with connection.cursor() as cursor:  # tests empty tables by TRUNCATE, so it is allowed until here
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE billing_entry ENABLE TRIGGER entry_not_truncated")
        with pytest.raises(DatabaseError, match="never"), transaction.atomic():
            cursor.execute(statement)
    assert Entry.objects.get().amount == 10


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO billing_hold (key, customer_id, amount, funded_seconds, opened_at) VALUES ('x', {}, -1, 1, now())",
        "UPDATE billing_balance SET held = -1",
    ],
)
def test_the_database_refuses_negative_holds(acme: Customer, statement: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(acme.pk))
    assert money(acme) == (10, 0)


def test_a_days_spend_begins_anew_at_midnight_utc(acme: Customer) -> None:
    late, early = NOW.replace(hour=23, minute=59, second=59, microsecond=999_999), NOW.replace(hour=0)
    next_day = early + timedelta(days=1)
    for key, now in [("call_1", late), ("call_2", late), ("call_3", next_day)]:
        hold(acme, "0.60", key)
        settle(MINUTE, key=key, now=now)

    days = dict(SpendDay.objects.values_list("day", "charged"))

    assert days == {late.date(): Decimal("1.20"), next_day.date(): Decimal("0.60")}
    assert ledger.lock(customer_id=acme.pk, now=late).spent_today == Decimal("1.20")
    assert ledger.lock(customer_id=acme.pk, now=next_day).spent_today == Decimal("0.60")
    assert ledger.lock(customer_id=acme.pk, now=clock.now()).charged_today == 0


def test_what_is_held_counts_as_spent_today(acme: Customer) -> None:
    hold(acme, "4")

    account = ledger.lock(customer_id=acme.pk, now=NOW)

    assert (account.spent_today, account.available) == (4, 6)
