"""Money as the API writes it."""

from decimal import Decimal

import pytest

from minivoice import money


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("-0.5", "-0.50"),
        ("1", "1.00"),
        ("100", "100.00"),
        ("0.600000", "0.60"),
        ("0.125", "0.125"),
        ("0.000001", "0.000001"),
        ("1E+3", "1000.00"),
        ("123456789012.345678", "123456789012.345678"),
    ],
)
def test_writes_at_least_two_decimals_and_drops_further_zeros(amount: str, text: str) -> None:
    assert money.text(Decimal(amount)) == text
