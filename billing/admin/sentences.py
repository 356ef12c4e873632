"""Money, told in sentences."""

from django.http import HttpRequest

from billing import approvals
from billing.models import Approval, Balance, Entry
from minivoice import clock, console

_STANDS = {
    Approval.State.WAITING: "waits for a second person's approval",
    Approval.State.APPROVED: "was approved",
    Approval.State.REJECTED: "was rejected",
}


def rule(balance: Balance, request: HttpRequest) -> str:
    """Return what needs a second person's approval, in a sentence for who is about to move money."""
    most = console.amount(approvals.threshold(balance.currency), balance.currency)
    moved = approvals.moved_alone(customer_id=balance.customer_id, staff_id=request.user.pk or 0, now=clock.now())
    before = f"; you have moved {console.amount(moved, balance.currency)} of that" if moved else ""
    return f"more than {most} by one person in 24 hours{before}"


def said(row: Entry | Approval) -> str:
    """Return what was posted, or waits, in a sentence."""
    moved = f"{row.get_kind_display()} of {console.amount(row.amount)}"
    if isinstance(row, Approval):
        return f"{moved} {_STANDS[Approval.State(row.state)]}, reason: {row.note}"
    before = console.amount(row.posted_after - row.amount)
    return f"{moved}, balance from {before} to {console.amount(row.posted_after)}, reason: {row.note}"
