"""Statements: what moved a customer's balance in a month, in lines that add up to the ledger to the last digit.

Opening balance, lines and closing balance are three questions to one snapshot of the ledger; a statement that does not
add up is not made. An entry is in the month of the moment that it was posted at, however long ago its call was: each is
in one month, and a month opens with what the one before closed with.
"""

from calendar import month_name
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db.backends.utils import CursorWrapper

from applications.models import Customer
from billing.models import Balance, Entry
from calls.books import snapshot
from calls.usage import month_of

_LATE = timedelta(hours=1)  # an entry's moment is read before it is there: never by so much
_MOVED = {Entry.Kind.TOP_UP: "Top-up", Entry.Kind.REFUND: "Refund", Entry.Kind.ADJUSTMENT: "Adjustment"}


@dataclass(frozen=True, slots=True)
class Movement:
    """An entry that is no charge. What our staff noted stays inside."""

    at: datetime
    kind: str
    amount: Decimal
    reference: str
    call_id: str


@dataclass(frozen=True, slots=True)
class Destination:
    """The charges for the calls to one destination; seconds are None where the calls are not kept any longer."""

    prefix: str
    description: str
    calls: int
    seconds: int | None
    billed_seconds: int | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Statement:
    """A customer's month: from `start` until the next month, or the moment it was made while that is to come."""

    customer: Customer
    currency: str
    start: datetime
    until: datetime
    made_at: datetime
    opening: Decimal
    movements: list[Movement]
    destinations: list[Destination]
    closing: Decimal
    entries: int

    @property
    def title(self) -> str:
        """What it is called."""
        month = f"{month_name[self.start.month]} {self.start.year}"
        if self.is_provisional:
            return f"Provisional statement of {month}, until {_spelled(self.until)}"
        return f"Statement of {month}"

    @property
    def is_provisional(self) -> bool:
        """Whether another one of the same month may say something else."""
        return is_provisional(self.start, now=self.made_at)

    @property
    def moved(self) -> Decimal:
        """What the lines add up to."""
        moved = sum((line.amount for line in self.movements), Decimal(0))
        return moved + sum((line.amount for line in self.destinations), Decimal(0))

    @property
    def proof(self) -> str:
        """What it says of itself."""
        said = (
            "Opening balance and lines add up to the closing balance to the last digit: the sum of all "
            f"{self.entries:,} entries of the ledger before {_spelled(self.until)}. "
            f"Compared when this was made, at {_spelled(self.made_at)}."
        )
        if not self.is_provisional:
            return said
        final_at = _spelled(_final_at(self.start))
        return f"{said} Provisional: what is charged until the month's end is to come. Final from {final_at}."


class DoesNotAddUp(Exception):
    """The lines are not what the ledger moved by."""


def is_provisional(month: date, *, now: datetime) -> bool:
    """Whether a UTC month is not over, or so lately that charges of its last moments may not be posted yet."""
    return now < _final_at(month)


def read(customer: Customer, *, month: date, now: datetime) -> Statement:
    """Return the statement of a UTC month, of one that still runs so far.

    Needs no open transaction. Raises DoesNotAddUp, Balance.DoesNotExist.
    """
    start, end = _bounds(month)
    until = max(start, min(end, now))
    values: dict[str, int | datetime] = {"customer": customer.pk, "start": start, "until": until}
    with snapshot() as cursor:
        opening, _ = _sum(cursor, customer, start)
        closing, entries = _sum(cursor, customer, until)
        cursor.execute(_MOVEMENTS, values)
        movements = [Movement(at, _MOVED[kind], *rest) for at, kind, *rest in cursor.fetchall()]
        cursor.execute(_CHARGES, values)
        destinations = [Destination(*row) for row in cursor.fetchall()]
        currency = Balance.objects.get(customer=customer).currency
    statement = Statement(customer, currency, start, until, now, opening, movements, destinations, closing, entries)
    if opening + statement.moved != closing:
        raise DoesNotAddUp(f"opening {opening} and lines {statement.moved} are not closing {closing}")
    return statement


def _bounds(month: date) -> tuple[datetime, datetime]:
    return month_of(datetime(month.year, month.month, 1, tzinfo=UTC))


def _final_at(month: date) -> datetime:
    return _bounds(month)[1] + _LATE


def _spelled(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _sum(cursor: CursorWrapper, customer: Customer, before: datetime) -> tuple[Decimal, int]:
    cursor.execute(_SUM, [customer.pk, before])
    amount, count = cursor.fetchone()
    return Decimal(amount), int(count)


_SUM = """
SELECT COALESCE(sum(amount), 0), count(*) FROM billing_entry WHERE customer_id = %s AND created_at < %s
"""

_MOVEMENTS = """
SELECT created_at, kind, amount, reference, call_id
FROM billing_entry
WHERE customer_id = %(customer)s AND created_at >= %(start)s AND created_at < %(until)s AND kind <> 'charge'
ORDER BY created_at, id
"""

_CHARGES = """
SELECT CASE WHEN call.id IS NULL THEN '' WHEN direction = 'inbound' THEN 'inbound' ELSE rate_prefix END,
    CASE WHEN call.id IS NULL THEN 'calls that are not kept any longer' ELSE max(COALESCE(description, '')) END,
    count(*), sum(duration_seconds), sum(billable_seconds), sum(entry.amount)
FROM billing_entry AS entry
LEFT JOIN calls_call AS call ON call.public_id = entry.call_id
LEFT JOIN billing_rate AS rate ON rate.version_id = call.rate_version_id AND rate.prefix = call.rate_prefix
WHERE entry.customer_id = %(customer)s AND entry.created_at >= %(start)s AND entry.created_at < %(until)s
    AND entry.kind = 'charge'
GROUP BY 1, call.id IS NULL ORDER BY 1
"""
