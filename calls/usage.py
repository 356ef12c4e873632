"""What an application's calls came to in a period: number, seconds, cost. Calls count when they are settled."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, NotRequired, TypedDict

from django.db import connection

from applications.models import Application
from billing.models import Balance
from minivoice import clock, money, schema

GROUPS = {"day": "day", "destination": "rate_prefix", "trunk": "trunk.public_id"}  # and the column of each


class SummaryObject(TypedDict):
    """Sums over calls. `billsec_seconds` are the seconds that were billed."""

    calls: int
    billsec_seconds: int
    cost_amount: schema.Amount
    cost_currency: str


class DayUsageObject(SummaryObject):
    """The calls settled on one UTC day."""

    day: Annotated[str, schema.Keywords({"format": "date"})]


class DestinationUsageObject(SummaryObject):
    """The calls to one destination: the prefix of the rate that priced them."""

    destination: str


class TrunkUsageObject(SummaryObject):
    """The calls over one trunk; null: none was reached."""

    trunk_id: schema.Id | None


Group = DayUsageObject | DestinationUsageObject | TrunkUsageObject
_Period = TypedDict("_Period", {"from": schema.Time, "to": schema.Time})


class UsageObject(_Period):
    """Usage of the application in `[from, to)`; `data` when it was asked for in groups."""

    application_id: schema.Id
    summary: SummaryObject
    data: NotRequired[list[Group]]


@dataclass(frozen=True, slots=True)
class Sums:
    """The calls of one group, or of all."""

    key: date | str | None
    calls: int
    seconds: int
    cost: Decimal


def month_of(now: datetime) -> tuple[datetime, datetime]:
    """Return when the UTC month of `now` begins and when the next one does."""
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    year, month = divmod(first.year * 12 + first.month, 12)
    return first, first.replace(year=year, month=month + 1)


def report(*, application: Application, start: datetime, end: datetime, group_by: str = "") -> UsageObject:
    """Return the usage of `application` over calls settled in `[start, end)`, with `data` for a `group_by` of GROUPS.

    Raises Balance.DoesNotExist for a customer without an account.
    """
    currency = Balance.objects.get(customer_id=application.customer_id).currency
    groups = _read(application, start, end, group_by)
    total = Sums(
        key=None,
        calls=sum(group.calls for group in groups),
        seconds=sum(group.seconds for group in groups),
        cost=sum((group.cost for group in groups), Decimal(0)),
    )
    usage: UsageObject = {
        "application_id": application.public_id,
        "from": clock.text(start),
        "to": clock.text(end),
        "summary": _summary(total, currency),
    }
    if group_by:
        usage["data"] = [_group(group, currency, group_by) for group in groups]
    return usage


def _read(application: Application, start: datetime, end: datetime, group_by: str) -> list[Sums]:
    """Return the sums of each group in the order of the keys, or one over all: whole days from the rollup, what is
    left of the period at its two ends from the calls, in one snapshot.
    """
    first, last = _whole_days(start, end)
    values: dict[str, Any] = {"application": application.pk, "start": start, "first": first, "last": last, "end": end}
    with connection.cursor() as cursor:
        cursor.execute(_READ.format(key=GROUPS.get(group_by, "NULL")), values)
        sums = [Sums(*row) for row in cursor.fetchall()]
    return sums if group_by or sums else [Sums(None, 0, 0, Decimal(0))]


def _whole_days(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return the midnights UTC between which all whole days of the period lie; both are its end when there is none."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    first = start.toordinal() + (start.time() != time())
    if first >= end.toordinal():
        return end, end
    return datetime.combine(date.fromordinal(first), time(), UTC), datetime.combine(end.date(), time(), UTC)


def _summary(sums: Sums, currency: str) -> SummaryObject:
    return {
        "calls": sums.calls,
        "billsec_seconds": sums.seconds,
        "cost_amount": money.text(sums.cost),
        "cost_currency": currency,
    }


def _group(sums: Sums, currency: str, group_by: str) -> Group:
    summary = _summary(sums, currency)
    match group_by:
        case "day":
            return {"day": str(sums.key), **summary}
        case "destination":
            return {"destination": str(sums.key), **summary}
        case _:
            return {"trunk_id": None if sums.key is None else str(sums.key), **summary}


_READ = """
SELECT {key} AS key, sum(calls)::bigint, sum(billable_seconds)::bigint, sum(cost_amount)
FROM (
    SELECT day, rate_prefix, trunk_id, calls, billable_seconds, cost_amount FROM calls_usageday
    WHERE application_id = %(application)s
      AND day >= (%(first)s AT TIME ZONE 'UTC')::date AND day < (%(last)s AT TIME ZONE 'UTC')::date
    UNION ALL
    SELECT (settled_at AT TIME ZONE 'UTC')::date, rate_prefix, trunk_id, 1, billable_seconds, cost_amount
    FROM calls_call
    WHERE application_id = %(application)s
      AND (settled_at >= %(start)s AND settled_at < %(first)s OR settled_at >= %(last)s AND settled_at < %(end)s)
) AS settled
LEFT JOIN telephony_trunk AS trunk ON trunk.id = trunk_id
GROUP BY 1 ORDER BY 1
"""
