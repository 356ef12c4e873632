"""Customers: shut out, and let in again."""

from applications.models import Customer


def suspend(customer: Customer) -> bool:
    """Have the API refuse the customer's keys from now on; live calls go on. False when it did already."""
    return _move(customer, Customer.Status.ACTIVE, Customer.Status.SUSPENDED)


def lift(customer: Customer) -> bool:
    """Let a suspended customer in again; False when it was not suspended."""
    return _move(customer, Customer.Status.SUSPENDED, Customer.Status.ACTIVE)


def _move(customer: Customer, before: Customer.Status, after: Customer.Status) -> bool:
    return bool(Customer.objects.filter(pk=customer.pk, status=before).update(status=after))
