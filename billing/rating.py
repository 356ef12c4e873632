"""What seconds cost. Pure arithmetic in `Decimal`; floats never come here.

d seconds of talk are billed as a + ceil(max(0, d - a) / b) * b for increments a/b, and nothing when d is 0.
"""

from bisect import bisect_right
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

_SIX_PLACES = Decimal("0.000001")
_MINUTE = Decimal(60)


@dataclass(frozen=True, slots=True)
class Price:
    """The figures a call was promised: money per minute and at least, increments in whole seconds."""

    per_minute: Decimal
    connection_fee: Decimal
    initial_increment: int
    subsequent_increment: int
    minimum_charge: Decimal

    @property
    def is_free(self) -> bool:
        """Whether no length of talk costs anything."""
        return not (self.per_minute or self.connection_fee or self.minimum_charge)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call of `seconds` costs: `billed_seconds` of it, `amount` of money."""

    seconds: int
    billed_seconds: int
    amount: Decimal


def whole_seconds(milliseconds: int) -> int:
    """Return the talk time that is rated: milliseconds rounded up to a whole second."""
    return -(-max(0, milliseconds) // 1000)


def billed_seconds(price: Price, seconds: int) -> int:
    """Return the seconds that are billed for `seconds` of talk."""
    if seconds <= 0:
        return 0
    beyond = max(0, seconds - price.initial_increment)
    steps = -(-beyond // price.subsequent_increment)
    return price.initial_increment + steps * price.subsequent_increment


def charge(price: Price, seconds: int) -> Charge:
    """Return the charge for `seconds` of talk, rounded once, half up, to six places."""
    billed = billed_seconds(price, seconds)
    if billed == 0:
        return Charge(seconds, 0, Decimal(0))
    exact = price.connection_fee + price.per_minute * billed / _MINUTE
    rounded = exact.quantize(_SIX_PLACES, rounding=ROUND_HALF_UP)
    return Charge(seconds, billed, max(rounded, price.minimum_charge))


def lines(price: Price, charge: Charge, *, overrun: Decimal) -> dict[str, Decimal]:
    """Return what a charge less `overrun` is made of; the amounts add up to it, to the last digit.

    `connection_fee`, `talk`, and where there are such: `minimum_charge`, what talk and fee lacked of it, and `overrun`,
    below 0: talk beyond what was paid for, which nobody is charged.
    """
    if not charge.billed_seconds:
        return {}
    exact = price.connection_fee + price.per_minute * charge.billed_seconds / _MINUTE
    rounded = exact.quantize(_SIX_PLACES, rounding=ROUND_HALF_UP)
    made_of = {"connection_fee": price.connection_fee, "talk": rounded - price.connection_fee}
    if charge.amount > rounded:
        made_of["minimum_charge"] = charge.amount - rounded
    return made_of | ({"overrun": -overrun} if overrun else {})


def boundary_after(price: Price, seconds: int, *, within_seconds: int) -> int:
    """Return the furthest billing boundary within some seconds after `seconds`, itself one; at least the next."""
    return seconds + max(1, within_seconds // price.subsequent_increment) * price.subsequent_increment


def affordable_seconds(price: Price, *, amount: Decimal, most_seconds: int) -> int:
    """Return the longest talk, at a billing boundary or at `most_seconds`, whose charge fits `amount`; 0 for none."""
    if charge(price, most_seconds).amount <= amount:
        return most_seconds
    steps = range(-(-max(0, most_seconds - price.initial_increment) // price.subsequent_increment) + 1)

    def boundary(step: int) -> int:
        return price.initial_increment + step * price.subsequent_increment

    fitting = bisect_right(steps, amount, key=lambda step: charge(price, boundary(step)).amount)
    return min(boundary(fitting - 1), most_seconds) if fitting else 0
