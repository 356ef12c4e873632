"""How many calls a customer may have: its own limits, or for a while others, which fall back by themselves."""

from datetime import datetime
from typing import NamedTuple

from applications.models import Customer


class Limits(NamedTuple):
    """Calls up at one time, and calls accepted in any one second."""

    concurrent_calls: int
    cps: int


def in_force(customer: Customer, *, at: datetime) -> Limits:
    """Return the limits of a customer at a moment."""
    if not are_temporary(customer, at=at):
        return Limits(customer.max_concurrent_calls, customer.max_cps)
    return Limits(
        customer.temporary_concurrent_calls or customer.max_concurrent_calls,
        customer.temporary_cps or customer.max_cps,
    )


def are_temporary(customer: Customer, *, at: datetime) -> bool:
    """Whether other limits than the customer's own are in force at a moment."""
    return customer.temporary_until is not None and at < customer.temporary_until


def give(customer: Customer, *, concurrent_calls: int | None, cps: int | None, until: datetime) -> None:
    """Put other limits in force until a moment; None leaves one as it is. They take the place of earlier ones."""
    customer.temporary_concurrent_calls, customer.temporary_cps = concurrent_calls, cps
    customer.temporary_until = until
    customer.save(update_fields=_FIELDS)


def end(customer: Customer) -> bool:
    """Put the customer's own limits in force; return whether it had others."""
    had = customer.temporary_until is not None
    customer.temporary_concurrent_calls = customer.temporary_cps = customer.temporary_until = None
    customer.save(update_fields=_FIELDS)
    return had


_FIELDS = ("temporary_concurrent_calls", "temporary_cps", "temporary_until")
