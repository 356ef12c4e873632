"""Console: money and rates."""

from billing.admin import approvals, money, rates

__all__ = ["approvals", "money", "rates"]
