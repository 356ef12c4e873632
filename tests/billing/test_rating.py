"""What seconds cost: the table of the documentation, and any price against exact fractions."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import rating
from billing.rating import Price

TABLE = """
d    1/1 6/6 30/6 60/1 60/60 10/6 90/60
0    0   0   0    0    0     0    0
1    1   6   30   60   60    10   90
31   31  36  36   60   60    34   90
60   60  60  60   60   60    64   90
61   61  66  66   61   120   64   90
100  100 102 102  100  120   100  150
151  151 156 156  151  180   154  210
"""
_, *_INCREMENTS = TABLE.split("\n")[1].split()
BILLED = [
    (int(cells[0]), increments, int(billed))
    for cells in map(str.split, TABLE.strip().split("\n")[1:])
    for increments, billed in zip(_INCREMENTS, cells[1:], strict=True)
]


def price(increments: str = "60/60", per_minute: str = "0.60", fee: str = "0", minimum: str = "0") -> Price:
    initial, subsequent = map(int, increments.split("/"))
    return Price(Decimal(per_minute), Decimal(fee), initial, subsequent, Decimal(minimum))


@pytest.mark.parametrize(("seconds", "increments", "billed"), BILLED)
def test_bills_what_the_documentation_says(seconds: int, increments: str, billed: int) -> None:
    assert rating.billed_seconds(price(increments), seconds) == billed


@pytest.mark.parametrize(
    ("milliseconds", "seconds"), [(-5, 0), (0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2), (59_999, 60), (60_001, 61)]
)
def test_rounds_talk_up_to_a_whole_second(milliseconds: int, seconds: int) -> None:
    assert rating.whole_seconds(milliseconds) == seconds


@pytest.mark.parametrize(
    ("terms", "seconds", "amount"),
    [
        (price("1/1", "0.000030"), 1, "0.000001"),  # exactly half: up
        (price("1/1", "0.000029"), 1, "0"),
        (price("1/1", "0.01"), 1, "0.000167"),
        (price("1/1", "0.01"), 7, "0.001167"),  # rounded once: seven rounded seconds would be 0.001169
        (price("60/60", "0.60", fee="0.05"), 61, "1.25"),
        (price("60/60", "0.60", minimum="0.75"), 1, "0.75"),
        (price("60/60", "0.60", minimum="0.75"), 61, "1.20"),
        (price("60/60", "0.60", fee="0.05", minimum="0.75"), 0, "0"),
        (price("1/1", "0"), 100, "0"),
        (price("1/1", "0", fee="0.02"), 100, "0.02"),
    ],
)
def test_charges_fee_minutes_and_minimum_rounded_once_half_up(terms: Price, seconds: int, amount: str) -> None:
    assert rating.charge(terms, seconds).amount == Decimal(amount)


def test_a_price_is_free_only_when_nothing_in_it_costs() -> None:
    assert price(per_minute="0").is_free
    assert not price(per_minute="0", fee="0.01").is_free
    assert not price(per_minute="0", minimum="0.01").is_free
    assert not price().is_free


money = st.decimals(min_value=0, max_value=1000, places=6)
increment = st.integers(min_value=1, max_value=120)
prices = st.builds(Price, money, money, increment, increment, money)


@settings(max_examples=300, deadline=None)
@given(terms=prices, milliseconds=st.integers(min_value=-10, max_value=15_000_000))
def test_agrees_with_exact_fractions(terms: Price, milliseconds: int) -> None:
    charged = rating.charge(terms, rating.whole_seconds(milliseconds))

    assert charged.billed_seconds == reference_billed(terms, milliseconds)
    assert Fraction(charged.amount) == reference_charge(terms, charged.billed_seconds)
    assert charged.amount.as_tuple().exponent in range(-6, 1)


@settings(max_examples=200, deadline=None)
@given(terms=prices, seconds=st.integers(min_value=1, max_value=15_000))
def test_talking_longer_never_costs_less(terms: Price, seconds: int) -> None:
    assert rating.charge(terms, seconds).amount <= rating.charge(terms, seconds + 1).amount


def reference_billed(terms: Price, milliseconds: int) -> int:
    """Step through the increments, one by one in closed form over fractions."""
    seconds = ceil(Fraction(max(0, milliseconds), 1000))
    if seconds == 0:
        return 0
    billed = terms.initial_increment
    if seconds > billed:
        billed += ceil(Fraction(seconds - billed, terms.subsequent_increment)) * terms.subsequent_increment
    return billed


def reference_charge(terms: Price, billed: int) -> Fraction:
    """Charge in exact fractions; half up is: add a half, cut."""
    if billed == 0:
        return Fraction(0)
    exact = Fraction(terms.connection_fee) + Fraction(terms.per_minute) * Fraction(billed, 60)
    rounded = Fraction((exact * 10**6 + Fraction(1, 2)).__floor__(), 10**6)
    return max(rounded, Fraction(terms.minimum_charge))
