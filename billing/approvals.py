"""Four eyes: what staff move by hand above a threshold waits for a second person, who approves or rejects it.

What one person moved for one customer within 24 hours counts together, so that nothing passes in pieces; a credit limit
counts from what it was 24 hours before.
An approval and the entry it becomes have one key, and are written under the customer's balance row: however often a
form is sent, or two people approve, one entry is posted.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Abs

from billing import ledger
from billing.models import Approval, Balance, Entry

State = Approval.State
_TOGETHER = timedelta(hours=24)


class NotPossible(Exception):
    """It cannot be approved, or rejected; the message says why."""


def threshold(currency: str) -> Decimal:
    """Return the most that one person may move alone for a customer in 24 hours; 0 when the currency has none."""
    amounts: dict[str, Decimal] = settings.APPROVAL_THRESHOLD
    return amounts.get(currency, amounts.get("", Decimal(0)))


def moved_alone(*, customer_id: int, staff_id: int, now: datetime) -> Decimal:
    """Return what a member of staff moved for a customer in the last 24 hours, either way, and nobody approved."""
    by_hand = Entry.objects.filter(customer=customer_id, staff=staff_id, created_at__gt=now - _TOGETHER, approval=None)
    moved = by_hand.exclude(kind=Entry.Kind.CHARGE).aggregate(sum=Sum(Abs("amount")))
    return moved["sum"] or Decimal(0)


def post(
    *,
    customer_id: int,
    kind: Entry.Kind,
    amount: Decimal,
    key: str,
    staff_id: int,
    note: str,
    now: datetime,
    reference: str = "",
    call_id: str = "",
) -> Entry | Approval:
    """Post an entry, or above the threshold an approval that waits. Needs the arguments of `ledger.post`.

    Raises ledger.DuplicateEntry, changing nothing, when `key` or the customer's `reference` is used already.
    """
    with transaction.atomic():
        currency = ledger.lock(customer_id=customer_id, now=now).currency
        if _is_used(customer_id, key, reference):
            raise ledger.DuplicateEntry(key)
        values: dict[str, Any] = {
            "customer_id": customer_id,
            "kind": kind,
            "amount": amount,
            "key": key,
            "reference": reference,
            "call_id": call_id,
            "note": note,
        }
        moved = moved_alone(customer_id=customer_id, staff_id=staff_id, now=now)
        if moved + abs(amount) > threshold(currency):
            return Approval.objects.create(asked_by_id=staff_id, created_at=now, **values)
        return ledger.post(staff_id=staff_id, now=now, **values)


def set_limit(
    *, customer_id: int, credit_limit: Decimal, key: str, staff_id: int, note: str, now: datetime
) -> Balance | Approval:
    """Set a customer's credit limit (0 or more), or ask for approval of a raise above the threshold.

    Raises ledger.DuplicateEntry, changing nothing, when `key` waits, or was decided, already.
    """
    with transaction.atomic():
        account = ledger.lock(customer_id=customer_id, now=now)
        if _is_used(customer_id, key, ""):
            raise ledger.DuplicateEntry(key)
        raised = credit_limit - account.credit_limit
        before = limit_before(customer_id=customer_id, now=now)
        if raised <= 0 or credit_limit - before <= threshold(account.currency):
            return ledger.raise_limit(customer_id=customer_id, by=raised)
        return Approval.objects.create(
            customer_id=customer_id,
            kind=Approval.CREDIT_LIMIT,
            amount=raised,
            key=key,
            note=note,
            asked_by_id=staff_id,
            created_at=now,
        )


def limit_before(*, customer_id: int, now: datetime) -> Decimal:
    """Return what a customer's credit limit was 24 hours ago; 0 where there was no account."""
    balance, since = Balance.objects.get(customer=customer_id), now - _TOGETHER
    before: Any = balance
    if balance.history.filter(history_date__gt=since).exists():
        versions = balance.history.filter(history_date__lte=since)
        before = versions.order_by("-history_date", "-history_id").first()
    return Decimal(before.credit_limit) if before else Decimal(0)


def earlier(*, customer_id: int, key: str) -> Entry | Approval | None:
    """Return what was posted, or waits, under `key`."""
    mine = {"customer": customer_id, "key": key}
    return Approval.objects.filter(**mine).first() or Entry.objects.filter(**mine).first()


def waiting_for(call_id: str) -> Decimal:
    """Return what waits to be given back for a call."""
    waiting = Approval.objects.filter(call_id=call_id, state=State.WAITING)
    return waiting.aggregate(sum=Sum("amount"))["sum"] or Decimal(0)


def approve(approval: Approval, *, by_id: int, why: str, now: datetime) -> Approval:
    """Do what waits, in the name of who asked; return it with its entry, if it is one.

    Raises NotPossible, and ledger.DuplicateEntry for its reference.
    """
    if by_id == approval.asked_by_id:
        raise NotPossible("who asked for it cannot approve it")
    with transaction.atomic():
        ledger.lock(customer_id=approval.customer_id, now=now)
        waiting = Approval.objects.select_for_update().filter(pk=approval.pk, state=State.WAITING).first()
        if waiting is None:
            raise NotPossible("it was decided before")
        if waiting.kind == Approval.CREDIT_LIMIT:
            ledger.raise_limit(customer_id=waiting.customer_id, by=waiting.amount)
        else:
            waiting.entry = _post(waiting, now)
        waiting.state, waiting.decided_by_id, waiting.decided_at, waiting.decision = State.APPROVED, by_id, now, why
        waiting.save(update_fields=["state", "decided_by", "decided_at", "decision", "entry"])
    return waiting


def reject(approval: Approval, *, by_id: int, why: str, now: datetime) -> None:
    """Have what waits never posted. Raises NotPossible."""
    waiting = Approval.objects.filter(pk=approval.pk, state=State.WAITING)
    if not waiting.update(state=State.REJECTED, decided_by=by_id, decided_at=now, decision=why):
        raise NotPossible("it was decided before")


def _post(approval: Approval, now: datetime) -> Entry:
    return ledger.post(
        customer_id=approval.customer_id,
        kind=Entry.Kind(approval.kind),
        amount=approval.amount,
        key=approval.key,
        reference=approval.reference,
        call_id=approval.call_id,
        staff_id=approval.asked_by_id,
        note=approval.note,
        now=now,
    )


def _is_used(customer_id: int, key: str, reference: str) -> bool:
    """Whether an approval or entry has the key, or the customer's reference. Needs the lock of the balance."""
    if Approval.objects.filter(key=key).exists() or Entry.objects.filter(key=key).exists():
        return True
    used = {"customer": customer_id, "reference": reference}
    waiting = Approval.objects.filter(state=State.WAITING, **used)
    return bool(reference) and (waiting.exists() or Entry.objects.filter(**used).exists())
