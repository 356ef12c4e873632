"""Exports: calls, ledger and usage of a period, row by row from the database into a file, in one snapshot.

Customer by customer, as the indexes go: no list is sorted or held, however long it is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import QuerySet

from applications import jobs
from applications.models import Customer
from billing.models import Entry
from calls.books import snapshot
from calls.models import Call, UsageDay
from minivoice import masking, tables

JOB = "export"
PERMISSION = "applications.export"
_CHUNK_ROWS = 2000
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Table:
    """What can be exported: `rows` of a customer in a period, and the paths of each column's values."""

    rows: Callable[[Customer, datetime, datetime], QuerySet[Any]]
    columns: dict[str, str]


def period(first: date, last: date) -> tuple[datetime, datetime]:
    """Return when the UTC days from `first` to `last`, both included, begin and end."""
    return datetime.combine(first, time(), UTC), datetime.combine(last, time(), UTC) + _DAY


def title(*, what: str, customer: Customer | None, first: date, last: date) -> str:
    """Return what an export is called."""
    return f"{what.capitalize()} of {customer or 'all customers'}, {first} to {last}"


@jobs.kind(JOB, permission=PERMISSION, is_one_transaction=False)
def export(run: jobs.Run) -> jobs.Result:
    """Write the rows of `what`, of a `customer` or of all, from `first` to `last` (UTC days), as `form`."""
    params = run.job.params
    what, form = params["what"], params["form"]
    table = TABLES[what]
    masked = set() if masking.may_see(run.job.asked_by) else _WITH_NUMBERS
    hidden = [place for place, name in enumerate(table.columns) if name in masked]
    count = 0
    with snapshot(), tables.open_table(run.file, form, list(table.columns)) as write:
        for row, done in _rows(table, params):
            write(
                [masking.mask(cell) if place in hidden else cell for place, cell in enumerate(row)] if hidden else row
            )
            count += 1
            if count % _CHUNK_ROWS == 0:
                run.tell(round(done * 100), f"{count:,} rows written")
    return jobs.Result(f"{count:,} rows.", file_name=f"{what}-{params['first']}-{params['last']}.{form}")


def _rows(table: Table, params: dict[str, Any]) -> Iterator[tuple[Sequence[Any], float]]:
    """Yield each row, and how much of the work is done by then (0 to 1)."""
    start, end = period(date.fromisoformat(params["first"]), date.fromisoformat(params["last"]))
    customers = Customer.objects.order_by("id")
    if params["customer"] is not None:
        customers = customers.filter(pk=params["customer"])
    total = max(1, customers.count())
    for number, customer in enumerate(customers):
        found = table.rows(customer, start, end).values_list(*table.columns.values())
        for row in found.iterator(chunk_size=_CHUNK_ROWS):
            yield row, number / total


def _calls(customer: Customer, start: datetime, end: datetime) -> QuerySet[Call]:
    mine = Call.objects.filter(customer=customer, accepted_at__gte=start, accepted_at__lt=end)
    return mine.order_by("accepted_at")


def _entries(customer: Customer, start: datetime, end: datetime) -> QuerySet[Entry]:
    mine = Entry.objects.filter(customer=customer, created_at__gte=start, created_at__lt=end)
    return mine.order_by("created_at", "id")


def _usage(customer: Customer, start: datetime, end: datetime) -> QuerySet[UsageDay]:
    days = UsageDay.objects.filter(application__customer=customer, day__gte=start.date(), day__lt=end.date())
    return days.order_by("application_id", "day", "rate_prefix", "trunk_id")


_WITH_NUMBERS = {"from", "to", "note"}  # in a note stands what staff wrote of a call
_CUSTOMER = {"customer_id": "customer__public_id", "customer": "customer__name"}
TABLES = {
    "calls": Table(
        _calls,
        {
            "call_id": "public_id",
            **_CUSTOMER,
            "application_id": "application__public_id",
            "leg_of": "parent__public_id",
            "direction": "direction",
            "from": "from_number",
            "to": "to_number",
            "status": "status",
            "accepted_at": "accepted_at",
            "answered_at": "answered_at",
            "ended_at": "ended_at",
            "end_reason": "end_reason",
            "hangup_by": "hangup_by",
            "sip_code": "sip_code",
            "trunk_id": "trunk__public_id",
            "rate_prefix": "rate_prefix",
            "price_per_minute": "price_per_minute",
            "connection_fee": "connection_fee",
            "initial_increment_seconds": "initial_increment",
            "subsequent_increment_seconds": "subsequent_increment",
            "minimum_charge": "minimum_charge",
            "duration_seconds": "duration_seconds",
            "billsec_seconds": "billable_seconds",
            "cost_amount": "cost_amount",
            "overrun_amount": "overrun_amount",
            "currency": "currency",
        },
    ),
    "ledger": Table(
        _entries,
        {
            "entry_id": "public_id",
            **_CUSTOMER,
            "created_at": "created_at",
            "kind": "kind",
            "amount": "amount",
            "balance_after": "posted_after",
            "currency": "customer__balance__currency",
            "call_id": "call_id",
            "reference": "reference",
            "staff": "staff__username",
            "approved_by": "approval__decided_by__username",
            "note": "note",
        },
    ),
    "usage": Table(
        _usage,
        {
            "customer_id": "application__customer__public_id",
            "customer": "application__customer__name",
            "application_id": "application__public_id",
            "application": "application__name",
            "day": "day",
            "destination": "rate_prefix",
            "trunk_id": "trunk__public_id",
            "calls": "calls",
            "duration_seconds": "duration_seconds",
            "billsec_seconds": "billable_seconds",
            "cost_amount": "cost_amount",
            "currency": "application__customer__balance__currency",
        },
    ),
}
