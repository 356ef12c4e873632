"""Console: calls, their refusals and conferences, and what calls add to the pages of customers and trunks."""

from calls import jobs
from calls.admin import books, calls, conferences, customers, refusals, trunks

__all__ = ["books", "calls", "conferences", "customers", "jobs", "refusals", "trunks"]
