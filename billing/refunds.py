"""Money given back for a call: never more than the call was charged, less what it was given back before."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Sum

from billing import approvals, ledger
from billing.models import Approval, Entry
from minivoice import money


class TooMuch(Exception):
    """More than is left of the call's charge."""


def refundable(call_id: str) -> Decimal:
    """Return what is left of a call's charge, less what was given back, or waits to be."""
    moved = Entry.objects.filter(call_id=call_id).aggregate(sum=Sum("amount"))["sum"] or Decimal(0)
    return max(Decimal(0), -moved - approvals.waiting_for(call_id))


def refund(
    *, customer_id: int, call_id: str, amount: Decimal, key: str, staff_id: int, note: str, now: datetime
) -> Entry | Approval:
    """Give `amount` (more than 0) of a call's charge back, or ask for approval; return the entry or the approval, the
    first one where `key` was used before.

    Raises TooMuch.
    """
    with transaction.atomic():
        ledger.lock(customer_id=customer_id, now=now)
        earlier = approvals.earlier(customer_id=customer_id, key=key)
        if earlier is not None:
            return earlier
        left = refundable(call_id)
        if amount > left:
            raise TooMuch(f"at most {money.text(left)} can be given back: the rest of what the call was charged")
        return approvals.post(
            customer_id=customer_id,
            kind=Entry.Kind.REFUND,
            amount=amount,
            key=key,
            call_id=call_id,
            staff_id=staff_id,
            note=note,
            now=now,
        )
