"""The only writer of money: balances, holds, days and entries.

    hold ─▶ extend ─▶ settle   the call was answered: its charge is posted, the rest of the hold is free again
         └▶ release            it was not: the hold is free again

Every function works inside the caller's transaction, so that money, status and event change together. Lock order:
the customer's balance row first (`lock`), everything else after it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, connection, transaction

from billing import rating
from billing.models import Balance, Entry
from minivoice import ids
from minivoice.prepared import Statement


class DuplicateEntry(Exception):
    """An entry with this key or reference is already posted."""


@dataclass(frozen=True, slots=True)
class Account:
    """A customer's money at one moment, with its row locked."""

    customer_id: int
    charged_today: Decimal
    posted: Decimal
    held: Decimal
    credit_limit: Decimal
    day_cap: Decimal | None
    highest_price_per_minute: Decimal | None
    currency: str

    @property
    def available(self) -> Decimal:
        """What a new hold may take."""
        return self.posted + self.credit_limit - self.held

    @property
    def spent_today(self) -> Decimal:
        """What counts against the day cap: charged since midnight UTC, and held."""
        return self.charged_today + self.held

    @property
    def room(self) -> tuple[Decimal, str]:
        """What may still be held, and what sets that limit: `balance`, or `day_cap` when that leaves less."""
        left_of_cap = self.available if self.day_cap is None else self.day_cap - self.spent_today
        return min((self.available, "balance"), (left_of_cap, "day_cap"), key=lambda limit: limit[0])


@dataclass(frozen=True, slots=True)
class Extension:
    """What a hold pays for after an extension: `added` is 0 when not even one more billing step could be had."""

    funded_seconds: int
    amount: Decimal
    added: Decimal
    limited_by: str  # what kept it from more, `balance` or `day_cap`; '' nothing


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a call was charged: never more than was held for it; the rest is the platform's own loss."""

    charge: rating.Charge
    amount: Decimal
    overrun: Decimal


def lock(*, customer_id: int, now: datetime) -> Account:
    """Lock the customer's balance row until the transaction ends; return it. Raise Balance.DoesNotExist.

    `now` says which day is today: one that waits for the lock across midnight is judged by the day it came.
    """
    with connection.cursor() as cursor:
        _LOCK.run(cursor, [customer_id])
        row = cursor.fetchone()
        if row is None:
            raise Balance.DoesNotExist
        # A statement of its own: one that waited for the lock would see the day as it was before it waited.
        _CHARGED.run(cursor, [customer_id, now.astimezone(UTC).date()])
        (charged_today,) = cursor.fetchone()
    return Account(customer_id, charged_today, *row)


def lock_row(*, customer_id: int) -> None:
    """Lock the customer's balance row as `lock` does, for whoever asks nothing of it. Raise Balance.DoesNotExist."""
    with connection.cursor() as cursor:
        _LOCK.run(cursor, [customer_id])
        if cursor.fetchone() is None:
            raise Balance.DoesNotExist


def hold(*, customer_id: int, key: str, amount: Decimal, funded_seconds: int, now: datetime) -> bool:
    """Set `amount` aside for the call `key`; return False, changing nothing, when it is not available."""
    with connection.cursor() as cursor:
        _HOLD.run(
            cursor,
            {"customer": customer_id, "key": key, "amount": amount, "seconds": funded_seconds, "now": now},
        )
        return bool(cursor.rowcount)


def extend(*, account: Account, key: str, price: rating.Price, by_seconds: int, most_seconds: int) -> Extension | None:
    """Have the hold of `key` pay for up to `by_seconds` more of talk, or one billing step if that is longer.

    It ends at a billing boundary: the last that balance and day cap can pay for, and none beyond the one that covers
    `most_seconds` of talk. Needs the lock that `account` was read under. Returns None when the hold is closed.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT amount, funded_seconds FROM billing_hold WHERE key = %s AND closed_at IS NULL", [key])
        row = cursor.fetchone()
        if row is None:
            return None
        held, funded = row
        room, limit = account.room
        furthest = rating.billed_seconds(price, most_seconds)
        wanted = max(funded, min(rating.boundary_after(price, funded, within_seconds=by_seconds), furthest))
        reached = max(funded, rating.affordable_seconds(price, amount=held + max(room, 0), most_seconds=wanted))
        added = rating.charge(price, reached).amount - held if reached > funded else Decimal(0)
        if reached > funded:
            cursor.execute(_EXTEND, {"key": key, "added": added, "seconds": reached, "customer": account.customer_id})
            if not cursor.rowcount:
                raise RuntimeError(f"the hold of {key} was judged by an account that was not locked")
    return Extension(reached, held + added, added, limit if reached < wanted else "")


def funded_seconds(*, key: str) -> int:
    """Return the seconds of talk that the hold of `key` pays for, or paid for."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT funded_seconds FROM billing_hold WHERE key = %s", [key])
        return int(cursor.fetchone()[0])


def settle(*, key: str, price: rating.Price, milliseconds: int, now: datetime) -> Settlement | None:
    """Close the hold of `key` and post the charge for `milliseconds` of talk at `price`.

    Returns None, changing nothing, when the hold is closed already.
    """
    closed = _close(key, now)
    if closed is None:
        return None
    customer_id, held = closed
    charge = rating.charge(price, rating.whole_seconds(milliseconds))
    amount = min(charge.amount, held)
    if amount > 0:
        _post(
            customer_id=customer_id,
            kind=Entry.Kind.CHARGE,
            amount=-amount,
            key=f"charge:{key}",
            call_id=key,
            now=now,
        )
        with connection.cursor() as cursor:
            _SPEND.run(cursor, [customer_id, now.astimezone(UTC).date(), amount])
    return Settlement(charge, amount, charge.amount - amount)


def release(*, key: str, now: datetime) -> bool:
    """Close the hold of `key` without a charge; return False, changing nothing, when it is closed already."""
    return _close(key, now) is not None


def forget(*, keys: list[str]) -> None:
    """Delete the closed holds of `keys`, whose calls are not kept any longer. What was charged stays."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM billing_hold WHERE key = ANY(%s) AND closed_at IS NOT NULL", [keys])


def post(
    *,
    customer_id: int,
    kind: Entry.Kind,
    amount: Decimal,
    key: str,
    now: datetime,
    reference: str = "",
    call_id: str = "",
    staff_id: int | None = None,
    note: str = "",
) -> Entry:
    """Add `amount` (signed) to a customer's balance as one entry; return it. `call_id`: the call that it is about.

    Raises DuplicateEntry, changing nothing, when `key` or the customer's `reference` is posted already.
    """
    with transaction.atomic():  # within the caller's: a duplicate undoes this much and no more
        lock(customer_id=customer_id, now=now)
        return _post(
            customer_id=customer_id,
            kind=kind,
            amount=amount,
            key=key,
            reference=reference,
            call_id=call_id,
            staff_id=staff_id,
            note=note,
            now=now,
        )


def raise_limit(*, customer_id: int, by: Decimal) -> Balance:
    """Add to a customer's credit limit, or take from it (`by` below 0); its history tells. Needs the lock of `lock`."""
    balance = Balance.objects.get(customer=customer_id)
    balance.credit_limit += by
    balance.lowered += max(-by, 0)
    balance.save(update_fields=["credit_limit", "lowered"])
    return balance


def _post(*, customer_id: int, kind: Entry.Kind, amount: Decimal, key: str, now: datetime, **more: Any) -> Entry:
    with connection.cursor() as cursor:
        lowered = max(-amount, 0) if kind != Entry.Kind.CHARGE else 0
        _MOVE.run(cursor, {"customer": customer_id, "amount": amount, "lowered": lowered})
        (posted_after,) = cursor.fetchone()
    entry = Entry(
        customer_id=customer_id,
        kind=kind,
        amount=amount,
        posted_after=posted_after,
        key=key,
        created_at=now,
        **more,
    )
    try:
        next(each for each in ids.candidates("le", now) if _insert(entry, each))
    except IntegrityError as error:
        if "entry_reference_once" in str(error) or "billing_entry_key" in str(error):
            raise DuplicateEntry(key) from error
        raise
    return entry


def _insert(entry: Entry, public_id: str) -> bool:
    """Insert the row under this public id; False when that is taken."""
    entry.public_id = public_id
    with connection.cursor() as cursor:
        _ENTER.run(cursor, [getattr(entry, column) for column in _COLUMNS])
        row = cursor.fetchone()
    if row is None:
        return False
    (entry.pk,) = row
    return True


def _close(key: str, now: datetime) -> tuple[int, Decimal] | None:
    with connection.cursor() as cursor:
        _CLOSE.run(cursor, {"key": key, "now": now})
        row: tuple[int, Decimal] | None = cursor.fetchone()
    return row


_LOCK = Statement("""
SELECT posted, held, credit_limit, day_cap, highest_price_per_minute, currency
FROM billing_balance WHERE customer_id = %s FOR UPDATE
""")

_CHARGED = Statement("""
SELECT COALESCE((SELECT charged FROM billing_spendday WHERE customer_id = %s AND day = %s), 0)
""")

_HOLD = Statement("""
WITH taken AS (
    UPDATE billing_balance SET held = held + %(amount)s,
        lowered = CASE WHEN %(amount)s > 0 THEN 0 ELSE lowered END
    WHERE customer_id = %(customer)s AND (posted + credit_limit - held >= %(amount)s OR %(amount)s = 0)
    RETURNING customer_id
)
INSERT INTO billing_hold (key, customer_id, amount, funded_seconds, opened_at)
SELECT %(key)s, customer_id, %(amount)s, %(seconds)s, %(now)s FROM taken
""")

_EXTEND = """
WITH taken AS (
    UPDATE billing_balance SET held = held + %(added)s,
        lowered = CASE WHEN %(added)s > 0 THEN 0 ELSE lowered END
    WHERE customer_id = %(customer)s AND (posted + credit_limit - held >= %(added)s OR %(added)s = 0)
    RETURNING customer_id
)
UPDATE billing_hold AS hold SET amount = amount + %(added)s, funded_seconds = %(seconds)s FROM taken
WHERE hold.key = %(key)s AND hold.closed_at IS NULL
"""

_CLOSE = Statement("""
WITH closed AS (
    UPDATE billing_hold SET closed_at = %(now)s WHERE key = %(key)s AND closed_at IS NULL
    RETURNING customer_id, amount
)
UPDATE billing_balance AS balance SET held = held - closed.amount FROM closed
WHERE balance.customer_id = closed.customer_id
RETURNING balance.customer_id, closed.amount
""")

_MOVE = Statement("""
UPDATE billing_balance SET posted = posted + %(amount)s, lowered = lowered + %(lowered)s
WHERE customer_id = %(customer)s RETURNING posted
""")

_SPEND = Statement("""
INSERT INTO billing_spendday (customer_id, day, charged) VALUES (%s, %s, %s)
ON CONFLICT (customer_id, day) DO UPDATE SET charged = billing_spendday.charged + EXCLUDED.charged
""")

_COLUMNS = (
    "public_id",
    "customer_id",
    "kind",
    "amount",
    "posted_after",
    "key",
    "reference",
    "call_id",
    "staff_id",
    "note",
    "created_at",
)
_ENTER = Statement(f"""
INSERT INTO billing_entry ({", ".join(_COLUMNS)}) VALUES ({", ".join(["%s"] * len(_COLUMNS))})
ON CONFLICT (public_id) DO NOTHING RETURNING id
""")  # noqa: S608  names of our own columns
