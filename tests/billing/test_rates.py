"""Which price a call gets."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from applications.models import Customer
from billing import rates
from billing.models import Balance, DeckVersion, Rate
from minivoice import clock
from tests import factories

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def acme() -> Customer:
    customer = factories.CustomerFactory()
    factories.open_account(customer)
    return customer


@pytest.fixture
def version(acme: Customer) -> DeckVersion:
    """The version in force."""
    return version_from(-HOUR)


def version_from(offset: timedelta, state: str = "live") -> DeckVersion:
    return factories.VersionFactory(deck=factories.DeckFactory(), effective_from=clock.now() + offset, state=state)


def rate(version: DeckVersion, prefix: str, price: str = "1", **more: Any) -> Rate:
    return factories.RateFactory(version=version, prefix=prefix, price_per_minute=Decimal(price), **more)


def quoted(customer: Customer, number: str) -> rates.Quote | None:
    return rates.quote(customer_id=customer.pk, number=number, now=clock.now())


def prefix(customer: Customer, number: str) -> str | None:
    found = quoted(customer, number)
    return found and found.prefix


@pytest.mark.parametrize(
    ("number", "wins"),
    [
        ("+15551230001", "1555"),
        ("+15561230001", "1"),
        ("+155", "1"),
        ("+1555", "1555"),
        ("+442071838750", "442071838750"),
        ("+442071838751", None),
        ("+4420718387501", "442071838750"),
        ("+5551230001", None),
    ],
)
def test_the_longest_prefix_wins(acme: Customer, version: DeckVersion, number: str, wins: str | None) -> None:
    for known in ("1", "1555", "442071838750"):
        rate(version, known)

    assert prefix(acme, number) == wins


def test_the_version_in_force_wins_whole(acme: Customer) -> None:
    rate(version_from(-2 * HOUR), "1555", "9")
    rate(version_from(-HOUR), "1", "2")
    rate(version_from(HOUR), "1", "3")
    rate(version_from(-HOUR / 2, "draft"), "1", "4")

    found = quoted(acme, "+15551230001")

    assert found is not None
    assert (found.price.per_minute, found.prefix) == (2, "1")


def test_a_version_begins_at_its_moment(acme: Customer) -> None:
    now = clock.now()
    rate(factories.VersionFactory(deck=factories.DeckFactory(), effective_from=now), "1")

    def priced(offset: timedelta) -> bool:
        return rates.quote(customer_id=acme.pk, number="+15551230001", now=now + offset) is not None

    assert (priced(-timedelta(microseconds=1)), priced(timedelta(0))) == (False, True)


def test_an_empty_version_in_force_prices_nothing(acme: Customer) -> None:
    rate(version_from(-2 * HOUR), "1")
    version_from(-HOUR)

    assert quoted(acme, "+15551230001") is None


def test_a_customer_without_an_account_has_no_price(version: DeckVersion) -> None:
    rate(version, "1")

    assert quoted(factories.CustomerFactory(), "+15551230001") is None


def test_only_the_customers_own_deck_counts(acme: Customer, version: DeckVersion) -> None:
    rate(version, "1")
    Balance.objects.filter(customer=acme).update(deck=factories.DeckFactory(name="Other"))

    assert quoted(acme, "+15551230001") is None


def test_tells_every_figure_that_is_promised(acme: Customer, version: DeckVersion) -> None:
    figures = {"connection_fee": Decimal("0.01"), "initial_increment": 30, "subsequent_increment": 6}
    rate(version, "1", "0.5", minimum_charge=Decimal("0.02"), blocked=True, description="North America", **figures)

    found = quoted(acme, "+15551230001")

    price = rates.Price(Decimal("0.5"), Decimal("0.01"), 30, 6, Decimal("0.02"))
    assert found == rates.Quote(version.pk, "1", "North America", True, "USD", price)


def test_a_number_priced_for_sip_is_no_telephone_number(acme: Customer, version: DeckVersion) -> None:
    rate(version, "sip")

    assert quoted(acme, "+15551230001") is None


def test_is_one_query_by_index_however_large_the_deck(
    acme: Customer, version: DeckVersion, django_assert_num_queries: Any
) -> None:
    Rate.objects.bulk_create(Rate(version=version, prefix=str(n), price_per_minute=1) for n in range(10_000, 30_000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE billing_rate")

    with django_assert_num_queries(1) as queries:
        assert prefix(acme, "+15551230001") == "15551"
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (COSTS OFF) {queries[0]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "Seq Scan on billing_rate" not in plan
    assert "rate_prefix_once" in plan
