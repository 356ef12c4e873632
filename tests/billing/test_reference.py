"""Rating and rates against references written another way: boundaries walked in fractions, decks read in a loop."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from applications.models import Customer
from billing import rates, rating
from billing.models import DeckVersion, Rate
from billing.rating import Price
from tests import factories
from tests.billing import reference
from tests.billing.test_rating import BILLED, price

NOON = datetime(2026, 5, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("seconds", "increments", "billed"), BILLED)
def test_the_reference_itself_knows_the_documentations_table(seconds: int, increments: str, billed: int) -> None:
    assert reference.billed_seconds(price(increments), seconds * 1000) == billed


@settings(max_examples=300, deadline=None)
@given(terms=reference.prices, milliseconds=st.integers(min_value=-10, max_value=4_000_000))
def test_a_charge_is_what_the_boundaries_cost(terms: Price, milliseconds: int) -> None:
    charged = rating.charge(terms, rating.whole_seconds(milliseconds))

    assert charged.billed_seconds == reference.billed_seconds(terms, milliseconds)
    assert Fraction(charged.amount) == reference.cost_of(terms, charged.billed_seconds)


@settings(max_examples=200, deadline=None)
@given(
    terms=reference.prices,
    amount=st.decimals(min_value=0, max_value=50, places=6),
    most_seconds=st.integers(min_value=1, max_value=2_000),
)
def test_affords_the_last_boundary_that_fits(terms: Price, amount: Decimal, most_seconds: int) -> None:
    fitting = 0
    boundary = terms.initial_increment
    while boundary < most_seconds and reference.cost_of(terms, boundary) <= amount:
        fitting, boundary = boundary, boundary + terms.subsequent_increment
    if reference.cost_of(terms, reference.billed_seconds(terms, most_seconds * 1000)) <= amount:
        fitting = most_seconds

    assert rating.affordable_seconds(terms, amount=amount, most_seconds=most_seconds) == fitting


digits = st.text("0123", min_size=1, max_size=5)
decks = st.lists(
    st.tuples(
        st.integers(min_value=-4, max_value=4),  # hours from noon
        st.sampled_from(["live", "live", "draft"]),
        st.dictionaries(digits | st.just("sip"), st.booleans(), max_size=6),  # prefix: blocked
    ),
    max_size=4,
    unique_by=lambda version: version[0],
)


class Decks(TestCase):
    """Hypothesis and a database transaction for each example."""

    @settings(max_examples=150, deadline=None)
    @given(
        versions=decks,
        number=st.text("0123", min_size=1, max_size=15).map("+{}".format) | st.just("sip:bob@example.com"),
        hour=st.integers(min_value=-5, max_value=5),
    )
    def test_the_version_in_force_and_its_longest_prefix_win(
        self, versions: list[tuple[int, str, dict[str, bool]]], number: str, hour: int
    ) -> None:
        customer = factories.CustomerFactory()
        factories.open_account(customer)
        for begins, state, prefixes in versions:
            version = factories.VersionFactory(effective_from=NOON + begins * HOUR, state=state)
            Rate.objects.bulk_create(
                Rate(version=version, prefix=prefix, price_per_minute=1, blocked=blocked)
                for prefix, blocked in prefixes.items()
            )

        quote = rates.quote(customer_id=customer.pk, number=number, now=NOON + hour * HOUR)

        assert (quote and (quote.prefix, quote.blocked)) == expected(versions, number, hour)


def expected(versions: list[tuple[int, str, dict[str, bool]]], number: str, hour: int) -> tuple[str, bool] | None:
    in_force: dict[str, bool] = {}
    for begins, state, prefixes in sorted(versions, key=lambda version: version[0]):
        if state == "live" and begins <= hour:
            in_force = prefixes
    winner = None
    for prefix in sorted(in_force, key=len):
        if number.startswith("sip:") if prefix == "sip" else number.startswith(f"+{prefix}"):
            winner = prefix, in_force[prefix]
    return winner


@pytest.mark.django_db
def test_undoing_a_version_brings_the_one_before_it_back() -> None:
    customer = priced({"-2": "1", "-1": "2"})
    newest = DeckVersion.objects.latest("effective_from")
    assert per_minute(customer) == 2

    newest.delete()

    assert per_minute(customer) == 1
    assert Rate.objects.count() == 1


@pytest.mark.django_db
def test_a_version_to_come_changes_nothing_until_its_moment() -> None:
    customer = priced({"-1": "1", "1": "2"})

    assert [per_minute(customer, offset) for offset in (0 * HOUR, HOUR - timedelta(microseconds=1), HOUR)] == [1, 1, 2]


@pytest.mark.django_db
@pytest.mark.parametrize("number", ["sip:bob@example.com", "sip:+15551230002@example.com"])
def test_the_sip_row_prices_sip_targets_only(number: str) -> None:
    customer = priced({"-1": "1"})
    assert rates.quote(customer_id=customer.pk, number=number, now=NOON) is None
    factories.RateFactory(version=DeckVersion.objects.get(), prefix="sip", price_per_minute=Decimal(3))

    quote = rates.quote(customer_id=customer.pk, number=number, now=NOON)

    assert quote is not None
    assert (quote.prefix, quote.price.per_minute) == ("sip", 3)
    assert per_minute(customer) == 1


def priced(versions: dict[str, str]) -> Customer:
    """A customer whose deck has versions from so many hours before or after noon, each with a price for +1."""
    customer = factories.CustomerFactory()
    factories.open_account(customer)
    for hours, amount in versions.items():
        version = factories.VersionFactory(effective_from=NOON + int(hours) * HOUR)
        factories.RateFactory(version=version, prefix="1", price_per_minute=Decimal(amount))
    return customer


def per_minute(customer: Customer, offset: timedelta = timedelta(0)) -> Decimal:
    quote = rates.quote(customer_id=customer.pk, number="+15551230002", now=NOON + offset)
    assert quote is not None
    return quote.price.per_minute
