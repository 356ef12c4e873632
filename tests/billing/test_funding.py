"""What a hold pays for, and when the engine's timer ends the call: an on-time cut never costs more than was held."""

from decimal import Decimal

import pytest
from django.conf import settings

from billing import rating
from billing.rates import Quote
from billing.rating import Price
from calls import admission
from calls.models import Call

INCREMENTS = [(first, then) for first in (1, 6, 10, 30, 59, 60, 61, 90) for then in (1, 6, 7, 30, 60, 120)]


def call(first: int, then: int, *, per_minute: str = "0.60", longest: int = 14_400) -> tuple[Call, Decimal]:
    """Return a call as admission funds it, and its hold."""
    price = Price(Decimal(per_minute), Decimal("0.011"), first, then, Decimal("0.02"))
    if not Decimal(per_minute):
        price = Price(Decimal(0), Decimal(0), first, then, Decimal(0))
    funded, amount = admission._hold(Quote(1, "1", "", False, "USD", price), longest)
    funded_call = Call(
        price_per_minute=price.per_minute,
        connection_fee=price.connection_fee,
        initial_increment=first,
        subsequent_increment=then,
        minimum_charge=price.minimum_charge,
        funded_seconds=funded,
        max_duration_seconds=longest,
    )
    return funded_call, amount


@pytest.mark.parametrize(("first", "then"), INCREMENTS)
def test_funds_the_smallest_boundary_that_reaches_the_hold_seconds(first: int, then: int) -> None:
    boundary = first
    while boundary < settings.HOLD_SECONDS:
        boundary += then

    funded_call, amount = call(first, then)

    assert funded_call.funded_seconds == boundary
    assert amount == rating.charge(funded_call.price, boundary).amount
    assert funded_call.timer_seconds == boundary - 1


@pytest.mark.parametrize(("first", "then"), INCREMENTS)
def test_an_end_at_any_second_up_to_the_timer_has_no_overrun(first: int, then: int) -> None:
    funded_call, amount = call(first, then)

    for milliseconds in range(0, funded_call.timer_seconds * 1000 + 1, 250):
        assert rating.charge(funded_call.price, rating.whole_seconds(milliseconds)).amount <= amount


def test_a_cut_that_is_late_by_less_than_a_second_still_has_no_overrun() -> None:
    funded_call, amount = call(60, 60)
    late = funded_call.timer_seconds * 1000 + 1000

    assert rating.charge(funded_call.price, rating.whole_seconds(late)).amount == amount
    assert rating.charge(funded_call.price, rating.whole_seconds(late + 1)).amount > amount


def test_a_free_call_is_funded_to_its_longest_time_and_holds_nothing() -> None:
    funded_call, amount = call(60, 60, per_minute="0", longest=600)

    assert (funded_call.funded_seconds, funded_call.timer_seconds, amount) == (600, 600, 0)


def test_the_timer_is_never_later_than_the_longest_time() -> None:
    assert call(60, 60, longest=20)[0].timer_seconds == 20
