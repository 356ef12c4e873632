"""Money as the API writes it."""

from decimal import Decimal


def text(amount: Decimal) -> str:
    """Return an amount as a decimal string with at least two places, further zeros dropped."""
    whole, _, fraction = f"{amount:.6f}".rstrip("0").partition(".")
    return f"{whole}.{fraction:0<2}"
