"""The daily rollup of usage: written in the transaction that settles a call, and made again from the calls at will.

Rows of an application are written under its customer's balance row only, so that no two writers meet.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, Min

from billing import ledger
from calls.models import Call, KeptSince, UsageDay
from minivoice.prepared import Statement

_DAY = timedelta(days=1)


def add(call: Call, *, settled_at: datetime) -> None:
    """Count a call that is being settled. Needs the settlement's transaction, which has locked the balance row."""
    values = {
        "application": call.application_id,
        "day": settled_at.astimezone(UTC).date(),
        "prefix": call.rate_prefix,
        "trunk": call.trunk_id,
        "seconds": call.duration_seconds,
        "billed": call.billable_seconds,
        "cost": call.cost_amount,
    }
    with connection.cursor() as cursor:
        _ADD.run(cursor, values)


def days(*, customer_id: int) -> Iterator[date]:
    """Yield every UTC day from the first to the last on which a customer has settled calls or rows of the rollup.

    Days whose calls are not kept any more are left out.
    """
    applications = {"application__customer": customer_id}
    first = _kept_since()
    settled = Call.objects.filter(**applications).aggregate(first=Min("settled_at"), last=Max("settled_at"))
    known = UsageDay.objects.filter(**applications, day__gte=first).aggregate(first=Min("day"), last=Max("day"))
    ends = [day for moment in settled.values() if moment and (day := moment.astimezone(UTC).date()) >= first]
    ends += [day for day in known.values() if day]
    if ends:
        yield from (min(ends) + _DAY * number for number in range((max(ends) - min(ends)).days + 1))


def rebuild(*, customer_id: int, day: date, now: datetime) -> bool:
    """Make a customer's rows of one UTC day again from its calls; return whether anything was different.

    One short transaction under the customer's balance row: no settlement is missed or counted twice. A day whose calls
    are not kept any more stays as it is.
    """
    with transaction.atomic():
        if day < _kept_since():
            return False
        ledger.lock(customer_id=customer_id, now=now)
        rows = UsageDay.objects.filter(application__customer=customer_id, day=day)
        before = _figures(rows)
        rows.delete()
        start = datetime.combine(day, time(), UTC)
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, {"customer": customer_id, "day": day, "start": start, "end": start + _DAY})
        return _figures(rows.all()) != before


def _kept_since() -> date:
    """Return the first UTC day whose calls are all there. In a transaction it stays so until that ends."""
    kept = KeptSince.objects.filter(kind=KeptSince.Kind.CALLS)
    if connection.in_atomic_block:
        kept = kept.select_for_update(no_key=True)
    since = kept.values_list("since", flat=True).first()
    return since.astimezone(UTC).date() if since else date.min


def _figures(rows: Any) -> set[tuple[Any, ...]]:
    return set(
        rows.values_list(
            "application_id",
            "rate_prefix",
            "trunk_id",
            "calls",
            "duration_seconds",
            "billable_seconds",
            "cost_amount",
        )
    )


_COLUMNS = "application_id, day, rate_prefix, trunk_id, calls, duration_seconds, billable_seconds, cost_amount"

_ADD = Statement(f"""
INSERT INTO calls_usageday AS usage ({_COLUMNS})
VALUES (%(application)s, %(day)s, %(prefix)s, %(trunk)s, 1, %(seconds)s, %(billed)s, %(cost)s)
ON CONFLICT (application_id, day, rate_prefix, trunk_id) DO UPDATE SET
    calls = usage.calls + 1,
    duration_seconds = usage.duration_seconds + EXCLUDED.duration_seconds,
    billable_seconds = usage.billable_seconds + EXCLUDED.billable_seconds,
    cost_amount = usage.cost_amount + EXCLUDED.cost_amount
""")  # noqa: S608  names of our own columns

_COUNT = f"""
INSERT INTO calls_usageday ({_COLUMNS})
SELECT application_id, %(day)s, rate_prefix, trunk_id, count(*),
       sum(duration_seconds), sum(billable_seconds), sum(cost_amount)
FROM calls_call
WHERE application_id IN (SELECT id FROM applications_application WHERE customer_id = %(customer)s)
  AND settled_at >= %(start)s AND settled_at < %(end)s
GROUP BY application_id, rate_prefix, trunk_id
"""  # noqa: S608  names of our own columns
