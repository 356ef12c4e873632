"""What seconds cost, a second time: by walking the boundaries in exact fractions, with nothing of `billing.rating`."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st

from billing.rating import Price

MILLION = 10**6


def billed_seconds(price: Price, milliseconds: int) -> int:
    """Walk the boundaries a, a+b, a+2b, ... to the first that the talk does not pass."""
    if milliseconds <= 0:
        return 0
    boundary = price.initial_increment
    while boundary * 1000 < milliseconds:
        boundary += price.subsequent_increment
    return boundary


def cost_of(price: Price, billed: int) -> Fraction:
    """Return what so many billed seconds cost, in whole millionths; half up is: add a half, cut."""
    if not billed:
        return Fraction(0)
    exact = Fraction(price.connection_fee) + Fraction(price.per_minute) * Fraction(billed, 60)
    return max(Fraction(int(exact * MILLION + Fraction(1, 2)), MILLION), Fraction(price.minimum_charge))


def decimal(amount: Fraction) -> Decimal:
    """Return an amount of whole millionths, exactly."""
    assert (amount * MILLION).denominator == 1
    return Decimal(int(amount * MILLION)).scaleb(-6)


# Halves, thirds and sixtieths of a millionth, fees and minimums: figures that wrong rounding shows in.
NASTY = [
    Price(Decimal(per_minute), Decimal(fee), first, then, Decimal(minimum))
    for per_minute, fee, first, then, minimum in [
        ("0.60", "0", 60, 60, "0"),
        ("0.000030", "0", 1, 1, "0"),
        ("0.600030", "0", 1, 1, "0"),
        ("1.200090", "0.000001", 1, 2, "0"),
        ("0.01", "0", 6, 6, "0"),
        ("3.123457", "0.05", 30, 6, "0"),
        ("1.999999", "0", 1, 1, "0.75"),
        ("0.333333", "0.000001", 90, 60, "0.5"),
        ("0.70", "0.01", 10, 6, "0"),
        ("0", "0.02", 60, 1, "0"),
        ("0", "0", 1, 1, "0"),
    ]
]

money = st.decimals(min_value=0, max_value=1000, places=6)
increment = st.integers(min_value=1, max_value=120)
prices = st.one_of(st.sampled_from(NASTY), st.builds(Price, money, money, increment, increment, money))
