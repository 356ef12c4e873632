"""Console: money and rates."""

from billing.admin import money, rates

__all__ = ["money", "rates"]
