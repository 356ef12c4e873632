"""Shutting a customer out, with or without hanging up what is up."""

from contextlib import suppress
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from applications import customers
from applications.models import Customer
from billing import ledger
from billing.models import Balance
from calls import dialing, lifecycle
from calls.models import LIVE, Call, Party, Reason


def suspend(customer: Customer, *, now: datetime) -> bool:
    """Have the API refuse the customer from now on; live calls go on. False when it did already.

    Under the lock that admission takes: a create that is being decided has its call committed before, or is refused.
    """
    with transaction.atomic():
        with suppress(Balance.DoesNotExist):  # without an account there are no calls to wait for
            ledger.lock(customer_id=customer.pk, now=now)
        return customers.suspend(customer)


def live_calls(customer: Customer) -> QuerySet[Call]:
    """Return the customer's calls that have not ended, oldest first."""
    return Call.objects.filter(LIVE, customer=customer).order_by("pk")


def hang_up_all(customer: Customer, *, now: datetime) -> int:
    """Have all live calls of a customer end; return how many.

    When the engine does not answer it is not asked for each: the sweep sees to what is noted here.
    """
    count, engine_answers = 0, True
    for call in live_calls(customer):
        if engine_answers:
            engine_answers = dialing.hang_up(call=call, reason=Reason.CANCELED, by=Party.SYSTEM, now=now)
        else:
            lifecycle.intend(call_id=call.pk, customer_id=customer.pk, reason=Reason.CANCELED, by=Party.SYSTEM, now=now)
        count += 1
    return count
