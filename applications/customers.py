"""Customers: shut out, and let in again."""

from django.db import transaction

from applications.models import Customer


def suspend(customer: Customer) -> bool:
    """Have the API refuse the customer's keys from now on; live calls go on. False when it did already."""
    return _move(customer, Customer.Status.ACTIVE, Customer.Status.SUSPENDED)


def lift(customer: Customer) -> bool:
    """Let a suspended customer in again; False when it was not suspended."""
    return _move(customer, Customer.Status.SUSPENDED, Customer.Status.ACTIVE)


def _move(customer: Customer, before: Customer.Status, after: Customer.Status) -> bool:
    with transaction.atomic():
        row = Customer.objects.select_for_update(no_key=True).filter(pk=customer.pk, status=before).first()
        if row is not None:
            row.status = after
            row.save(update_fields=["status"])
    return row is not None
